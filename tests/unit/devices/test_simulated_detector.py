"""Tests of the twin detector, and what every Detector must do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.capabilities import Detector, Surroundings
from devices.detection import iou
from devices.drivers.onnx_detector import OnnxDetector, OnnxDetectorSettings
from devices.errors import Refused, Unreachable
from devices.simulated.detector import SimulatedDetector, SimulatedDetectorSettings
from devices.simulated.picture import SeededScene


def _surroundings() -> Surroundings:
    return Surroundings(lambda: 0, lambda: 0.0, Path())


@pytest.fixture(params=["driver", "twin"])
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    """Give each kind of detector, not connected."""
    made: Detector
    if request.param == "driver":
        made = OnnxDetector("eye", OnnxDetectorSettings(), _surroundings())
    else:
        made = SimulatedDetector("eye", SimulatedDetectorSettings(), _surroundings())
    yield made
    made.close()


def test_a_detector_that_is_not_connected_is_unreachable(detector: Detector) -> None:
    """Before connecting, and after closing, there is no answer."""
    with pytest.raises(Unreachable):
        detector.detect(np.zeros((90, 160, 3), np.uint8))


def test_a_detector_takes_pictures_of_any_size_and_changes_none(detector: Detector) -> None:
    """Grey pictures hold nothing, whatever their size, and stay as they were."""
    detector.connect()
    detector.connect()

    for size in ((90, 160), (360, 640), (64, 64)):
        image = np.full((*size, 3), 90, np.uint8)
        assert [] == detector.detect(image)
        assert 90 * image.size == image.sum(dtype=np.int64)


def test_a_detector_refuses_what_is_not_a_picture(detector: Detector) -> None:
    """Another shape or dtype is refused instead of being guessed at."""
    detector.connect()

    for wrong in (np.zeros((90, 160), np.uint8), np.zeros((90, 160, 3), np.float32)):
        with pytest.raises(Refused):
            detector.detect(wrong)


def test_a_detector_describes_itself_in_json(detector: Detector) -> None:
    """Labels and more, ready to be written into a task's output."""
    detector.connect()

    described = detector.describe()

    assert described["labels"]
    assert set(described) == set(json.loads(json.dumps(described)))


def _twin(miss_rate: float = 0.0) -> SimulatedDetector:
    settings = SimulatedDetectorSettings(miss_rate=miss_rate)
    detector = SimulatedDetector("eye", settings, _surroundings())
    detector.connect()
    return detector


@pytest.mark.parametrize("seed", [1, 2])
def test_the_twin_finds_the_twin_cameras_visitors(seed: int) -> None:
    """In every frame it finds exactly who is there, with the right label and box."""
    scene = SeededScene(seed, 160, 90)
    detector = _twin()

    for index in range(75, 240, 3):
        truth, found = scene.truth(index), detector.detect(scene.frame(index))
        if truth and truth[0].w < 6:
            continue
        assert [one.label for one in truth] == [one.label for one in found]
        assert all(iou(one, two) > 0.6 for one, two in zip(truth, found, strict=True))


def test_the_twin_misses_by_its_seed() -> None:
    """With a miss rate some pictures come back empty, the same ones for the same seed."""
    image = SeededScene(1, 160, 90).frame(100)

    one, again = _twin(miss_rate=0.5), _twin(miss_rate=0.5)
    found = [bool(one.detect(image)) for _ in range(50)]

    assert found == [bool(again.detect(image)) for _ in range(50)]
    assert 10 < sum(found) < 40


def test_the_twin_is_lost_and_slow_on_cue() -> None:
    """Lost it is unreachable; restored and slow it answers."""
    detector = _twin()
    detector.lose("the accelerator is gone")
    with pytest.raises(Unreachable, match="accelerator"):
        detector.detect(np.zeros((90, 160, 3), np.uint8))

    detector.restore()
    detector.slow(0.001)

    assert [] == detector.detect(np.zeros((90, 160, 3), np.uint8))
