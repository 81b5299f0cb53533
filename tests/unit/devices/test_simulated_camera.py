"""Tests of the twin camera's cues and of its seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devices.capabilities import CameraState, MotionEvent, Surroundings
from devices.errors import Refused
from devices.simulated.camera import SimulatedCamera, SimulatedCameraSettings
from devices.simulated.picture import SeededScene


class _Time:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def surroundings(self) -> Surroundings:
        return Surroundings(lambda: self.ms, lambda: self.ms / 1000, Path())


def _twin(time: _Time, seed: int = 1) -> SimulatedCamera:
    settings = SimulatedCameraSettings(seed=seed, by_hand=True)
    camera = SimulatedCamera("front", settings, time.surroundings())
    camera.connect()
    return camera


def _run(camera: SimulatedCamera, time: _Time, frames: int) -> None:
    for _ in range(frames):
        camera.step()
        time.ms += 100


def test_the_same_seed_is_the_same_film() -> None:
    """Two twins of one seed show the same bytes, another seed does not."""
    one, same, other = (SeededScene(seed, 160, 90) for seed in (5, 5, 6))

    assert np.array_equal(one.frame(100), same.frame(100))
    assert not np.array_equal(one.frame(100), other.frame(100))


def test_each_visit_of_the_scene_is_one_event() -> None:
    """In three periods of the scene three events are told, each while a visitor is there."""
    time = _Time()
    camera = _twin(time)
    told: list[tuple[int, MotionEvent]] = []
    camera.watch(lambda event: told.append((camera.status().frames - 1, event)))

    _run(camera, time, 360)

    assert 3 == len(told)
    assert all(camera.scene.truth(index) for index, _ in told)


def test_a_lost_twin_says_so_and_comes_back() -> None:
    """While lost there is no snapshot; afterwards a reconnect is counted."""
    time = _Time()
    camera = _twin(time)
    _run(camera, time, 5)

    camera.lose("the cable is cut")
    _run(camera, time, 5)

    assert CameraState.LOST is camera.status().state
    assert "the cable is cut" == camera.status().message
    assert camera.snapshot() is None
    camera.restore()
    _run(camera, time, 1)
    assert CameraState.ONLINE is camera.status().state
    assert 1 == camera.status().reconnects
    assert 6 == camera.status().frames


def test_a_twin_that_stands_still_is_lost_by_time_alone() -> None:
    """Liveness is judged by the newest frame's age."""
    time = _Time()
    camera = _twin(time)
    _run(camera, time, 5)

    time.ms += 10_000

    assert CameraState.LOST is camera.status().state
    assert "no new frame" in camera.status().message


def test_a_power_cut_takes_the_pre_roll(tmp_path: Path) -> None:
    """What was only in memory is gone afterwards, and a clip of it is refused."""
    time = _Time()
    camera = _twin(time)
    _run(camera, time, 30)
    span = (time.ms - 2_000, time.ms - 1_000)
    camera.clip(*span, tmp_path / "before.mp4")

    camera.cut_power()

    with pytest.raises(Refused, match="empty"):
        camera.clip(*span, tmp_path / "after.mp4")
    assert CameraState.LOST is camera.status().state
