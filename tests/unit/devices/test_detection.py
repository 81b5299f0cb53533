"""Detections: overlap, suppression and the geometry of letterboxes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from devices.detection import Detection, Letterbox, iou, suppress


def found(label: str, score: float, x: float, w: float = 10) -> Detection:
    """Make a detection in a row of height ten."""
    return Detection(label, score, x, 0, w, 10)


def test_overlap_of_equal_boxes_is_one() -> None:
    """A box covers itself wholly."""
    box = found("car", 0.9, 3)

    assert 1.0 == iou(box, box)


def test_overlap_of_half_shifted_boxes_is_a_third() -> None:
    """Half of each shared is a third of all that is covered, whatever the labels."""
    assert pytest.approx(1 / 3) == iou(found("car", 0.9, 0), found("truck", 0.1, 5))


@pytest.mark.parametrize("x", [10, 11, -10, 500])
def test_boxes_that_only_touch_do_not_overlap(x: float) -> None:
    """Boxes that share an edge, or nothing, overlap by zero."""
    assert 0.0 == iou(found("car", 0.9, 0), found("car", 0.9, x))


def test_suppression_keeps_the_best_of_one_label() -> None:
    """Of boxes on each other the best score stays; a box elsewhere stays too."""
    best, rival, elsewhere = found("car", 0.9, 0), found("car", 0.8, 1), found("car", 0.3, 50)

    assert [best, elsewhere] == suppress([rival, elsewhere, best], 0.5)


def test_suppression_leaves_other_labels_alone() -> None:
    """A person in front of a car stays although the boxes are equal."""
    person, car = found("person", 0.6, 0), found("car", 0.9, 0)

    assert [car, person] == suppress([person, car], 0.5)


def test_suppression_compares_with_what_is_kept_only() -> None:
    """A box that overlaps a suppressed one, but none that is kept, is kept."""
    first, second, third = found("car", 0.9, 0), found("car", 0.8, 3), found("car", 0.7, 6)

    assert [first, third] == suppress([first, second, third], 0.3)


def test_suppression_stops_at_its_limit() -> None:
    """The weakest are left out beyond the limit."""
    boxes = [found("car", 0.1 * n, 100 * n) for n in range(1, 8)]

    assert [boxes[6], boxes[5]] == suppress(boxes, 0.5, limit=2)


@pytest.mark.parametrize(
    ("source", "inner", "left", "top"),
    [
        ((640, 360), (640, 360), 0, 12),
        ((1920, 1080), (640, 360), 0, 12),
        ((100, 384), (100, 384), 270, 0),
        ((5000, 1), (640, 1), 0, 191),
    ],
)
def test_letterbox_fits_as_large_as_it_goes(
    source: tuple[int, int], inner: tuple[int, int], left: int, top: int
) -> None:
    """The picture keeps its shape, is centred, and never vanishes."""
    box = Letterbox.fit(source, (640, 384))

    assert (inner, left, top) == (box.inner, box.left, box.top)


@pytest.mark.parametrize("source", [(640, 360), (1280, 720), (333, 777), (64, 2000)])
def test_letterbox_gives_back_what_it_placed(source: tuple[int, int]) -> None:
    """A box placed into the input and brought back is the same box."""
    letterbox = Letterbox.fit(source, (640, 384))
    x, y, w, h = source[0] * 0.25, source[1] * 0.5, source[0] * 0.5, source[1] * 0.25
    scale_x, scale_y = letterbox.inner[0] / source[0], letterbox.inner[1] / source[1]
    corners = (
        letterbox.left + x * scale_x,
        letterbox.top + y * scale_y,
        letterbox.left + (x + w) * scale_x,
        letterbox.top + (y + h) * scale_y,
    )

    assert pytest.approx((x, y, w, h)) == letterbox.back(*corners)


def test_letterbox_cuts_at_the_edge_of_the_picture() -> None:
    """What reaches into the border is cut; what lies in the border is nothing."""
    letterbox = Letterbox.fit((640, 360), (640, 384))

    assert (0.0, 0.0, 640.0, 360.0) == letterbox.back(-50, -50, 700, 400)
    assert letterbox.back(10, 0, 60, 12) is None


def test_importing_it_brings_no_numpy() -> None:
    """The base install has no numpy and imports this module all the same."""
    code = "import sys, devices.detection; sys.exit('numpy' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
