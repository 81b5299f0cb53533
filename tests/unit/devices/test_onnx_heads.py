"""Output heads: each family is recognised by its shapes, and its tensors become the right boxes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from devices.drivers import onnx_heads
from devices.drivers.onnx_heads import Head, decode, recognise
from devices.errors import Refused

SIZE = (640, 384)
CELLS = 80 * 48 + 40 * 24 + 20 * 12


def limits(*values: float) -> NDArray[np.float32]:
    """Make one threshold per class."""
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("shapes", "classes", "expected"),
    [
        ({"heat": (1, 4, 48, 80), "ltrb": (1, 4, 48, 80)}, 4, Head.CENTER_LTRB),
        ({"output": (1, CELLS, 85)}, 80, Head.YOLOX),
        ({"output": (1, CELLS, 6)}, 1, Head.YOLOX),
        ({"output0": (1, 3 * CELLS, 85)}, 80, Head.YOLOV5),
        ({"output0": (1, 3 * (CELLS + 60), 6)}, 1, Head.YOLOV5),
        ({"output0": (1, 84, CELLS)}, 80, Head.YOLOV8),
        ({"output0": (1, 5, CELLS)}, 1, Head.YOLOV8),
        ({"output0": (1, 300, 6)}, 80, Head.END_TO_END),
        ({"output0": (1, 300, 6)}, 1, Head.END_TO_END),
        (
            {
                "detection_boxes:0": (1, 100, 4),
                "detection_classes:0": (1, 100),
                "detection_scores:0": (1, 100),
                "num_detections:0": (1,),
            },
            90,
            Head.SSD,
        ),
    ],
)
def test_family_is_recognised(
    shapes: dict[str, tuple[int, ...]], classes: int, expected: Head
) -> None:
    """Shapes, input size and number of labels together leave one family."""
    assert expected == recognise(shapes, SIZE, classes)


@pytest.mark.parametrize(
    ("shapes", "classes"),
    [
        ({"output0": (1, 84, CELLS)}, 79),  # labels do not fit
        ({"output0": (1, 84, CELLS + 1)}, 80),  # anchors of another input size
        ({"output": (1, CELLS, 84)}, 80),  # rows without an object score
        ({"heat": (1, 4, 48, 80), "ltrb": (1, 4, 24, 40)}, 4),
        ({"heat": (1, 3, 48, 80), "ltrb": (1, 4, 48, 80)}, 4),
        ({"logits": (1, 1000)}, 1000),
        ({"a": (1, 2), "b": (1, 2), "c": (1, 2)}, 2),
    ],
)
def test_unknown_shapes_are_refused(shapes: dict[str, tuple[int, ...]], classes: int) -> None:
    """What fits no family is refused with what was seen and the settings that help."""
    with pytest.raises(Refused, match=r"fit no family.*'labels'.*'head'"):
        recognise(shapes, SIZE, classes)


def test_named_family_must_fit() -> None:
    """A family that is named and does not fit is refused, not forced."""
    with pytest.raises(Refused, match="fit yolov8, not the named family yolox"):
        recognise({"output0": (1, 84, CELLS)}, SIZE, 80, Head.YOLOX)


def test_decoded_yolox_has_to_be_named() -> None:
    """Raw and decoded YOLOX have one shape; the name decides, and raw is YOLOX's own default."""
    shapes = {"output": (1, CELLS, 85)}

    assert Head.YOLOX_DECODED == recognise(shapes, SIZE, 80, Head.YOLOX_DECODED)
    assert Head.YOLOX == recognise(shapes, SIZE, 80)


def test_center_ltrb_reads_peaks() -> None:
    """A peak is the middle of its cell, and its four distances make the box."""
    heat, sides = np.zeros((1, 2, 48, 80), np.float32), np.zeros((1, 4, 48, 80), np.float32)
    heat[0, 1, 10, 20], heat[0, 0, 5, 5] = 0.8, 0.3
    sides[0, :, 10, 20] = (10, 20, 30, 40)

    found = decode(Head.CENTER_LTRB, {"heat": heat, "ltrb": sides}, SIZE, limits(0.4, 0.4))

    assert [[154, 64, 194, 124]] == found.corners.tolist()
    assert [1] == found.classes.tolist()
    assert pytest.approx([0.8]) == found.scores.tolist()


def test_thresholds_are_per_class() -> None:
    """The same score counts for one class and not for another."""
    heat, sides = np.zeros((1, 2, 48, 80), np.float32), np.ones((1, 4, 48, 80), np.float32)
    heat[0, :, 10, 20] = 0.5

    found = decode(Head.CENTER_LTRB, {"heat": heat, "ltrb": sides}, SIZE, limits(0.6, 0.4))

    assert [1] == found.classes.tolist()


