"""Moving scenes: a fixed place, visitors on known paths, and quiet between them.

A scene renders any frame by its number, in any order, to the same bytes; it writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import msgspec
import numpy as np

from devices.scenes.actors import Actor, Colour, Image, Pen, Point
from devices.scenes.surroundings import backdrop, darken
from devices.scenes.truth import Episode, Placed, TruthBox, glimpses, truth

# A slot is one episode with the quiet around it; no more than this part of it is busy.
_SLOT_S = 9.0
_BUSY = 0.62
# The sensor's noise is cut at a new place from a larger plane for every frame.
_NOISE_MARGIN_PX = 64
_FIRST_KINDS = ("walk", "pass", "haul", "courier")
_LATER_KINDS = (*_FIRST_KINDS, "meet", "traffic")


class _Waypoint(msgspec.Struct, frozen=True):
    at_s: float
    x: float
    y: float


class _Trip(msgspec.Struct, frozen=True):
    """One object's way through the picture."""

    episode: int
    object: int
    actor: Actor
    path: tuple[_Waypoint, ...]
    # The parcel an actor carries, and when it stands on the ground; None for the others.
    parcel: Actor | None = None
    parcel_down_s: tuple[float, float] = (0.0, 0.0)


class Scene:
    """A place, filmed for some seconds; the last frame leads back to the first without a jump."""

    def __init__(
        self,
        seed: int,
        *,
        seconds: float = 50.0,
        fps: float = 25.0,
        size: tuple[int, int] = (640, 360),
    ) -> None:
        """Plan the scene; nothing is drawn but the place itself.

        Args:
            seed: the same seed and shape give the same frames.
            seconds: length of the loop; each nine seconds hold one episode, at least one.
            fps: frames per second.
            size: width and height in pixels; objects scale with the height.
        """
        self.seed, self.fps, self.size = seed, fps, size
        self.frames = max(round(seconds * fps), 1)
        self._seconds = self.frames / fps
        rng = np.random.default_rng((seed, 25))
        width, height = size
        self._horizon = rng.uniform(0.14, 0.26) * height
        self._backdrop = backdrop(rng, size, self._horizon, (0.5 * height, 0.77 * height))
        # A person's height grows with the distance of the feet below the horizon.
        self._growth = rng.uniform(0.38, 0.44)
        self._gain: Colour = tuple(rng.uniform(0.8, 1.1) * rng.uniform(0.96, 1.04, 3))
        self._leaves = [
            (
                *rng.normal(0, 0.05, 2) * height,
                rng.uniform(0.02, 0.045) * height,
                rng.uniform(0.6, 1.2),
            )
            for _ in range(14)
        ]
        self._tree = (rng.uniform(0.05, 0.95) * width, self._horizon + 0.05 * height)
        self._noise = self._make_noise(rng)
        self._trips = self._plan(rng)

    def _make_noise(
        self, rng: np.random.Generator
    ) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int16]]]:
        """Make the planes that each frame's noise is cut from."""
        width, height = self.size
        shape = (height + _NOISE_MARGIN_PX, width + _NOISE_MARGIN_PX, 3)
        sigma = rng.uniform(1.8, 3.2)
        return [np.round(rng.normal(0, sigma, shape)).astype(np.int16) for _ in range(3)]

    # -- the plan ---------------------------------------------------------------------------

    def _plan(self, rng: np.random.Generator) -> list[_Trip]:
        """Lay out the episodes, every kind once before any comes again."""
        slots = max(int(self._seconds // _SLOT_S), 1)
        slot_s = self._seconds / slots
        first = [_FIRST_KINDS[index] for index in rng.permutation(len(_FIRST_KINDS))]
        trips: list[_Trip] = []
        for slot in range(slots):
            later = _LATER_KINDS[int(rng.integers(len(_LATER_KINDS)))]
            kind = first[slot] if slot < len(first) else later
            busy_s = slot_s * _BUSY * {"pass": 0.6, "haul": 0.75}.get(kind, 1.0)
            start_s = slot * slot_s + rng.uniform(0.35, 0.65) * (slot_s - busy_s)
            self._add(rng, trips, kind, slot + 1, (start_s, start_s + busy_s))
        return trips

    def _add(
        self,
        rng: np.random.Generator,
        trips: list[_Trip],
        kind: str,
        episode: int,
        span_s: tuple[float, float],
    ) -> None:
        """Add the trips of one episode."""
        start_s, end_s = span_s
        labels = {
            "walk": ["person"],
            "pass": ["car"],
            "haul": ["truck"],
            "courier": ["person"],
            "meet": ["person", "person"],
            "traffic": ["car", "person"],
        }[kind]
        rightward = rng.random() < 0.5
        for label in labels:
            actor = Actor(rng, label, side_on=True)
            actor.facing = 1.0 if rightward else -1.0
            stop_s = (0.45, 0.7) if kind == "courier" else None
            path = self._path(rng, actor, (start_s, end_s), stop_s)
            parcel = Actor(rng, "package") if kind == "courier" else None
            down_s = (path[1].at_s, path[2].at_s) if parcel else (0.0, 0.0)
            number = 1 + sum(2 if trip.parcel else 1 for trip in trips)
            trips.append(_Trip(episode, number, actor, path, parcel, down_s))
            rightward = not rightward

    def _path(
        self,
        rng: np.random.Generator,
        actor: Actor,
        span_s: tuple[float, float],
        stop: tuple[float, float] | None,
    ) -> tuple[_Waypoint, ...]:
        """Choose a way across the picture, with a halt where one is asked for."""
        width, height = self.size
        near, far = (0.93, 0.6) if actor.label == "person" else (0.74, 0.56)
        y0 = rng.uniform(far, near) * height
        slope = 0.1 if actor.label == "person" else 0.02
        y1 = float(np.clip(y0 + rng.uniform(-slope, slope) * height, far * height, near * height))
        margin = actor.span(self._scale(max(y0, y1)))[0] * 1.25 + 4
        x0, x1 = (-margin, width + margin) if actor.facing > 0 else (width + margin, -margin)
        start_s, end_s = span_s
        points = [_Waypoint(start_s, x0, y0), _Waypoint(end_s, x1, y1)]
        if stop:
            part = rng.uniform(0.35, 0.65)
            x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
            length_s = end_s - start_s
            halts = [_Waypoint(start_s + moment * length_s, x, y) for moment in stop]
            points[1:1] = halts
        return tuple(points)

    def _scale(self, foot_y: float) -> float:
        """Give the height of a person whose feet are on this row."""
        return max((foot_y - self._horizon) * self._growth, 8.0)

    # -- a frame ------------------------------------------------------------------------------

    def render(self, index: int) -> tuple[Image, list[TruthBox]]:
        """Draw one frame.

        Args:
            index: 0 to `frames`; beyond that it wraps, as the loop does.

        Returns:
            The frame (height x width x 3, uint8, BGR) and what is in it, nearest last.
        """
        index %= self.frames
        now_s = index / self.fps
        canvas = self._backdrop.copy()
        self._sway(canvas, now_s)
        placed: list[Placed] = []
        for trip, foot in self._present(now_s):
            placed += self._draw(canvas, trip, foot, now_s)
        return self._film(canvas, index), truth(placed, self.size)

    def boxes(self, index: int) -> list[TruthBox]:
        """Tell what is in one frame, without the cost of drawing the place."""
        return truth(self._placed(index), self.size)

    def glimpses(self, index: int) -> list[TruthBox]:
        """Tell of what too little shows in one frame to demand that it is found."""
        return glimpses(self._placed(index), self.size)

    def _placed(self, index: int) -> list[Placed]:
        """Find the extents in one frame without a picture."""
        now_s = (index % self.frames) / self.fps
        scrap = np.zeros((1, 1, 3), np.uint8)
        placed: list[Placed] = []
        for trip, foot in self._present(now_s):
            placed += self._draw(scrap, trip, foot, now_s)
        return placed

    def episodes(self, boxes: Sequence[Sequence[TruthBox]]) -> list[Episode]:
        """Tell when each object came and went, from the boxes of all frames."""
        owners = {trip.object: trip.episode for trip in self._trips}
        owners |= {trip.object + 1: trip.episode for trip in self._trips if trip.parcel}
        stays: dict[int, tuple[str, int, int]] = {}
        for index, frame in enumerate(boxes):
            for box in frame:
                _, start, _ = stays.get(box.object, (box.label, index, index))
                stays[box.object] = (box.label, start, index)
        return [
            Episode(owners[number], number, label, start, end)
            for number, (label, start, end) in sorted(stays.items())
        ]

    def _present(self, now_s: float) -> list[tuple[_Trip, Point]]:
        """Tell who is on the way now and where the feet are, far before near."""
        present = []
        for trip in self._trips:
            if trip.path[0].at_s <= now_s <= trip.path[-1].at_s:
                times = [point.at_s for point in trip.path]
                x = float(np.interp(now_s, times, [point.x for point in trip.path]))
                y = float(np.interp(now_s, times, [point.y for point in trip.path]))
                present.append((trip, (x, y)))
        return sorted(present, key=lambda item: item[1][1])

    def _draw(self, canvas: Image, trip: _Trip, foot: Point, now_s: float) -> list[Placed]:
        """Draw an actor, and what it carries, where it is now."""
        scale = self._scale(foot[1])
        half, depth = trip.actor.span(scale)
        darken(canvas, foot, half * 1.15, depth * 1.4, 0.6)
        # A full gait, two steps, covers about 0.8 of the height.
        phase = 2 * math.pi * (foot[0] - trip.path[0].x) / (0.8 * scale)
        extent = trip.actor.draw(canvas, foot, scale, phase)
        placed = [Placed(trip.object, trip.actor.label, extent)]
        if trip.parcel:
            down_s, up_s = trip.parcel_down_s
            at = trip.actor.hands(foot, scale)
            if down_s <= now_s <= up_s:
                at = (foot[0] + trip.actor.facing * 0.42 * scale, foot[1])
                darken(canvas, at, 0.25 * scale, 0.08 * scale, 0.6)
            extent = trip.parcel.draw(canvas, at, scale)
            placed.append(Placed(trip.object + 1, trip.parcel.label, extent))
        return placed

    def _sway(self, canvas: Image, now_s: float) -> None:
        """Draw leaves in the wind: motion that is nobody."""
        pen = Pen(canvas)
        turn = 2 * math.pi * now_s / self._seconds
        x, y = self._tree
        for number, (dx, dy, radius, tone) in enumerate(self._leaves):
            shift = 0.8 * math.sin(turn * (9 + number % 5) + number)
            colour = (55 * tone, 110 * tone, 70 * tone)
            pen.disc(x + dx + shift, y - self._horizon * 0.5 + dy, radius, radius, colour)

    def _film(self, canvas: Image, index: int) -> Image:
        """Add exposure that drifts a little over the loop, and fresh noise."""
        drift = 1 + 0.03 * math.sin(2 * math.pi * index / self.frames)
        ramp = np.arange(256, dtype=np.float32)[None, :, None] * np.asarray(self._gain) * drift
        lit = cv2.LUT(canvas, np.clip(ramp, 0, 255).astype(np.uint8))
        rng = np.random.default_rng((self.seed, index))
        plane = self._noise[int(rng.integers(len(self._noise)))]
        x, y = (int(value) for value in rng.integers(0, _NOISE_MARGIN_PX, 2))
        height, width = canvas.shape[:2]
        grain = plane[y : y + height, x : x + width]
        return np.asarray(cv2.add(lit, grain, dtype=cv2.CV_8U), np.uint8)
