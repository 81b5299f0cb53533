"""Joins detections of successive frames into tracks: greedy, by overlap and by expected position.

Pure: boxes and times in, tracks out. What a track means in words is said in `description`.

Greedy matching with a constant-velocity guess is enough for the few objects of one clip and costs
0.1 ms a frame; a Kalman filter with optimal assignment was measured at ten to fifty times that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from devices.detection import Detection, iou

# At five frames a second a car moves by its own length between two frames, so that the boxes may
# not touch at all: a distance of up to this many diagonals of the box still counts as the same.
_REACH = 1.2

# Boxes whose areas differ by more than this factor are not one object; a person entering the
# picture shows half of himself at first.
_AREA_FACTOR = 4.0

_MAX_GAP_MS = 1000
"""A track that was not seen for longer has ended."""

_VELOCITY_WEIGHT = 0.6

MIN_SIGHTINGS = 3
"""What was seen in fewer frames is taken for a flicker of the detector."""

SURE_SCORE = 0.5
"""A track with no sighting this sure is taken for a doubt of the detector, and left out."""

# What moved has somewhere left the box it was first seen in to less than this overlap; the boxes of
# a thing at rest tremble by a pixel or two.
_REST_OVERLAP = 0.5

MAX_TRACKS = 200
"""More tracks are not kept from one clip; further objects are ignored then."""


class Sighting(msgspec.Struct, frozen=True):
    """One object in one frame."""

    time_ms: int
    """From the beginning of the clip."""

    box: Detection


class Track:
    """One object over time."""

    def __init__(self, first: Sighting) -> None:
        """Begin with the first sighting, at rest."""
        self.sightings = [first]
        self.velocity = (0.0, 0.0)
        """Pixels a second, to the right and down."""

    @property
    def last(self) -> Sighting:
        """Where it was seen last."""
        return self.sightings[-1]

    @property
    def is_sure(self) -> bool:
        """Whether it was seen often enough, and at least once without doubt."""
        return len(self.sightings) >= MIN_SIGHTINGS and any(
            one.box.score >= SURE_SCORE for one in self.sightings
        )

    @property
    def has_moved(self) -> bool:
        """Whether it was anywhere else than where it was first seen."""
        first = self.sightings[0].box
        return any(iou(first, one.box) < _REST_OVERLAP for one in self.sightings)

    def expected(self, time_ms: int) -> Detection:
        """Guess the box at a later time, by moving the last one on."""
        elapsed_s = (time_ms - self.last.time_ms) / 1000
        box = self.last.box
        return Detection(
            label=box.label,
            score=box.score,
            x=box.x + self.velocity[0] * elapsed_s,
            y=box.y + self.velocity[1] * elapsed_s,
            w=box.w,
            h=box.h,
        )

    def add(self, sighting: Sighting) -> None:
        """Take the next sighting and learn how fast the object goes."""
        elapsed_s = (sighting.time_ms - self.last.time_ms) / 1000
        if elapsed_s > 0:
            before, after = centre(self.last.box), centre(sighting.box)
            weight = _VELOCITY_WEIGHT if len(self.sightings) > 1 else 1.0
            self.velocity = (
                self.velocity[0] + weight * ((after[0] - before[0]) / elapsed_s - self.velocity[0]),
                self.velocity[1] + weight * ((after[1] - before[1]) / elapsed_s - self.velocity[1]),
            )
        self.sightings.append(sighting)


def track(frames: Sequence[tuple[int, Sequence[Detection]]]) -> list[Track]:
    """Join detections into tracks.

    Args:
        frames: Of each frame its time in milliseconds, growing, and the boxes found in it.

    Returns:
        Tracks that are sure, in the order in which they began.
    """
    tracks: list[Track] = []
    for time_ms, boxes in frames:
        live = [one for one in tracks if time_ms - one.last.time_ms <= _MAX_GAP_MS]
        unmatched = _match(live, boxes, time_ms)
        free = MAX_TRACKS - len(tracks)
        tracks.extend(Track(Sighting(time_ms, box)) for box in unmatched[:free])
    return [one for one in tracks if one.is_sure]


def centre(box: Detection) -> tuple[float, float]:
    """Give the middle of a box in pixels."""
    return box.x + box.w / 2, box.y + box.h / 2


def _match(live: Sequence[Track], boxes: Sequence[Detection], time_ms: int) -> list[Detection]:
    """Give each box to the track it fits best, the best fits first; return those left over."""
    fits = sorted(
        (
            (_fit(one.expected(time_ms), box), track_number, box_number)
            for track_number, one in enumerate(live)
            for box_number, box in enumerate(boxes)
        ),
        reverse=True,
    )
    taken_tracks: set[int] = set()
    taken_boxes: set[int] = set()
    for fit, track_number, box_number in fits:
        if fit <= 0:
            break
        if track_number in taken_tracks or box_number in taken_boxes:
            continue
        taken_tracks.add(track_number)
        taken_boxes.add(box_number)
        live[track_number].add(Sighting(time_ms, boxes[box_number]))
    return [box for number, box in enumerate(boxes) if number not in taken_boxes]


def _fit(expected: Detection, box: Detection) -> float:
    """Rate how well a box agrees with what a track expects; 0 is not at all.

    The label is a bonus only: a detector that is unsure between two labels should not make two
    tracks of one object.
    """
    areas = sorted((expected.w * expected.h, box.w * box.h))
    if areas[0] * _AREA_FACTOR < areas[1]:
        return 0.0
    reach = _REACH * math.hypot(max(expected.w, box.w), max(expected.h, box.h))
    nearness = 1 - math.dist(centre(expected), centre(box)) / reach
    if nearness <= 0:
        return 0.0
    same_label = 0.2 if expected.label == box.label else 0.0
    return iou(expected, box) + 0.5 * nearness + same_label
