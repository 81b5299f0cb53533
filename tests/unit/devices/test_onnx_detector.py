"""The detector driver: what it refuses at load, and what it does with a picture.

The models of these tests are written byte by byte, so that any input and output can be had
without a training framework.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from devices.capabilities import Surroundings
from devices.drivers.onnx_detector import BUNDLED_MODEL, OnnxDetector, OnnxDetectorSettings
from devices.errors import Broken, Refused, Unreachable

FLOAT, UINT8 = 1, 2


def varint(value: int) -> bytes:
    """Encode a number of variable length."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """Encode one field of a protocol-buffer message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: NDArray[Any]) -> bytes:
    """Encode a constant as a graph's initializer."""
    kind = 7 if values.dtype == np.int64 else FLOAT
    dims = b"".join(field(1, side) for side in values.shape)
    return field(5, dims + field(2, kind) + field(9, values.tobytes()) + field(8, name))


def port(name: str, kind: int, shape: tuple[int | str, ...]) -> bytes:
    """Encode the type of an input or output; a name in the shape is an open axis."""
    dims = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def node(operator: str, inputs: str, output: str, **numbers: int) -> bytes:
    """Encode a node of a graph with its integer attributes."""
    attribute = b"".join(
        field(5, field(1, name) + field(3, value) + field(20, 2)) for name, value in numbers.items()
    )
    named = b"".join(field(1, name) for name in inputs.split())
    return field(1, named + field(2, output) + field(4, operator) + attribute)


def model(
    graph: bytes, inputs: list[bytes], outputs: list[bytes], metadata: Mapping[str, str]
) -> bytes:
    """Encode a whole model."""
    ports = b"".join(field(11, one) for one in inputs) + b"".join(field(12, one) for one in outputs)
    told = b"".join(field(14, field(1, key) + field(2, text)) for key, text in metadata.items())
    return field(1, 8) + field(7, graph + field(2, "g") + ports) + field(8, field(2, 17)) + told


def constant_model(
    values: NDArray[np.float32],
    *,
    shape: tuple[int | str, ...] = (1, 3, 64, 64),
    kind: int = FLOAT,
    names: str = "['person', 'car']",
    head: str = "",
) -> bytes:
    """Write a model that gives the same single output whatever it is shown."""
    graph = node("Identity", "found", "output0") + tensor("found", values)
    output = port("output0", FLOAT, values.shape)
    return model(graph, [port("images", kind, shape)], [output], {"names": names, "head": head})


def brightness_model(channel: int = 0) -> bytes:
    """Write a model whose one box has the mean of a channel, the first, as its score."""
    graph = (
        node("GlobalAveragePool", "images", "means")
        + node("Reshape", "means shape", "row")
        + node("Gather", "row first", "score", axis=2)
        + node("Concat", "box score label", "output0", axis=2)
        + tensor("shape", np.array([1, 1, 3], np.int64))
        + tensor("first", np.array([channel], np.int64))
        + tensor("box", np.array([[[8, 16, 24, 48]]], np.float32))
        + tensor("label", np.zeros((1, 1, 1), np.float32))
    )
    images = port("images", FLOAT, (1, 3, 64, 64))
    return model(graph, [images], [port("output0", FLOAT, (1, 1, 6))], {"names": "['light']"})


def two_inputs() -> bytes:
    """Write a model that wants more than a picture."""
    ports = [port(name, FLOAT, (1, 3, 64, 64)) for name in ("images", "extra")]
    graph = node("Add", "images extra", "sum")
    return model(graph, ports, [port("sum", FLOAT, (1, 3, 64, 64))], {"names": "['one']"})


def fragile_model() -> bytes:
    """Write a model that runs on black pictures and fails on bright ones."""
    graph = (
        node("ReduceMax", "images", "most")
        + node("Reshape", "most flat", "scalar")
        + node("Cast", "scalar", "index", to=7)
        + node("Gather", "table index", "output0", axis=0)
        + tensor("flat", np.array([0], np.int64)[:0])
        + tensor("table", np.zeros((1, 1, 300, 6), np.float32))
    )
    images = port("images", FLOAT, (1, 3, 64, 64))
    return model(graph, [images], [port("output0", FLOAT, (1, 300, 6))], {"names": "['one']"})


def detector(folder: Path, content: bytes | None = None, **settings: Any) -> OnnxDetector:
    """Make a detector for a model, with a clock that ticks a millisecond a look."""
    if content is not None:
        (folder / "model.onnx").write_bytes(content)
        settings.setdefault("model", "model.onnx")
    ticks = itertools.count()
    around = Surroundings(lambda: 0, lambda: next(ticks) / 1000, folder)
    return OnnxDetector("eye", msgspec.convert(settings, OnnxDetectorSettings), around)


