"""Says what tracks are: label, times, path, sides, speed, and one sentence for a person.

Pure; how tracks come about is in `tracker`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from devices.detection import Detection
from workflows.video_analysis.tracker import Sighting, Track, centre

MAX_PATH_POINTS = 20
"""A longer path is thinned out evenly; first and last point stay."""

MAX_DESCRIBED = 20
"""More tracks are counted in the sentence but not listed: an output must stay small."""

# A box this near to the edge, as a share of the picture, touches it.
_EDGE_SHARE = 0.03
# An object that was outside so long ago, or will be so soon, came or went there: at five frames a
# second it may be seen first when it is already two frames inside.
_BEYOND_S = 0.45

# Speed is measured over steps of at least this time, or the trembling of boxes would add up.
_SPEED_STEP_MS = 500


class TrackSummary(msgspec.Struct, frozen=True):
    """One track, ready for JSON."""

    id: int
    """Number within the clip, from 1."""

    label: str
    """What most sightings say, weighed by their scores."""

    score: float
    """Mean score of the sightings with that label, 0 to 1."""

    sightings: int
    from_ms: int
    """First sighting, from the beginning of the clip."""

    to_ms: int
    duration_s: float
    entered: str
    """Side of the picture it came from: left, right, top, bottom, or inside."""

    left: str
    """Side it went to, likewise."""

    speed_px_s: float
    """Mean speed along its path in pixels a second."""

    path: list[list[int]]
    """Centres as [time_ms, x, y], at most 20."""


def summarise(track: Track, number: int, size: tuple[int, int]) -> TrackSummary:
    """Describe one track.

    Args:
        track: With at least two sightings.
        number: Its number within the clip.
        size: Width and height of the picture in pixels.
    """
    first, last = track.sightings[0], track.sightings[-1]
    label, score = _vote(track.sightings)
    return TrackSummary(
        id=number,
        label=label,
        score=round(score, 3),
        sightings=len(track.sightings),
        from_ms=first.time_ms,
        to_ms=last.time_ms,
        duration_s=round((last.time_ms - first.time_ms) / 1000, 2),
        entered=_side(first.box, _velocity(track.sightings[:4]), -_BEYOND_S, size),
        left=_side(last.box, _velocity(track.sightings[-4:]), _BEYOND_S, size),
        speed_px_s=round(_speed(track.sightings), 1),
        path=[
            [one.time_ms, *map(round, centre(one.box))]
            for one in _thinned(track.sightings, MAX_PATH_POINTS)
        ],
    )


def sentence(tracks: Sequence[TrackSummary]) -> str:
    """Say in one sentence what went by."""
    if not tracks:
        return "Nothing was found."
    counts = Counter(one.label for one in tracks)
    what = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
    main = max(tracks, key=lambda one: one.duration_s * one.score)
    return f"{what}; the {main.label} {_journey(main)} within {main.duration_s:.1f} s."


def best_moment(tracks: Sequence[Track]) -> dict[str, Any] | None:
    """Find the frame that shows the tracked objects best: many, sure and large.

    Returns:
        ``{"time_ms": ..., "boxes": [[label, score, x, y, w, h], ...]}``, or None without tracks.
    """
    by_time: dict[int, list[Detection]] = defaultdict(list)
    for one in tracks:
        for sighting in one.sightings:
            by_time[sighting.time_ms].append(sighting.box)
    if not by_time:
        return None
    time_ms, boxes = max(by_time.items(), key=lambda item: (len(item[1]), _worth(item[1])))
    return {"time_ms": time_ms, "boxes": [as_row(box) for box in boxes]}


def as_row(box: Detection) -> list[Any]:
    """Write a box as a short JSON row: label, score, x, y, w, h in whole pixels."""
    return [box.label, round(box.score, 3), *map(round, (box.x, box.y, box.w, box.h))]


def _worth(boxes: Sequence[Detection]) -> float:
    """Rate what boxes are worth looking at."""
    return sum(box.score * math.sqrt(box.w * box.h) for box in boxes)


def _vote(sightings: Sequence[Sighting]) -> tuple[str, float]:
    """Let the sightings vote on the label; give it with its mean score."""
    votes: dict[str, list[float]] = defaultdict(list)
    for one in sightings:
        votes[one.box.label].append(one.box.score)
    label = max(votes, key=lambda name: (sum(votes[name]), name))
    return label, sum(votes[label]) / len(votes[label])


def _velocity(sightings: Sequence[Sighting]) -> tuple[float, float]:
    """Work out the mean velocity over some sightings, in pixels a second."""
    elapsed_s = (sightings[-1].time_ms - sightings[0].time_ms) / 1000
    if elapsed_s <= 0:
        return 0.0, 0.0
    (x0, y0), (x1, y1) = centre(sightings[0].box), centre(sightings[-1].box)
    return (x1 - x0) / elapsed_s, (y1 - y0) / elapsed_s


def _side(
    box: Detection, velocity: tuple[float, float], ahead_s: float, size: tuple[int, int]
) -> str:
    """Name the side at which an object crosses the edge within a time, before or after."""
    width, height = size
    dx, dy = velocity[0] * ahead_s, velocity[1] * ahead_s
    # How far the box reaches beyond each side, in shares of the picture, once it has moved on.
    # Only a side that it moves towards counts: who walks along an edge did not come from it.
    beyond = {
        "left": (-(box.x + dx) / width, dx < 0),
        "right": ((box.x + box.w + dx - width) / width, dx > 0),
        "top": (-(box.y + dy) / height, dy < 0),
        "bottom": ((box.y + box.h + dy - height) / height, dy > 0),
    }
    sideways, upright = abs(dx) / width, abs(dy) / height
    if sideways > 2 * upright:
        candidates: tuple[str, ...] = ("left", "right")
    elif upright > 2 * sideways:
        candidates = ("top", "bottom")
    else:
        candidates = ("left", "right", "top", "bottom")
    reached = {side: beyond[side][0] for side in candidates if beyond[side][1]}
    side = max(reached, key=lambda name: reached[name], default="inside")
    return side if side != "inside" and reached[side] > -_EDGE_SHARE else "inside"


def _speed(sightings: Sequence[Sighting]) -> float:
    """Measure the mean speed along the path."""
    points = [sightings[0]]
    for one in sightings[1:]:
        if one.time_ms - points[-1].time_ms >= _SPEED_STEP_MS:
            points.append(one)
    if len(points) < 2:
        points = [sightings[0], sightings[-1]]
    way = sum(
        math.dist(centre(before.box), centre(after.box)) for before, after in pairwise(points)
    )
    elapsed_s = (points[-1].time_ms - points[0].time_ms) / 1000
    return way / elapsed_s if elapsed_s > 0 else 0.0


def _thinned(sightings: Sequence[Sighting], most: int) -> list[Sighting]:
    """Take evenly so many at most, with the first and the last."""
    if len(sightings) <= most:
        return list(sightings)
    last = len(sightings) - 1
    return [sightings[round(number * last / (most - 1))] for number in range(most)]


def _journey(one: TrackSummary) -> str:
    """Say where a track came from and went to."""
    match one.entered, one.left:
        case "inside", "inside":
            return "stayed in view"
        case "inside", side:
            return f"left to the {side}"
        case side, "inside":
            return f"came in from the {side}"
        case from_side, to_side:
            return f"crossed from the {from_side} to the {to_side}"
