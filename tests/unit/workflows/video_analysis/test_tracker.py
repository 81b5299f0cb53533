"""Tests of the tracker, on paths whose truth is known."""

from __future__ import annotations

import random

import pytest

from devices.detection import Detection
from workflows.video_analysis.tracker import MAX_TRACKS, Track, track

Frames = list[tuple[int, list[Detection]]]


def _box(x: float, y: float, *, label: str = "car", score: float = 0.9) -> Detection:
    return Detection(label, score, x, y, 80.0, 40.0)


def _centres(one: Track) -> list[float]:
    return [sighting.box.x for sighting in one.sightings]


@pytest.mark.parametrize("speed", [0, 10, 60, 80, 100])
def test_one_object_is_one_track_at_any_speed(speed: int) -> None:
    """From rest to more than its own length a frame, an object stays one."""
    frames: Frames = [(200 * n, [_box(speed * n, 100)]) for n in range(15)]

    tracks = track(frames)

    assert 1 == len(tracks)
    assert 15 == len(tracks[0].sightings)
    assert (speed > 0) is tracks[0].has_moved


def test_objects_that_pass_each_other_are_not_exchanged() -> None:
    """Two cars in opposite directions keep their directions."""
    frames: Frames = [(200 * n, [_box(40 * n, 100), _box(600 - 40 * n, 115)]) for n in range(16)]

    tracks = track(frames)

    assert 2 == len(tracks)
    for one in tracks:
        xs = _centres(one)
        assert xs in (sorted(xs), sorted(xs, reverse=True))


def test_a_gap_of_a_few_frames_is_bridged() -> None:
    """An object that the detector misses for half a second is the same afterwards."""
    frames: Frames = [(200 * n, [] if 5 <= n <= 7 else [_box(30 * n, 100)]) for n in range(15)]

    assert [12] == [len(one.sightings) for one in track(frames)]


def test_what_comes_back_after_a_long_time_is_another() -> None:
    """A gap of more than a second ends a track."""
    frames: Frames = [(200 * n, [] if 5 <= n <= 15 else [_box(30, 100)]) for n in range(25)]

    assert 2 == len(track(frames))


def test_flickers_and_doubts_are_left_out() -> None:
    """Two sightings are not enough, and neither are many without one that is sure."""
    brief: Frames = [(0, [_box(0, 0)]), (200, [_box(0, 0)])]
    doubtful: Frames = [(200 * n, [_box(5 * n, 0, score=0.42)]) for n in range(20)]

    assert [] == track(brief)
    assert [] == track(doubtful)


def test_a_changing_label_makes_no_second_track() -> None:
    """A detector that is unsure of the label sees one object still."""
    frames: Frames = [
        (200 * n, [_box(20 * n, 100, label="car" if n % 3 else "truck")]) for n in range(12)
    ]

    assert [12] == [len(one.sightings) for one in track(frames)]


def test_trembling_is_not_moving() -> None:
    """Boxes that jitter by some pixels belong to a thing at rest."""
    chance = random.Random(4)
    frames: Frames = [
        (200 * n, [_box(100 + chance.uniform(-4, 4), 100 + chance.uniform(-4, 4))])
        for n in range(30)
    ]

    assert [False] == [one.has_moved for one in track(frames)]


def test_a_box_of_quite_another_size_is_another_object() -> None:
    """A person in front of a house is not the house."""
    frames: Frames = [
        (200 * n, [_box(100, 100), Detection("house", 0.9, 0.0, 0.0, 400.0, 300.0)])
        for n in range(5)
    ]

    assert [5, 5] == [len(one.sightings) for one in track(frames)]


def test_more_objects_than_the_limit_are_ignored() -> None:
    """A detector gone mad cannot fill the memory."""
    frames: Frames = [
        (200 * n, [_box(200.0 * column, 1000.0 * n) for column in range(300)]) for n in range(3)
    ]

    assert len(track(frames)) <= MAX_TRACKS