GREY = np.full((64, 64, 3), 100, np.uint8)


# -- the bundled model ----------------------------------------------------------------------------


def test_bundled_model_tells_what_it_is(tmp_path: Path) -> None:
    """Without settings the demonstration model is loaded, and says what it is not for."""
    eye = detector(tmp_path)
    eye.connect()
    told = eye.describe()

    assert ["person", "car", "truck", "package"] == told["labels"]
    assert hashlib.sha256(BUNDLED_MODEL.read_bytes()).hexdigest() == told["sha256"]
    assert ("center-ltrb", "Apache-2.0", 17) == (told["head"], told["licence"], told["opset"])
    assert "does not transfer to real footage" in told["notes"]
    assert 1.0 == told["inference_ms"]
    assert [640, 384] == json.loads(json.dumps(told))["input_size"]


def test_bundled_card_is_of_the_bundled_model() -> None:
    """The metadata beside the model carry its hash and size."""
    card = json.loads(BUNDLED_MODEL.with_suffix(".json").read_text())
    content = BUNDLED_MODEL.read_bytes()

    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    assert len(content) == card["size_bytes"]


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (40, 3000), (1, 1)])
def test_pictures_of_any_size_are_taken(tmp_path: Path, size: tuple[int, int]) -> None:
    """Every box lies inside the picture that was given, whatever its shape."""
    eye = detector(tmp_path, score_threshold=0.01)
    eye.connect()
    noise = np.random.default_rng(3).integers(0, 255, (*size, 3), dtype=np.uint8)

    for box in eye.detect(noise):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= size[1] + 1e-3
        assert box.y + box.h <= size[0] + 1e-3


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, image: NDArray[Any]) -> None:
    """An array that is no picture is refused with what it is."""
    eye = detector(tmp_path)
    eye.connect()

    with pytest.raises(Refused, match="height x width x 3 of uint8"):
        eye.detect(image)


def test_a_closed_detector_is_unreachable(tmp_path: Path) -> None:
    """Before connect and after close nothing is told; both may be called twice."""
    eye = detector(tmp_path)

    with pytest.raises(Unreachable, match="'eye' is not connected"):
        eye.describe()
    eye.connect()
    eye.connect()
    eye.close()
    eye.close()
    with pytest.raises(Unreachable, match="'eye' is not connected"):
        eye.detect(GREY)


