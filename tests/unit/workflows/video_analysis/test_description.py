"""Tests of what is said about tracks."""

from __future__ import annotations

import pytest

from devices.detection import Detection
from workflows.video_analysis.description import (
    MAX_PATH_POINTS,
    best_moment,
    sentence,
    summarise,
)
from workflows.video_analysis.tracker import Sighting, Track

_SIZE = (640, 360)


def _track(
    points: list[tuple[float, float]], *, labels: str = "", step_ms: int = 200, score: float = 0.8
) -> Track:
    boxes = [
        Detection("car" if not labels or labels[n] == "c" else "truck", score, x, y, 60.0, 30.0)
        for n, (x, y) in enumerate(points)
    ]
    made = Track(Sighting(0, boxes[0]))
    for n, box in enumerate(boxes[1:], start=1):
        made.add(Sighting(n * step_ms, box))
    return made


def _line(begin: tuple[float, float], end: tuple[float, float], count: int = 20) -> Track:
    return _track(
        [
            (
                begin[0] + (end[0] - begin[0]) * n / (count - 1),
                begin[1] + (end[1] - begin[1]) * n / (count - 1),
            )
            for n in range(count)
        ]
    )


@pytest.mark.parametrize(
    ("begin", "end", "entered", "left"),
    [
        ((0, 100), (580, 100), "left", "right"),
        ((580, 100), (0, 120), "right", "left"),
        ((300, 0), (310, 330), "top", "bottom"),
        ((300, 330), (300, 150), "bottom", "inside"),
        ((300, 150), (580, 160), "inside", "right"),
        ((200, 150), (400, 150), "inside", "inside"),
        ((0, 325), (580, 325), "left", "right"),
        ((40, 100), (560, 100), "left", "right"),
    ],
)
def test_sides_are_those_that_were_crossed(
    begin: tuple[int, int], end: tuple[int, int], entered: str, left: str
) -> None:
    """Where a path begins and ends tells where the object came from and went to."""
    summary = summarise(_line(begin, end), 1, _SIZE)

    assert (entered, left) == (summary.entered, summary.left)


def test_speed_duration_and_path_are_measured() -> None:
    """580 pixels in 3.8 s are 152 pixels a second, and the path holds first and last point."""
    summary = summarise(_line((0, 100), (580, 100)), 3, _SIZE)

    assert 3 == summary.id
    assert 3.8 == summary.duration_s
    assert summary.speed_px_s == pytest.approx(580 / 3.8, rel=0.02)
    assert [0, 30, 115] == summary.path[0]
    assert [3800, 610, 115] == summary.path[-1]


def test_trembling_adds_little_speed() -> None:
    """A box that jitters around one place is slow."""
    jitter = [(100 + 3 * (n % 2), 100 - 3 * (n % 2)) for n in range(21)]

    assert summarise(_track([(float(x), float(y)) for x, y in jitter]), 1, _SIZE).speed_px_s < 10


def test_the_label_is_voted_on() -> None:
    """The label of most sightings wins, with its own mean score."""
    points = [(10.0 * n, 100.0) for n in range(5)]

    assert "truck" == summarise(_track(points, labels="ctttc"), 1, _SIZE).label
    assert "car" == summarise(_track(points, labels="cctct"), 1, _SIZE).label


def test_a_long_path_is_thinned_out() -> None:
    """At most twenty points, first and last included."""
    summary = summarise(_line((0, 100), (580, 100), count=200), 1, _SIZE)

    assert MAX_PATH_POINTS == len(summary.path)
    assert 199 * 200 == summary.path[-1][0]


def test_the_sentence_counts_and_tells_the_main_journey() -> None:
    """What there was, and where the one that was there longest went."""
    summaries = [
        summarise(_line((0, 100), (580, 100)), 1, _SIZE),
        summarise(_line((0, 200), (300, 200), count=8), 2, _SIZE),
    ]

    told = sentence(summaries)

    assert "2 car; the car crossed from the left to the right within 3.8 s." == told
    assert "Nothing was found." == sentence([])


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ((200, 150), (400, 150), "stayed in view"),
        ((300, 150), (580, 150), "left to the right"),
        ((0, 150), (300, 150), "came in from the left"),
    ],
)
def test_every_journey_has_words(begin: tuple[int, int], end: tuple[int, int], words: str) -> None:
    """Whatever sides were crossed, there is a way to say it."""
    assert words in sentence([summarise(_line(begin, end), 1, _SIZE)])


def test_the_best_moment_shows_most_objects() -> None:
    """A frame with two objects beats one with a surer one; without tracks there is none."""
    long, brief = _line((0, 100), (580, 100)), _track([(300.0, 200.0)] * 3, step_ms=600)

    best = best_moment([long, brief])

    assert best is not None
    assert best["time_ms"] in (0, 600, 1200)
    assert 2 == len(best["boxes"])
    assert best_moment([]) is None
