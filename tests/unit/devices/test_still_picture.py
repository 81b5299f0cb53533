"""Tests of annotated stills."""

from __future__ import annotations

import cv2
import numpy as np

from devices.detection import Detection
from devices.drivers.still_picture import annotated_jpeg


def _noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)


def _decoded(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_a_wide_picture_is_made_small_in_proportion() -> None:
    """The width is the limit, the height follows."""
    jpeg = annotated_jpeg(
        np.zeros((1080, 1920, 3), np.uint8), [], max_width=640, quality=80, max_bytes=60_000
    )

    assert (360, 640, 3) == _decoded(jpeg).shape


def test_even_noise_keeps_the_limit_of_bytes() -> None:
    """The picture that JPEG can do least with still fits."""
    jpeg = annotated_jpeg(_noise(1280, 720), [], max_width=640, quality=80, max_bytes=60_000)

    assert len(jpeg) <= 60_000
    assert 3 == _decoded(jpeg).ndim


def test_boxes_are_drawn_where_they_are_and_the_source_stays_clean() -> None:
    """Box edges are coloured at the scaled place, elsewhere and in the given array nothing is."""
    image = np.zeros((720, 1280, 3), np.uint8)
    box = Detection("car", 0.91, 400.0, 300.0, 200.0, 100.0)

    shown = _decoded(
        annotated_jpeg(image, [box], max_width=640, quality=95, max_bytes=60_000)
    ).astype(int)

    assert shown[175, 200].sum() > 150
    assert shown[200, 250].sum() > 150
    assert shown[175, 250].sum() < 60
    assert 0 == image.sum()


def test_boxes_at_the_very_edge_are_drawn() -> None:
    """A box that touches or leaves the picture neither fails nor loses its label."""
    boxes = [
        Detection("a rather long label", 0.5, 600.0, -20.0, 100.0, 50.0),
        Detection("b", 0.5, -30.0, 340.0, 60.0, 60.0),
    ]

    jpeg = annotated_jpeg(
        np.zeros((360, 640, 3), np.uint8), boxes, max_width=640, quality=80, max_bytes=60_000
    )

    assert _decoded(jpeg).sum() > 0
