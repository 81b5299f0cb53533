"""Tests of the film writer, read back with OpenCV's FFmpeg as an independent witness."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from devices.mp4 import write_film
from devices.simulated.picture import encode_png


def _read(path: Path) -> list[tuple[float, np.ndarray]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while capture.grab():
        frames.append((capture.get(cv2.CAP_PROP_POS_MSEC), capture.retrieve()[1]))
    capture.release()
    return frames


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
def test_a_film_can_be_read_by_another_reader(tmp_path: Path, codec: str) -> None:
    """Number, size, content and times of the pictures are what was written."""
    images = [np.full((36, 64, 3), level, np.uint8) for level in range(0, 200, 20)]
    encoded = [
        encode_png(one) if codec == "png" else cv2.imencode(".jpg", one)[1].tobytes()
        for one in images
    ]
    times_ms = [0, 100, 200, 300, 450, 600, 700, 800, 900, 1000]
    path = tmp_path / "film.mp4"

    write_film(path, codec=codec, size=(64, 36), frames=encoded, times_ms=times_ms)

    frames = _read(path)
    assert times_ms == [round(time) for time, _ in frames]
    assert all(
        np.abs(shown.astype(int) - one).max() <= 1
        for one, (_, shown) in zip(images, frames, strict=True)
    )


def test_a_film_of_one_picture_is_a_film(tmp_path: Path) -> None:
    """A single picture has a duration too."""
    path = tmp_path / "film.mp4"

    write_film(
        path,
        codec="png",
        size=(16, 16),
        frames=[encode_png(np.zeros((16, 16, 3), np.uint8))],
        times_ms=[0],
    )

    assert 1 == len(_read(path))
