"""Measures a detector against scenes whose truth is known: stills, and frames of H.264 videos.

It trains nothing and needs neither torch nor onnx: what runs on a device runs here.

    .venv/bin/python packaging/tools/evaluate_demo_detector.py --stills 500 --videos 4
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devices.capabilities import Surroundings
from devices.detection import Detection, iou
from devices.drivers.onnx_detector import OnnxDetector, OnnxDetectorSettings
from devices.scenes import LABELS, TruthBox, read_truth, still, write_video

# The trainer uses none of these seeds.
STILL_SEEDS = range(600_000, 700_000)
VIDEO_SEEDS = range(9_000, 10_000)
# An object hidden by more than this is neither demanded nor held against the detector.
CLEARLY_VISIBLE = 0.5
TOUCHES = 0.1


class Sample(NamedTuple):
    """What is in one picture and what was found there."""

    truth: list[TruthBox]
    """What should be found, and glimpses, which may be."""

    found: list[Detection]


class Score(NamedTuple):
    """How well one class was found."""

    label: str
    objects: int
    average_precision: float
    """Area under the precision-recall curve, over all scores."""

    precision: float
    """At the working threshold."""

    recall: float
    """At the working threshold."""


def judge(
    samples: Sequence[Sample], label: str, *, overlap: float = 0.5, threshold: float = 0.5
) -> Score:
    """Match what was found of one class with what was there, best score first.

    Args:
        samples: All pictures; found with a low threshold, or the curve is cut off.
        label: The class.
        overlap: Intersection over union that makes a hit.
        threshold: Score at which precision and recall are told.
    """
    hits: list[tuple[float, bool]] = []
    objects = 0
    for truth, found in samples:
        there = [box for box in truth if box.label == label]
        objects += sum(box.visible >= CLEARLY_VISIBLE for box in there)
        taken: set[int] = set()
        for candidate in sorted(found, key=lambda one: -one.score):
            if candidate.label != label:
                continue
            match = _match(candidate, there, taken, overlap)
            if match is None:
                # Half a lorry at the edge of the picture may be a car to anybody.
                if not any(
                    box.visible < CLEARLY_VISIBLE and _touch(candidate, box) for box in truth
                ):
                    hits.append((candidate.score, False))
                continue
            taken.add(match)
            if there[match].visible >= CLEARLY_VISIBLE:
                hits.append((candidate.score, True))
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in hits], dtype=np.float64)
    recall = right / max(objects, 1)
    precision = right / np.arange(1, len(hits) + 1)
    at = sum(score >= threshold for score, _ in hits)
    return Score(
        label,
        objects,
        _area(recall, precision),
        float(precision[at - 1]) if at else 0.0,
        float(recall[at - 1]) if at else 0.0,
    )


def _match(
    candidate: Detection, there: Sequence[TruthBox], taken: set[int], overlap: float
) -> int | None:
    """Find the free truth box that the candidate covers best."""
    best, best_overlap = None, overlap
    for index, box in enumerate(there):
        shared = iou(candidate, Detection(box.label, 1.0, box.x, box.y, box.w, box.h))
        if index not in taken and shared >= best_overlap:
            best, best_overlap = index, shared
    return best


def _touch(candidate: Detection, box: TruthBox) -> bool:
    return iou(candidate, Detection(box.label, 1.0, box.x, box.y, box.w, box.h)) > TOUCHES


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Give the area under the curve, precision taken as the best at that recall or beyond."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def mean_average_precision(samples: Sequence[Sample], *, overlap: float = 0.5) -> float:
    """Average the classes' average precision."""
    return statistics.fmean(
        judge(samples, label, overlap=overlap).average_precision for label in LABELS
    )


def still_samples(
    detect: Callable[[NDArray[np.uint8]], list[Detection]],
    seeds: Iterable[int],
    size: tuple[int, int],
) -> list[Sample]:
    """Draw and examine one still per seed."""
    samples = []
    for seed in seeds:
        image, boxes, labels = still(seed, size)
        truth = [
            TruthBox(0, label, float(x), float(y), float(w), float(h), visible=1.0)
            for label, (x, y, w, h) in zip(labels, boxes, strict=True)
        ]
        samples.append(Sample(truth, detect(image)))
    return samples


def video_samples(
    detect: Callable[[NDArray[np.uint8]], list[Detection]], video: Path, every: int
) -> list[Sample]:
    """Decode a video made by this project and examine every n-th frame."""
    truth = read_truth(video)
    samples = []
    for index, image in enumerate(_frames(video)):
        if index % every == 0 and index < len(truth.boxes):
            samples.append(Sample(truth.boxes[index] + truth.glimpses[index], detect(image)))
    return samples


def _frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(video))
    while True:
        present, image = capture.read()
        if not present:
            break
        yield np.asarray(image, np.uint8)
    capture.release()


def _report(title: str, samples: Sequence[Sample]) -> None:
    scores = [judge(samples, label) for label in LABELS]
    mean = statistics.fmean(score.average_precision for score in scores)
    strict = mean_average_precision(samples, overlap=0.75)
    print(f"\n{title}: mAP@0.5 {mean:.3f}, mAP@0.75 {strict:.3f}")
    print("| class | objects | AP@0.5 | precision at 0.5 | recall at 0.5 |\n|---|--:|--:|--:|--:|")
    for score in scores:
        figures = (score.average_precision, score.precision, score.recall)
        print(
            f"| {score.label} | {score.objects} | " + " | ".join(f"{x:.3f}" for x in figures) + " |"
        )


def main() -> None:
    """Examine stills and videos and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="", help="another model; its labels must be the same")
    parser.add_argument("--stills", type=int, default=500)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--every", type=int, default=5, help="examine every n-th frame")
    parser.add_argument("--seconds", type=float, default=50.0)
    options = parser.parse_args()
    settings = OnnxDetectorSettings(model=options.model, score_threshold=0.05)
    around = Surroundings(lambda: 0, time.monotonic, Path.cwd())
    detector = OnnxDetector("demo", settings, around)
    detector.connect()
    samples = still_samples(detector.detect, STILL_SEEDS[: options.stills], (640, 360))
    _report(f"{options.stills} stills of 640x360", samples)
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in VIDEO_SEEDS[: options.videos]:
            video = Path(folder) / f"{seed}.mp4"
            encoder = write_video(video, seed, options.seconds)
            samples += video_samples(detector.detect, video, options.every)
    _report(f"{options.videos} videos of {options.seconds:g} s ({encoder})", samples)
    empty = [sample for sample in samples if not sample.truth]
    false = sum(score.score >= 0.5 for sample in empty for score in sample.found)
    print(f"empty frames: {len(empty)}, false boxes at 0.5 in them: {false}")
    started = time.process_time()
    image = still(STILL_SEEDS[0])[0]
    for _ in range(50):
        detector.detect(image)
    print(f"CPU per detection, resizing included: {(time.process_time() - started) * 20:.1f} ms")


if __name__ == "__main__":
    main()