def test_raw_yolox_is_placed_on_its_grids() -> None:
    """Offsets count from the cell in units of the stride, sizes are logarithms."""
    rows = np.zeros((1, CELLS, 7), np.float32)
    middle_map = 80 * 48 + 3 * 40 + 7  # stride 16, row 3, column 7
    rows[0, middle_map] = (0.5, 0.25, np.log(2), np.log(4), 0.9, 0.1, 0.8)

    found = decode(Head.YOLOX, {"output": rows}, SIZE, limits(0.5, 0.5))

    x, y = 7.5 * 16, 3.25 * 16
    assert pytest.approx([x - 16, y - 32, x + 16, y + 32]) == found.corners[0].tolist()
    assert [1] == found.classes.tolist()
    assert pytest.approx([0.72]) == found.scores.tolist()


def test_raw_and_decoded_yolox_are_told_apart() -> None:
    """Decoded centres spread over the input, raw ones stay near zero."""
    rows = np.zeros((1, CELLS, 7), np.float32)

    placed = onnx_heads.place_yolox(rows, SIZE)

    assert not onnx_heads.looks_decoded({"output": rows}, SIZE)
    assert onnx_heads.looks_decoded({"output": placed}, SIZE)


@pytest.mark.parametrize("head", [Head.YOLOV5, Head.YOLOX_DECODED])
def test_rows_multiply_object_and_class(head: Head) -> None:
    """The score is the product of both; the box is in pixels already."""
    rows = np.zeros((1, 5, 7), np.float32)
    rows[0, 2] = (100, 50, 40, 20, 0.5, 0.9, 0.2)
    rows[0, 3] = (100, 50, 40, 20, 0.5, 0.3, 0.2)

    found = decode(head, {"output": rows}, SIZE, limits(0.4, 0.4))

    assert [[80, 40, 120, 60]] == found.corners.tolist()
    assert pytest.approx([0.45]) == found.scores.tolist()


def test_columns_take_the_best_class() -> None:
    """YOLOv8 has no object score; the best class is the score."""
    columns = np.zeros((1, 7, 9), np.float32)
    columns[0, :, 4] = (100, 50, 40, 20, 0.1, 0.2, 0.7)
    columns[0, :, 5] = (10, 10, 4, 4, 0.0, 0.9, 0.0)

    found = decode(Head.YOLOV8, {"output0": columns}, SIZE, limits(0.4, 0.4, 0.4))

    assert [[8, 8, 12, 12], [80, 40, 120, 60]] == found.corners.tolist()
    assert [1, 2] == found.classes.tolist()


def test_end_to_end_rows_are_boxes() -> None:
    """Corners, score and class stand as they are."""
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = (1, 2, 30, 40, 0.9, 1)

    found = decode(Head.END_TO_END, {"output0": rows}, SIZE, limits(0.4, 0.4))

    assert [[1, 2, 30, 40]] == found.corners.tolist()
    assert [1] == found.classes.tolist()


def test_class_without_label_is_refused() -> None:
    """A class beyond the labels is an error that names the setting, not a wrong name."""
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = (1, 2, 30, 40, 0.9, 7)

    with pytest.raises(Refused, match=r"class 7 but there are 2 labels.*'labels'"):
        decode(Head.END_TO_END, {"output0": rows}, SIZE, limits(0.4, 0.4))


def test_ssd_counts_classes_from_one_and_boxes_in_shares() -> None:
    """Class 1 is the first label; only as many rows as the count says are read."""
    outputs = {
        "detection_boxes:0": np.array([[[0.25, 0.5, 0.5, 1.0]] * 3], np.float32),
        "detection_classes:0": np.array([[2, 1, 1]], np.float32),
        "detection_scores:0": np.array([[0.9, 0.1, 0.99]], np.float32),
        "num_detections:0": np.array([2], np.float32),
    }

    found = decode(Head.SSD, outputs, SIZE, limits(0.4, 0.4))

    assert [[320, 96, 640, 192]] == found.corners.tolist()
    assert [1] == found.classes.tolist()


def test_candidates_are_limited_best_first() -> None:
    """However much a model shouts, only the best go on."""
    heat = np.linspace(0.5, 0.9, 48 * 80, dtype=np.float32).reshape(1, 1, 48, 80)
    sides = np.ones((1, 4, 48, 80), np.float32)

    found = decode(Head.CENTER_LTRB, {"heat": heat, "ltrb": sides}, SIZE, limits(0.4))

    assert onnx_heads.MAX_CANDIDATES == len(found.scores)
    assert pytest.approx(0.9) == found.scores[0]
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_dropped(bad: float) -> None:
    """A box that is not finite, or a score that is no number, is no detection."""
    columns = np.zeros((1, 5, 2), np.float32)
    columns[0, :, 0] = (bad, 50, 40, 20, 0.9)
    columns[0, :, 1] = (100, 50, 40, 20, np.nan)

    assert 0 == len(decode(Head.YOLOV8, {"output0": columns}, SIZE, limits(0.4)).scores)


@pytest.mark.parametrize("head", [Head.YOLOV5, Head.YOLOX])
def test_nothing_found_is_an_empty_answer(head: Head) -> None:
    """A model that sees nothing gives no rows, of the right shape."""
    found = decode(head, {"output": np.zeros((1, CELLS, 7), np.float32)}, SIZE, limits(0.4, 0.4))

    assert (0, 4) == found.corners.shape
