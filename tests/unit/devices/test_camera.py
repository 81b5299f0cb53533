"""Tests of the camera driver's settings, refusals and back-off.

How it runs on real films and streams is tested in tests/integration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.capabilities import CameraState, Surroundings
from devices.drivers.camera import VideoCamera
from devices.drivers.camera_settings import CameraSettings, ReconnectSettings, backoff_s
from devices.errors import Refused, Unreachable


def _camera(folder: Path, **settings: Any) -> VideoCamera:
    surroundings = Surroundings(lambda: 1_000, lambda: 1.0, folder)
    return VideoCamera("front", msgspec.convert(settings, CameraSettings), surroundings)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, r"source: there is no video file .*nowhere\.mp4"),
        (b"this is not a video", r"nowhere\.mp4 is not a video"),
    ],
)
def test_a_wrong_file_is_refused_and_leaves_the_camera_broken(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    """The message names the setting and the path, and stays in the status."""
    if content is not None:
        (tmp_path / "nowhere.mp4").write_bytes(content)
    camera = _camera(tmp_path, source="nowhere.mp4")

    with pytest.raises(Refused, match=word):
        camera.connect()

    assert CameraState.BROKEN is camera.status().state
    assert "nowhere.mp4" in camera.status().message
    assert camera.snapshot() is None


def test_a_camera_that_was_not_connected_is_closed_without_effect(tmp_path: Path) -> None:
    """Closing needs no connecting before it, and a clip of nothing is unreachable."""
    camera = _camera(tmp_path, source="nowhere.mp4")

    camera.close()

    assert 0 == camera.status().frames
    with pytest.raises(Unreachable, match="not delivered"):
        camera.clip(0, 1_000, tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"source": "a.mp4", "sorce": "b.mp4"},
        {"source": "a.mp4", "detect_fps": 0},
        {"source": "a.mp4", "decode": "sometimes"},
        {"source": "a.mp4", "motion": {"thresold": 3}},
        {"source": "a.mp4", "motion": {"min_area": 2.0}},
        {"source": "a.mp4", "reconnect": {"stall_s": 0}},
        {"source": "a.mp4", "ring_bytes": 10},
    ],
)
def test_settings_that_cannot_be_are_not_taken(settings: dict[str, Any]) -> None:
    """Missing, unknown and impossible settings are errors."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, CameraSettings)


def test_back_off_doubles_to_its_limit() -> None:
    """Waits grow from the first to the longest and stay there."""
    settings = ReconnectSettings(first_s=0.5, max_s=10)

    assert [0.5, 0.5, 1, 2, 4, 8, 10, 10] == [backoff_s(settings, n) for n in range(8)]
    assert 10 == backoff_s(settings, 10_000)
