"""A detector that runs an ONNX model on the processor: the bundled one, or one that a user brings.

How a family's output tensors are read is in `onnx_heads`; tracking and drawing are elsewhere.

Nothing about a model is guessed in silence: what neither its file nor a setting tells is refused
with the name of the setting that would tell it.
"""

from __future__ import annotations

import hashlib
import statistics
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.capabilities import Surroundings
from devices.detection import Detection, Letterbox, suppress
from devices.drivers import onnx_heads
from devices.drivers.onnx_file import (
    PROVIDER,
    check_file,
    first_line,
    open_session,
    read,
    read_names,
)
from devices.drivers.onnx_heads import Head
from devices.errors import Broken, Refused, Unreachable

BUNDLED_MODEL = Path(__file__).resolve().parents[1] / "models" / "demo-detector.onnx"
"""The demonstration model; it knows the objects of this project's own scenes and nothing else."""

_BORDER = 114  # the grey that the YOLO families were trained with around a picture
_WARM_UP_RUNS = 3
_MAX_SIDE = 4096
_MAX_LABELS = 10_000
_DTYPES: Mapping[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class OnnxDetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the inventory may say of a detector."""

    model: str = ""
    """Path of the model; empty for the bundled demonstration model."""

    sha256: str = ""
    """Hash that the file must have, in hex; empty for no check."""

    labels: str = ""
    """Path of a text file with one label a line; empty to take the names in the model."""

    head: Literal[
        "", "center-ltrb", "yolox", "yolox-decoded", "yolov5", "yolov8", "end-to-end", "ssd"
    ] = ""
    """Family of the outputs; empty to tell it from their shapes."""

    input_size: tuple[int, int] | None = None
    """Width and height to run at; needed where the model leaves them open, else not allowed."""

    colour: Literal["", "rgb", "bgr"] = ""
    """Order of the channels; empty for what the family uses."""

    pixel_max: Literal[0, 1, 255] = 0
    """Value of a white pixel in a floating-point input; 0 for what the family uses."""

    score_threshold: Share = 0.5
    """Lowest score that counts; clutter that the bundled model mistakes mostly scores 0.3 to 0.5."""

    class_thresholds: dict[str, Share] = {}
    """The same for single labels."""

    iou_threshold: Share = 0.5
    """Boxes of one label that overlap more than this are one object."""

    max_detections: Annotated[int, msgspec.Meta(ge=1, le=onnx_heads.MAX_CANDIDATES)] = 100
    """The best so many are told; the others are dropped."""

    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """Threads within one run; more than one costs processor time out of proportion."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 128 * 1024 * 1024
    """A larger model file is refused."""


class DetectorInfo(msgspec.Struct, frozen=True):
    """What a loaded model is."""

    name: str
    model_path: str
    sha256: str
    size_bytes: int
    opset: int
    head: str
    labels: list[str]
    input_size: tuple[int, int]
    """Width and height."""

    licence: str
    """As the model's own metadata says; empty if they do not."""

    notes: str
    """What the model is for and what not, from its metadata."""

    provider: str
    load_ms: float
    """From reading the file to being ready, warm-up included."""

    inference_ms: float
    """Median of the warm-up runs after the first."""


class _Graph:
    """One onnxruntime session and the form of its input."""

    def __init__(
        self, session: Any, *, dtype: Any, channels_last: bool, size: tuple[int, int]
    ) -> None:
        """Hold the session; size is width and height."""
        self.dtype, self.channels_last, self.size = dtype, channels_last, size
        self._session = session
        self._input_name = session.get_inputs()[0].name
        self._output_names = [output.name for output in session.get_outputs()]

    def run(self, tensor: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Run once; outputs in the model's order.

        Raises:
            Broken: onnxruntime failed, which a model that has been warmed up does not do.
        """
        try:
            values = self._session.run(self._output_names, {self._input_name: tensor})
        # onnxruntime's errors share no ancestor but Exception.
        except Exception as error:
            message = f"the model failed to run: {first_line(error)}"
            raise Broken(message) from error
        named = zip(self._output_names, values, strict=True)
        return {name: np.asarray(value).astype(np.float32, copy=False) for name, value in named}

    def blank(self) -> NDArray[Any]:
        """Give a black picture as an input tensor."""
        width, height = self.size
        shape = (1, height, width, 3) if self.channels_last else (1, 3, height, width)
        return np.zeros(shape, self.dtype)


class _Loaded(msgspec.Struct, frozen=True):
    """A model that is ready to run."""

    graph: Any
    head: Head
    rgb: bool
    factor: float
    """What a byte is multiplied with where the input is floating-point."""

    thresholds: NDArray[np.float32]
    """One per label."""

    info: DetectorInfo


class OnnxDetector:
    """Finds things in pictures with one onnxruntime session; may be called from any thread."""

    settings_type = OnnxDetectorSettings

    def __init__(
        self, name: str, settings: OnnxDetectorSettings, surroundings: Surroundings
    ) -> None:
        """Hold the settings; the model is read by `connect`."""
        self._name = name
        self._settings = settings
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    @property
    def name(self) -> str:
        """Name of the device in the inventory."""
        return self._name

    def connect(self) -> None:
        """Read, check and warm up the model; a second call changes nothing.

        Raises:
            Refused: The model or a setting cannot be used; the message names the setting.
        """
        with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = _load(self._name, self._settings, self._surroundings)
                except Refused as error:
                    message = f"detector {self._name!r}: {error}"
                    raise Refused(message) from error

    def close(self) -> None:
        """Let go of the model; a second call changes nothing."""
        with self._lock:
            self._loaded = None

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Find things in a picture of any size.

        Args:
            image: Array of shape (height, width, 3), dtype uint8, colour order BGR.

        Returns:
            Boxes in pixels of that picture, best score first.

        Raises:
            Unreachable: The detector is not connected.
            Refused: The array is not such a picture, or the labels do not fit the model.
            Broken: The model failed to run.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            message = (
                f"detector {self._name!r} takes height x width x 3 of uint8, "
                f"not {'x'.join(map(str, image.shape))} of {image.dtype}"
            )
            raise Refused(message)
        # One run at a time: two at once would share the same cores and both be late.
        with self._lock:
            loaded = self._ready()
            size = loaded.info.input_size
            box = Letterbox.fit((image.shape[1], image.shape[0]), size)
            outputs = loaded.graph.run(_lay(image, box, loaded))
        found = onnx_heads.decode(loaded.head, outputs, size, loaded.thresholds)
        detections = _detections(found, box, loaded.info.labels)
        # What the graph has suppressed already may overlap for good reason.
        overlap = (
            1.0 if loaded.head in onnx_heads.SUPPRESSED_HEADS else self._settings.iou_threshold
        )
        return suppress(detections, overlap, self._settings.max_detections)

    def describe(self) -> dict[str, Any]:
        """Tell what the model is, as the fields of `DetectorInfo`.

        Raises:
            Unreachable: The detector is not connected.
        """
        with self._lock:
            described: dict[str, Any] = msgspec.to_builtins(self._ready().info)
        return described

    def _ready(self) -> _Loaded:
        if self._loaded is None:
            message = f"detector {self._name!r} is not connected"
            raise Unreachable(message)
        return self._loaded


# -- one picture ----------------------------------------------------------------------------------


def _lay(image: NDArray[np.uint8], box: Letterbox, loaded: _Loaded) -> NDArray[Any]:
    """Scale a picture into the model's input tensor."""
    width, height = box.target
    canvas = np.full((height, width, 3), _BORDER, np.uint8)
    inner = canvas[box.top : box.top + box.inner[1], box.left : box.left + box.inner[0]]
    # Averaging keeps thin things when much is thrown away; it costs more, so only then.
    method = cv2.INTER_AREA if box.scale <= 0.5 else cv2.INTER_LINEAR
    cv2.resize(image, box.inner, dst=inner, interpolation=method)
    ordered = canvas[..., ::-1] if loaded.rgb else canvas
    if not loaded.graph.channels_last:
        ordered = ordered.transpose(2, 0, 1)
    if loaded.graph.dtype == np.uint8:
        return np.ascontiguousarray(ordered)[None]
    tensor = np.empty((1, *ordered.shape), np.float32)
    np.multiply(ordered, np.float32(loaded.factor), out=tensor[0])
    return tensor.astype(loaded.graph.dtype, copy=False)


def _detections(
    found: onnx_heads.Candidates, box: Letterbox, labels: list[str]
) -> Iterator[Detection]:
    """Bring candidates back into the picture; those that lie outside of it are left out."""
    rows = zip(found.corners.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    for corners, score, label in rows:
        placed = box.back(*corners)
        if placed is not None:
            yield Detection(labels[label], min(score, 1.0), *placed)


# -- loading --------------------------------------------------------------------------------------


def _load(name: str, settings: OnnxDetectorSettings, surroundings: Surroundings) -> _Loaded:
    """Read and check everything, then run the model to see that it does what it says."""
    started_s = surroundings.monotonic_s()
    path = surroundings.folder / settings.model if settings.model else BUNDLED_MODEL
    content = read(path, "model", settings.max_bytes)
    digest = hashlib.sha256(content).hexdigest()
    if settings.sha256 and settings.sha256.lower() != digest:
        message = f"{path} has the hash {digest}, the setting 'sha256' demands {settings.sha256}"
        raise Refused(message)
    opset = check_file(content)
    session = open_session(content, settings.threads)
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    labels = _labels(settings, metadata, surroundings.folder)
    graph = _graph(session, settings)
    outputs, inference_ms = _warm_up(graph, surroundings)
    head = _head(settings.head or metadata.get("head", ""), outputs, graph.size, len(labels))
    # These two families were trained on the channels as cameras give them, the others on RGB;
    # YOLOX alone takes bytes as they are.
    as_filmed = head in (Head.CENTER_LTRB, Head.YOLOX, Head.YOLOX_DECODED)
    white = settings.pixel_max or (255 if head in (Head.YOLOX, Head.YOLOX_DECODED) else 1)
    return _Loaded(
        graph=graph,
        head=head,
        rgb=settings.colour == "rgb" if settings.colour else not as_filmed,
        factor=white / 255,
        thresholds=_thresholds(settings, labels),
        info=DetectorInfo(
            name=name,
            model_path=str(path),
            sha256=digest,
            size_bytes=len(content),
            opset=opset,
            head=head.value,
            labels=labels,
            input_size=graph.size,
            licence=metadata.get("license", ""),
            notes=metadata.get("description", ""),
            provider=PROVIDER,
            load_ms=round((surroundings.monotonic_s() - started_s) * 1000, 1),
            inference_ms=inference_ms,
        ),
    )


def _graph(session: Any, settings: OnnxDetectorSettings) -> _Graph:
    """Read type, layout and size of the input off the session.

    Raises:
        Refused: There is more than one input, or it is not one picture.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(item.name for item in inputs)
        message = f"the model takes {len(inputs)} inputs ({names}), one picture is supported"
        raise Refused(message)
    shape, kind = inputs[0].shape, inputs[0].type
    dtype = _DTYPES.get(kind)
    layouts = [
        last for last, axis in ((False, 1), (True, 3)) if len(shape) == 4 and shape[axis] == 3
    ]
    if dtype is None or len(layouts) != 1 or (isinstance(shape[0], int) and shape[0] != 1):
        message = (
            f"the model's input is {kind} {shape}; it has to be one picture, "
            "1 x 3 x height x width or 1 x height x width x 3, of float, float16 or uint8"
        )
        raise Refused(message)
    height, width = shape[1:3] if layouts[0] else shape[2:4]
    size = _size(width, height, settings.input_size)
    return _Graph(session, dtype=dtype, channels_last=layouts[0], size=size)


def _size(width: Any, height: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Settle width and height; axes that the model leaves open are names, not numbers."""
    fixed = isinstance(width, int) and isinstance(height, int)
    if fixed and wanted not in (None, (width, height)):
        message = f"the model runs at {width}x{height} only; remove the setting 'input_size'"
        raise Refused(message)
    if fixed:
        return width, height
    if wanted is None:
        message = "the model leaves its input size open; say it in the setting 'input_size'"
        raise Refused(message)
    if not all(32 <= side <= _MAX_SIDE and side % 32 == 0 for side in wanted):
        message = f"'input_size' has to be two multiples of 32 up to {_MAX_SIDE}, not {wanted}"
        raise Refused(message)
    return wanted


def _warm_up(
    graph: _Graph, surroundings: Surroundings
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Run a few times; gives the last outputs and the median time without the first run."""
    blank = graph.blank()
    try:
        outputs = graph.run(blank)
        times_ms = []
        for _ in range(_WARM_UP_RUNS):
            started_s = surroundings.monotonic_s()
            outputs = graph.run(blank)
            times_ms.append((surroundings.monotonic_s() - started_s) * 1000)
    except Broken as error:
        message = f"{error}; the setting 'model' or 'input_size' does not fit"
        raise Refused(message) from error
    return outputs, round(statistics.median(times_ms), 2)


def _head(
    named: str, outputs: Mapping[str, NDArray[np.float32]], size: tuple[int, int], classes: int
) -> Head:
    """Settle the family: what is named has to fit, what is not named has to be plain."""
    if named and named not in {head.value for head in Head}:
        message = f"the model's metadata name the head {named!r}, which is not known"
        raise Refused(message)
    shapes = {name: value.shape for name, value in outputs.items()}
    head = onnx_heads.recognise(shapes, size, classes, Head(named) if named else None)
    if head is Head.YOLOX and onnx_heads.looks_decoded(outputs, size):
        message = "the outputs hold boxes in pixels; set 'head' to \"yolox-decoded\""
        raise Refused(message)
    return head


def _thresholds(settings: OnnxDetectorSettings, labels: list[str]) -> NDArray[np.float32]:
    """One threshold per label; a name that no label has is an error."""
    unknown = sorted(set(settings.class_thresholds) - set(labels))
    if unknown:
        message = f"'class_thresholds' names {unknown[0]!r}; the labels are {', '.join(labels)}"
        raise Refused(message)
    chosen = [settings.class_thresholds.get(label, settings.score_threshold) for label in labels]
    return np.array(chosen, np.float32)


def _labels(settings: OnnxDetectorSettings, metadata: Mapping[str, str], folder: Path) -> list[str]:
    """Take the labels from the file that is set, else from the model's metadata.

    Raises:
        Refused: There are none, or they are not one name per class.
    """
    if settings.labels:
        text = read(folder / settings.labels, "labels", settings.max_bytes)
        labels = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
        while labels and not labels[-1]:
            labels.pop()
    else:
        labels = read_names(metadata.get("names", ""))
    if not labels or not all(labels) or len(labels) > _MAX_LABELS:
        message = "the model has no usable class names; give a file of them in the setting 'labels'"
        raise Refused(message)
    return labels
