"""The output tensors of the known detector families, recognised by shape and turned into boxes.

Pure functions over numpy arrays: no session, no picture, no labels, no suppression of overlaps.

Every decoder takes one score threshold per class and gives corners in pixels of the model's input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from devices.errors import Refused

Floats: TypeAlias = NDArray[np.float32]
Thresholds: TypeAlias = NDArray[np.float32]
Size: TypeAlias = tuple[int, int]
"""Width and height of the model's input."""

MAX_CANDIDATES = 300
"""The best so many go on to suppression; what a scene holds is far below it."""

# Feature maps that the YOLO families put their anchors on; the second is that of "P6" models.
_PYRAMIDS = ((8, 16, 32), (8, 16, 32, 64))
_ANCHORS_PER_CELL = 3


class Head(StrEnum):
    """A family of output tensors."""

    CENTER_LTRB = "center-ltrb"
    """heat 1 x C x h x w with only peaks left, ltrb 1 x 4 x h x w in pixels."""

    YOLOX = "yolox"
    """1 x N x (5+C), one row per cell, not yet decoded; as YOLOX exports by default."""

    YOLOX_DECODED = "yolox-decoded"
    """The same with boxes in pixels; as YOLOX exports with ``--decode_in_inference``."""

    YOLOV5 = "yolov5"
    """1 x N x (5+C), three rows per cell, boxes in pixels; YOLOv5 and YOLOv7."""

    YOLOV8 = "yolov8"
    """1 x (4+C) x N, boxes in pixels; YOLOv8, YOLOv9, YOLO11."""

    END_TO_END = "end-to-end"
    """1 x N x 6: corners in pixels, score, class; already suppressed. YOLOv10, YOLO26."""

    SSD = "ssd"
    """Boxes 1 x N x 4 as shares (top, left, bottom, right), scores, classes from 1, count."""


SUPPRESSED_HEADS = frozenset({Head.END_TO_END, Head.SSD})
"""Families whose graph removes overlapping boxes itself."""


class Candidates(NamedTuple):
    """Boxes above their thresholds, best first."""

    corners: Floats
    """n x 4: left, top, right, bottom in pixels of the input."""

    scores: Floats
    """n, 0 to 1."""

    classes: NDArray[np.int64]
    """n, from 0."""


def recognise(
    outputs: Mapping[str, tuple[int, ...]], size: Size, classes: int, named: Head | None = None
) -> Head:
    """Tell the family from the shapes that a run of the model gave.

    Args:
        outputs: Shape of each output under its name, in the model's order.
        size: Width and height of the input.
        classes: How many labels there are.
        named: The family that a setting or the model's metadata name; the shapes have to fit it.

    Raises:
        Refused: No family fits, several do, or not the named one; the message says what was seen.
    """
    fitting = _fitting(outputs, size, classes)
    if Head.YOLOX in fitting and named is Head.YOLOX_DECODED:
        return named  # the two have one shape
    if named in fitting:
        return named
    if named is None and len(fitting) == 1:
        return fitting[0]
    seen = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in outputs.items())
    wanted = f"the named family {named}" if named else "one of " + ", ".join(Head)
    message = (
        f"the outputs ({seen}) with {classes} labels at input {size[0]}x{size[1]} "
        f"fit {' and '.join(fitting) or 'no family'}, not {wanted}; "
        "check 'labels', or name the family in the setting 'head'"
    )
    raise Refused(message)


def _fitting(outputs: Mapping[str, tuple[int, ...]], size: Size, classes: int) -> list[Head]:
    shapes = list(outputs.values())
    ranks = [len(shape) for shape in shapes]
    if len(shapes) == 4 and set(_ssd_names(outputs)) == {"boxes", "scores", "classes", "count"}:
        return [Head.SSD]
    if ranks == [4, 4]:
        heat, sides = shapes
        fits = heat[:2] == (1, classes) and sides == (1, 4, *heat[2:])
        return [Head.CENTER_LTRB] if fits else []
    if ranks == [3] and shapes[0][0] == 1:
        return _recognise_single(shapes[0][1:], size, classes)
    return []