def test_a_model_that_fails_is_broken(tmp_path: Path) -> None:
    """A failure within a run, after a good warm-up, is told in onnxruntime's words."""
    eye = detector(tmp_path, fragile_model())
    eye.connect()

    assert "eye" == eye.name
    assert [] == eye.detect(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(Broken, match="the model failed to run"):
        eye.detect(np.full((64, 64, 3), 255, np.uint8))


def test_threads_may_share_a_detector(tmp_path: Path) -> None:
    """Calls from several threads give what one alone gets."""
    eye = detector(tmp_path, score_threshold=0.001)
    eye.connect()
    pictures = [np.random.default_rng(n).integers(0, 255, (90, 160, 3), np.uint8) for n in range(6)]
    alone = [eye.detect(picture) for picture in pictures]
    together: dict[int, Any] = {}

    def look(number: int) -> None:
        together[number] = eye.detect(pictures[number])

    threads = [threading.Thread(target=look, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert alone == [together[number] for number in range(6)]


# -- models that users bring ----------------------------------------------------------------------


def columns() -> NDArray[np.float32]:
    """Make a YOLOv8 output for 64 x 64 and two labels, with three boxes."""
    values = np.zeros((1, 6, 64 + 16 + 4), np.float32)
    values[0, :, 3] = (32, 32, 20, 20, 0.9, 0.0)
    values[0, :, 4] = (33, 32, 20, 20, 0.8, 0.0)
    values[0, :, 5] = (32, 32, 20, 20, 0.0, 0.5)
    return values


def test_user_model_is_decoded_and_suppressed(tmp_path: Path) -> None:
    """Overlapping boxes of one label become one; boxes come back in the picture's pixels."""
    eye = detector(tmp_path, constant_model(columns()))
    eye.connect()
    found = eye.detect(np.zeros((128, 128, 3), np.uint8))

    assert ["person", "car"] == [box.label for box in found]
    assert (44.0, 44.0, 40.0, 40.0) == (found[0].x, found[0].y, found[0].w, found[0].h)
    assert "yolov8" == eye.describe()["head"]


def test_thresholds_are_per_label(tmp_path: Path) -> None:
    """A label's own threshold goes before the general one."""
    eye = detector(tmp_path, constant_model(columns()), class_thresholds={"car": 0.6})
    eye.connect()

    assert ["person"] == [box.label for box in eye.detect(GREY)]


@pytest.mark.parametrize(
    ("bgr", "settings", "score"),
    [
        ((0, 0, 255), {}, 1.0),  # red comes first
        ((255, 0, 0), {}, None),
        ((255, 0, 0), {"colour": "bgr"}, 1.0),
        ((0, 0, 128), {}, 128 / 255),
        ((0, 0, 1), {"pixel_max": 255}, 1.0),
        ((0, 0, 1), {}, None),
    ],
)
def test_pixels_arrive_as_the_family_expects(
    tmp_path: Path, bgr: tuple[int, int, int], settings: dict[str, Any], score: float | None
) -> None:
    """Channel order and scale follow the family, or the setting."""
    eye = detector(tmp_path, brightness_model(), **settings)
    eye.connect()
    found = eye.detect(np.full((64, 64, 3), bgr, np.uint8))

    assert ([] if score is None else [pytest.approx(score, abs=1e-3)]) == [b.score for b in found]


def test_labels_file_goes_before_the_model(tmp_path: Path) -> None:
    """Names in a file replace those in the model; an empty last line does not count."""
    (tmp_path / "names.txt").write_text("Mensch\nAuto\n\n")
    eye = detector(tmp_path, constant_model(columns()), labels="names.txt")
    eye.connect()

    assert ["Mensch", "Auto"] == eye.describe()["labels"]


def test_open_input_size_runs_at_the_size_that_is_set(tmp_path: Path) -> None:
    """A model with declared open axes runs at the size in the setting."""
    content = constant_model(columns(), shape=(1, 3, "height", "width"))
    eye = detector(tmp_path, content, input_size=[64, 64])
    eye.connect()

    assert [64, 64] == list(eye.describe()["input_size"])


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (None, {"model": "none.onnx"}, r"none.onnx cannot be read.*set 'model'"),
        (b"junk", {}, "does not name an ONNX model"),
        (constant_model(columns()), {"sha256": "00"}, "'sha256' demands 00"),
        (constant_model(columns()), {"max_bytes": 10}, "'max_bytes'"),
        (constant_model(columns(), names=""), {}, "setting 'labels'"),
        (constant_model(columns(), names="['one']"), {}, "with 1 labels .* fit no family"),
        (constant_model(columns()), {"labels": "none.txt"}, "set 'labels'"),
        (constant_model(columns()), {"head": "yolox"}, "not the named family yolox"),
        (constant_model(columns()), {"input_size": [32, 32]}, "runs at 64x64 only"),
        (constant_model(columns(), shape=(1, 3, "h", "w")), {}, "setting 'input_size'"),
        (
            constant_model(columns(), shape=(1, 3, "h", "w")),
            {"input_size": [50, 64]},
            "multiples of 32",
        ),
        (constant_model(columns(), shape=(2, 3, 64, 64)), {}, "has to be one picture"),
        (constant_model(columns(), shape=(1, 1, 64, 64)), {}, "has to be one picture"),
        (constant_model(columns(), kind=6), {}, "has to be one picture"),
        (constant_model(columns()), {"class_thresholds": {"cat": 0.5}}, "names 'cat'"),
        (model(b"", [], [], {}), {}, "onnxruntime cannot load"),
        (two_inputs(), {}, r"takes 2 inputs \(images, extra\)"),
        (brightness_model(channel=9), {}, "failed to run.*'model' or 'input_size' does not fit"),
        (constant_model(columns(), head="magic"), {}, "name the head 'magic', which is not known"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, content: bytes | None, settings: dict[str, Any], message: str
) -> None:
    """Each mistake is refused by connect, with the device and the setting to change."""
    eye = detector(tmp_path, content, **settings)

    with pytest.raises(Refused, match=rf"detector 'eye': .*{message}"):
        eye.connect()


def test_decoded_yolox_is_not_taken_for_raw(tmp_path: Path) -> None:
    """Boxes in pixels where raw offsets are expected are refused until the family is named."""
    rows = np.zeros((1, 84, 7), np.float32)
    rows[0, :, :5] = (32, 32, 10, 10, 0.9)
    rows[0, :, 5] = 0.9
    eye = detector(tmp_path, constant_model(rows))

    with pytest.raises(Refused, match="set 'head' to \"yolox-decoded\""):
        eye.connect()
    named = detector(tmp_path, constant_model(rows), head="yolox-decoded")
    named.connect()
    assert 1 == len(named.detect(GREY))


@pytest.mark.parametrize(
    "settings",
    [{"score_threshold": 2}, {"threads": 0}, {"head": "magic"}, {"modell": "x"}, {"pixel_max": 3}],
)
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    """A setting out of range, or unknown, is an error before any file is read."""
    with pytest.raises(msgspec.ValidationError, match=next(iter(settings))):
        msgspec.convert(settings, OnnxDetectorSettings)
