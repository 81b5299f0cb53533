"""The demonstration detector on scenes it was never trained on, as it runs on a device."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from devices.capabilities import Surroundings
from devices.detection import Detection, iou
from devices.drivers.onnx_detector import OnnxDetector, OnnxDetectorSettings
from devices.scenes import LABELS, TruthBox, read_truth, still, write_video

# Videos are written, compressed and looked at frame by frame: a busy machine takes its time.
pytestmark = pytest.mark.timeout(120)

# Training uses seeds from 1,000,000 on.
STILL_SEEDS = range(700_000, 700_150)
VIDEO_SEEDS = (77, 78, 79)


class Examined(NamedTuple):
    """One decoded frame and its truth."""

    image: NDArray[np.uint8]
    boxes: list[TruthBox]
    glimpses: list[TruthBox]


def looker(threshold: float) -> Callable[[NDArray[np.uint8]], list[Detection]]:
    """Open the bundled model."""
    ticks = itertools.count()
    around = Surroundings(lambda: 0, lambda: float(next(ticks)), Path())
    eye = OnnxDetector("demo", OnnxDetectorSettings(score_threshold=threshold), around)
    eye.connect()
    return eye.detect


def covers(found: Detection, box: TruthBox) -> bool:
    """Tell whether a detection hits a truth box of its label."""
    there = Detection(box.label, 1.0, box.x, box.y, box.w, box.h)
    return found.label == box.label and iou(found, there) >= 0.5


def average_precision(scored: list[tuple[float, bool]], objects: int) -> float:
    """Give the area under the precision-recall curve of hits and misses."""
    scored.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in scored])
    precision = right / np.arange(1, len(scored) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(right / objects, prepend=0) * envelope))


def test_stills_never_trained_on() -> None:
    """Mean average precision at half overlap is 0.9 or better over all four classes."""
    detect = looker(0.05)
    scored: dict[str, list[tuple[float, bool]]] = {label: [] for label in LABELS}
    objects = dict.fromkeys(LABELS, 0)
    for seed in STILL_SEEDS:
        image, boxes, labels = still(seed, (640, 360))
        free = [
            TruthBox(number, label, float(x), float(y), float(w), float(h), visible=1.0)
            for number, (label, (x, y, w, h)) in enumerate(zip(labels, boxes, strict=True))
        ]
        for box in free:
            objects[box.label] += 1
        for found in detect(image):
            hit = next((box for box in free if covers(found, box)), None)
            if hit is not None:
                free.remove(hit)
            scored[found.label].append((found.score, hit is not None))

    precisions = {label: average_precision(scored[label], objects[label]) for label in LABELS}
    assert min(objects.values()) > 50
    assert np.mean(list(precisions.values())) >= 0.9, precisions


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Examined]:
    """Make videos and decode every fourth frame of them, with its truth."""
    kept = []
    for seed in VIDEO_SEEDS:
        video = tmp_path_factory.mktemp("scenes") / f"{seed}.mp4"
        # Ten frames a second keep the test short; each is compressed as at twenty-five.
        write_video(video, seed, seconds=36, fps=10)
        truth, capture = read_truth(video), cv2.VideoCapture(str(video))
        for index in range(truth.frames):
            capture.grab()
            if index % 4 == 0:
                image = np.asarray(capture.retrieve()[1], np.uint8)
                kept.append(Examined(image, truth.boxes[index], truth.glimpses[index]))
        capture.release()
    return kept


@pytest.mark.parametrize("scale", [1, 2])
def test_videos_after_compression(frames: list[Examined], scale: int) -> None:
    """After H.264, nine of ten objects are found, and hardly anything that is not there.

    A camera of twice the size shows the same scene; the detector scales it down.
    """
    detect = looker(0.5)
    there, hits = dict.fromkeys(LABELS, 0), dict.fromkeys(LABELS, 0)
    invented = 0
    for image, boxes, glimpses in frames:
        large = cv2.resize(image, None, fx=scale, fy=scale)
        found = [scaled_down(one, scale) for one in detect(np.asarray(large, np.uint8))]
        for box in boxes:
            if box.visible >= 0.5:
                there[box.label] += 1
                hits[box.label] += any(covers(one, box) for one in found)
        known = boxes + glimpses
        invented += sum(not any(covers(one, box) for box in known) for one in found)

    assert min(there.values()) > 10
    assert sum(hits.values()) >= 0.9 * sum(there.values()), (hits, there)
    assert invented <= 0.1 * sum(there.values()), (invented, there)


def scaled_down(found: Detection, scale: int) -> Detection:
    """Bring a detection in an enlarged picture back to the original."""
    return Detection(
        found.label,
        found.score,
        found.x / scale,
        found.y / scale,
        found.w / scale,
        found.h / scale,
    )