def _recognise_single(shape: tuple[int, ...], size: Size, classes: int) -> list[Head]:
    """List the families with one output of three axes that fit; the first axis is cut off."""
    rows, columns = shape
    cells = {_cells(size, pyramid) for pyramid in _PYRAMIDS}
    fitting = []
    if columns == 5 + classes and rows in cells:
        fitting.append(Head.YOLOX)
    if columns == 5 + classes and rows in {_ANCHORS_PER_CELL * count for count in cells}:
        fitting.append(Head.YOLOV5)
    if rows == 4 + classes and columns in cells:
        fitting.append(Head.YOLOV8)
    # A one-class YOLOX also has six columns; its number of rows gives it away.
    if columns == 6 and not fitting and rows <= MAX_CANDIDATES:
        fitting.append(Head.END_TO_END)
    return fitting


def _cells(size: Size, pyramid: Sequence[int]) -> int:
    return sum((size[0] // stride) * (size[1] // stride) for stride in pyramid)


def _ssd_names(names: Mapping[str, Any]) -> dict[str, str]:
    """Map what an SSD output is to its name; the words are those of the TensorFlow exporter."""
    words = {"boxes": "boxes", "scores": "scores", "classes": "classes", "num": "count"}
    return {kind: name for word, kind in words.items() for name in names if word in name.lower()}


def looks_decoded(outputs: Mapping[str, Floats], size: Size) -> bool:
    """Tell whether rows of a YOLOX head hold pixels, where the raw ones hold offsets in cells.

    Raw centres lie within a few cells of zero on any picture; decoded ones spread over the input.
    """
    (rows,) = outputs.values()
    return bool(np.median(np.abs(rows[0, :, 0])) > size[0] / 8)


def decode(
    head: Head, outputs: Mapping[str, NDArray[Any]], size: Size, thresholds: Thresholds
) -> Candidates:
    """Turn the outputs of one run into boxes.

    Args:
        head: The family.
        outputs: The tensors under their names, in the model's order.
        size: Width and height of the input.
        thresholds: Lowest score of each class that counts.
    """
    tensors = list(outputs.values())
    match head:
        case Head.CENTER_LTRB:
            return decode_center_ltrb(tensors[0], tensors[1], size, thresholds)
        case Head.YOLOX:
            return decode_rows(place_yolox(tensors[0], size), thresholds)
        case Head.YOLOX_DECODED | Head.YOLOV5:
            return decode_rows(tensors[0], thresholds)
        case Head.YOLOV8:
            return decode_columns(tensors[0], thresholds)
        case Head.END_TO_END:
            return decode_end_to_end(tensors[0], thresholds)
        case Head.SSD:
            named = {kind: outputs[name] for kind, name in _ssd_names(outputs).items()}
            return decode_ssd(named, size, thresholds)
        case _:
            assert_never(head)


def decode_center_ltrb(
    heat: Floats, sides: Floats, size: Size, thresholds: Thresholds
) -> Candidates:
    """Read peaks off a heat-map: each is a centre, with its distances to the four sides.

    Args:
        heat: 1 x C x h x w, 0 to 1, zero beside the peaks.
        sides: 1 x 4 x h x w: left, top, right, bottom in pixels from the middle of the cell.
        size: Width and height of the input; with h and w it gives the stride.
        thresholds: Lowest score of each class.
    """
    classes, rows, columns = np.nonzero(heat[0] >= thresholds[:, None, None])
    scores = heat[0, classes, rows, columns]
    stride_x, stride_y = size[0] / heat.shape[3], size[1] / heat.shape[2]
    x, y = (columns + 0.5) * stride_x, (rows + 0.5) * stride_y
    left, top, right, bottom = sides[0][:, rows, columns]
    corners = np.stack([x - left, y - top, x + right, y + bottom], axis=1)
    return _best(corners, scores, classes)


def place_yolox(rows: Floats, size: Size) -> Floats:
    """Turn the offsets in cells that YOLOX gives by default into centres and sizes in pixels.

    Args:
        rows: 1 x N x (5+C), the finest map first, each row by row.
        size: Width and height of the input.
    """
    pyramid = next(strides for strides in _PYRAMIDS if _cells(size, strides) == rows.shape[1])
    cells, scales = [], []
    for stride in pyramid:
        across, down = size[0] // stride, size[1] // stride
        y, x = np.divmod(np.arange(across * down), across)
        cells.append(np.stack([x, y], axis=1))
        scales.append(np.full((across * down, 1), stride))
    placed = rows.astype(np.float32, copy=True)
    scale = np.concatenate(scales).astype(np.float32)
    placed[0, :, :2] = (placed[0, :, :2] + np.concatenate(cells)) * scale
    # Above e^20 a box is nonsense in any case; the limit keeps the arithmetic finite.
    placed[0, :, 2:4] = np.exp(np.minimum(placed[0, :, 2:4], 20)) * scale
    return placed


def decode_rows(rows: Floats, thresholds: Thresholds) -> Candidates:
    """Read 1 x N x (5+C): centre and size in pixels, whether there is anything, class scores."""
    # Most rows are empty; leaving them out first saves the work on all their classes.
    alive = rows[0, rows[0, :, 4] >= thresholds.min(initial=1.0)]
    return _by_class(alive[:, :4], alive[:, 5:] * alive[:, 4:5], thresholds)


def decode_columns(columns: Floats, thresholds: Thresholds) -> Candidates:
    """Read 1 x (4+C) x N: centre and size in pixels, class scores."""
    return _by_class(columns[0, :4].T, columns[0, 4:].T, thresholds)


def decode_end_to_end(rows: Floats, thresholds: Thresholds) -> Candidates:
    """Read 1 x N x 6: corners in pixels, score, class."""
    return _known(rows[0, :, :4], rows[0, :, 4], rows[0, :, 5].astype(np.int64), thresholds)


def decode_ssd(outputs: Mapping[str, Floats], size: Size, thresholds: Thresholds) -> Candidates:
    """Read the four outputs of TensorFlow's detectors; class 1 there is the first label here."""
    count = int(outputs["count"].reshape(-1)[0])
    top, left, bottom, right = outputs["boxes"][0, :count].T
    across, down = size
    corners = np.stack([left * across, top * down, right * across, bottom * down], axis=1)
    classes = outputs["classes"][0, :count].astype(np.int64) - 1
    return _known(corners, outputs["scores"][0, :count], classes, thresholds)


def _known(
    corners: Floats, scores: Floats, classes: NDArray[np.int64], thresholds: Thresholds
) -> Candidates:
    """Apply thresholds where the graph names the class; one without a label is an error.

    Raises:
        Refused: The model speaks of a class that the labels do not have.
    """
    lowest = thresholds.min(initial=1.0)
    unknown = classes[(classes >= len(thresholds)) & (scores >= lowest)]
    if unknown.size:
        message = (
            f"the model found class {int(unknown[0])} but there are {len(thresholds)} labels; "
            "give a complete list in the setting 'labels'"
        )
        raise Refused(message)
    # A class below zero is the background of SSD.
    known = (classes >= 0) & (classes < len(thresholds))
    corners, scores, classes = corners[known], scores[known], classes[known]
    counts = scores >= thresholds[classes]
    return _best(corners[counts], scores[counts], classes[counts])


def _by_class(centred: Floats, by_class: Floats, thresholds: Thresholds) -> Candidates:
    """Take the best class of each row, and corners for centre and size."""
    if not len(centred):
        return _best(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64))
    classes = by_class.argmax(axis=1)
    scores = by_class[np.arange(len(classes)), classes]
    counts = scores >= thresholds[classes]
    middle, half = centred[counts, :2], centred[counts, 2:4] / 2
    corners = np.concatenate([middle - half, middle + half], axis=1)
    return _best(corners, scores[counts], classes[counts])


def _best(corners: NDArray[Any], scores: NDArray[Any], classes: NDArray[np.int64]) -> Candidates:
    """Sort by score, cut at the limit, and drop boxes that are not finite."""
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(corners[order]).all(axis=1)][:MAX_CANDIDATES]
    return Candidates(
        corners[order].astype(np.float32), scores[order].astype(np.float32), classes[order]
    )
