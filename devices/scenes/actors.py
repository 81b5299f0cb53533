"""The pen, and the four classes of object it can draw: persons, cars, trucks and packages.

No background, no camera and no time: an actor is drawn where and as large as it is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # height x width x 3, BGR
Colour = tuple[float, float, float]  # BGR, 0..255
Point = tuple[float, float]  # x, y in pixels

LABELS = ("person", "car", "truck", "package")


class Pen:
    """Draws with sub-pixel precision and remembers the extent of what it drew."""

    def __init__(self, canvas: Image) -> None:
        """Draw on this picture, with an empty extent."""
        self._canvas = canvas
        self.left = self.top = math.inf
        self.right = self.bottom = -math.inf

    def poly(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        corners = np.asarray(points, np.float32)
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.left, self.top = min(self.left, float(low[0])), min(self.top, float(low[1]))
        self.right, self.bottom = max(self.right, float(high[0])), max(self.bottom, float(high[1]))
        fixed = np.round(corners * 16).astype(np.int32)
        cv2.fillPoly(self._canvas, [fixed], colour, cv2.LINE_AA, 4)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse."""
        turns = np.linspace(0, 2 * math.pi, 17)[:-1]
        self.poly([(x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns], colour)

    def limb(self, a: Point, b: Point, width: float, colour: Colour) -> None:
        """Fill a thick line with square ends."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        scale = width / 2 / max(math.hypot(dx, dy), 1e-6)
        nx, ny = -dy * scale, dx * scale
        self.poly(
            [
                (a[0] + nx, a[1] + ny),
                (b[0] + nx, b[1] + ny),
                (b[0] - nx, b[1] - ny),
                (a[0] - nx, a[1] - ny),
            ],
            colour,
        )

    def box(self) -> tuple[float, float, float, float]:
        """Give the extent so far, as x0, y0, x1, y1."""
        return self.left, self.top, self.right, self.bottom


def shade(colour: Colour, factor: float) -> Colour:
    """Make a colour darker or lighter."""
    blue, green, red = (min(255.0, channel * factor) for channel in colour)
    return blue, green, red


def any_colour(rng: np.random.Generator, low: float = 20, high: float = 235) -> Colour:
    """Draw a colour by lot, its channels between the limits."""
    grey = rng.uniform(low, high)
    blue, green, red = np.clip(grey + rng.normal(0, 45, 3), low, high)
    return float(blue), float(green), float(red)


def pick(rng: np.random.Generator, choices: Sequence[Colour]) -> Colour:
    """Draw one of some colours by lot, a little darker or lighter."""
    return shade(choices[int(rng.integers(len(choices)))], float(rng.uniform(0.75, 1.2)))


_SKIN: tuple[Colour, ...] = ((150, 180, 225), (110, 150, 205), (70, 100, 150), (45, 65, 100))
_PAINT: tuple[Colour, ...] = (
    *((225, 225, 225), (60, 60, 60), (150, 150, 155), (45, 45, 175), (150, 80, 40)),
    *((60, 110, 60), (70, 170, 210), (120, 60, 90), (35, 35, 35), (190, 170, 120)),
)
_CARDBOARD: tuple[Colour, ...] = ((90, 140, 185), (110, 160, 205), (75, 115, 155), (200, 215, 225))
GLASS: tuple[Colour, ...] = ((70, 60, 50), (110, 95, 80), (45, 40, 38))


class Actor:
    """One object's looks, drawn from the seed once and the same in every frame."""

    def __init__(self, rng: np.random.Generator, label: str, *, side_on: bool = False) -> None:
        """Draw the looks by lot; side on where it will move across the picture."""
        self.label = label
        self.facing = 1.0 if rng.random() < 0.5 else -1.0
        self.frontal = not side_on and label in ("car", "truck") and rng.random() < 0.25
        self.paint = pick(rng, _CARDBOARD if label == "package" else _PAINT)
        self.second = any_colour(rng)
        self.third = any_colour(rng, 15, 140)
        self.skin = pick(rng, _SKIN)
        self.glass = pick(rng, GLASS)
        # Four free proportions, 0..1, that each class reads in its own way.
        self.traits: list[float] = [float(value) for value in rng.random(4)]

    def draw(
        self, canvas: Image, foot: Point, scale_px: float, phase: float = 0.0
    ) -> tuple[float, float, float, float]:
        """Draws at the foot point, at the height a person would have there; returns the extent."""
        pen = Pen(canvas)
        routine: dict[str, Callable[[Pen, Actor, Point, float, float], None]] = {
            "person": _draw_person,
            "car": _draw_car_front if self.frontal else _draw_car,
            "truck": _draw_truck_front if self.frontal else _draw_truck,
            "package": _draw_package,
        }
        routine[self.label](pen, self, foot, scale_px, phase)
        return pen.box()

    def hands(self, foot: Point, scale_px: float) -> Point:
        """Where the underside of something carried is."""
        return foot[0] + self.facing * 0.17 * scale_px, foot[1] - 0.36 * scale_px

    def span(self, scale_px: float) -> tuple[float, float]:
        """Half the width and the height of the ground shadow, pixels."""
        half = {"person": 0.2, "car": 1.0, "truck": 1.4, "package": 0.2}[self.label]
        if self.frontal:
            half = 0.5 if self.label == "car" else 0.6
        return half * scale_px, 0.09 * scale_px


def _draw_person(pen: Pen, actor: Actor, foot: Point, h: float, phase: float) -> None:
    """Draw a walker: far arm, legs, trunk, near arm, head."""
    x, y = foot
    build, has_pack, has_hat, coat = actor.traits
    swing = 0.13 * h * math.sin(phase)
    half = (0.085 + 0.045 * build) * h
    hip, neck = y - (0.47 if coat < 0.7 else 0.36) * h, y - 0.82 * h
    arm = 0.11 * h * math.sin(phase + math.pi)
    shoulder = (x, neck + 0.05 * h)
    pen.limb(shoulder, (x + arm, y - 0.45 * h), 0.075 * h, shade(actor.paint, 0.75))
    for side, tone in ((-1, 0.8), (1, 1.0)):
        ankle = (x + side * swing, y - 0.03 * h - 0.02 * h * max(0.0, side * math.cos(phase)))
        pen.limb((x, hip - 0.02 * h), ankle, 0.1 * h, shade(actor.third, tone))
        toe = ankle[0] + actor.facing * 0.07 * h
        pen.limb(
            (ankle[0] - actor.facing * 0.03 * h, ankle[1]), (toe, ankle[1]), 0.05 * h, (30, 30, 35)
        )
    pen.poly(
        [(x - half, neck), (x + half, neck), (x + half * 0.85, hip), (x - half * 0.85, hip)],
        actor.paint,
    )
    if has_pack < 0.3:
        back = x - actor.facing * half
        pen.rect(back - 0.07 * h, neck + 0.02 * h, back + 0.05 * h, neck + 0.25 * h, actor.second)
    pen.limb(shoulder, (x - arm, y - 0.45 * h), 0.075 * h, shade(actor.paint, 1.15))
    pen.disc(x - arm, y - 0.44 * h, 0.035 * h, 0.035 * h, actor.skin)
    head = (x + actor.facing * 0.012 * h, y - 0.905 * h)
    pen.disc(head[0], head[1], 0.068 * h, 0.085 * h, actor.skin)
    hair = actor.second if has_hat < 0.3 else (30.0, 35.0, 45.0)
    pen.poly(
        [
            (head[0] + 0.07 * h * math.cos(t), head[1] - 0.01 * h - 0.085 * h * math.sin(t))
            for t in np.linspace(0, math.pi, 9)
        ],
        hair,
    )


def _draw_wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    """Draw a wheel that stands on y."""
    pen.disc(x, y - radius, radius, radius, (25, 25, 28))
    pen.disc(x, y - radius, radius * 0.5, radius * 0.5, (140, 140, 145))


def _draw_car(pen: Pen, actor: Actor, foot: Point, h: float, _phase: float) -> None:
    """Draw a car from the side."""
    x, y = foot
    size, roof, hatch, tall = actor.traits
    half = (0.9 + 0.2 * size) * h
    sill, belt, top = y - 0.13 * h, y - 0.46 * h, y - (0.72 + 0.14 * tall) * h
    wheel = 0.155 * h

    def along(part: float) -> float:
        return x + actor.facing * part * half

    rear = -0.97 if hatch > 0.5 else -0.62
    front_glass = 0.42 + 0.1 * roof
    pen.poly(
        [
            (along(rear), belt),
            (along(rear + 0.2), top),
            (along(front_glass - 0.3), top),
            (along(front_glass), belt),
        ],
        actor.paint,
    )
    pen.poly(
        [
            (along(rear + 0.1), belt),
            (along(rear + 0.24), top + 0.06 * h),
            (along(front_glass - 0.33), top + 0.06 * h),
            (along(front_glass - 0.08), belt),
        ],
        actor.glass,
    )
    pillar = along((rear + front_glass) / 2)
    pen.limb((pillar, belt), (pillar, top + 0.05 * h), 0.05 * h, actor.paint)
    pen.poly(
        [
            (along(-1), belt + 0.04 * h),
            (along(-0.9), belt),
            (along(0.45), belt),
            (along(0.93), belt + 0.07 * h),
            (along(1), sill - 0.06 * h),
            (along(0.98), sill),
            (along(-0.98), sill),
        ],
        actor.paint,
    )
    pen.rect(x - half * 0.97, sill - 0.08 * h, x + half * 0.97, sill, shade(actor.paint, 0.7))
    pen.disc(along(0.93), belt + 0.13 * h, 0.05 * h, 0.04 * h, (200, 235, 245))
    pen.disc(along(-0.95), belt + 0.1 * h, 0.035 * h, 0.05 * h, (50, 40, 190))
    pen.limb((pillar, belt), (pillar, sill), 0.015 * h, shade(actor.paint, 0.6))
    for part in (-0.6, 0.62):
        _draw_wheel(pen, along(part), y, wheel)


def _draw_car_front(pen: Pen, actor: Actor, foot: Point, h: float, _phase: float) -> None:
    """Draw a car from the front, or from behind where it faces left."""
    x, y = foot
    half, top = (0.42 + 0.08 * actor.traits[0]) * h, y - (0.74 + 0.14 * actor.traits[3]) * h
    belt, sill = y - 0.46 * h, y - 0.13 * h
    for side in (-1, 1):
        pen.rect(x + side * half * 0.92, y - 0.25 * h, x + side * half * 0.62, y, (25, 25, 28))
    pen.poly(
        [
            (x - half * 0.9, belt),
            (x - half * 0.68, top),
            (x + half * 0.68, top),
            (x + half * 0.9, belt),
        ],
        actor.paint,
    )
    pen.poly(
        [
            (x - half * 0.78, belt),
            (x - half * 0.6, top + 0.06 * h),
            (x + half * 0.6, top + 0.06 * h),
            (x + half * 0.78, belt),
        ],
        actor.glass,
    )
    pen.rect(x - half, belt, x + half, sill, actor.paint)
    pen.rect(x - half * 0.5, belt + 0.12 * h, x + half * 0.5, belt + 0.22 * h, (35, 35, 38))
    lamp = (200.0, 235.0, 245.0) if actor.facing > 0 else (50.0, 40.0, 190.0)
    for side in (-1, 1):
        pen.disc(x + side * half * 0.76, belt + 0.12 * h, 0.08 * h, 0.06 * h, lamp)
    pen.rect(x - 0.12 * h, sill - 0.09 * h, x + 0.12 * h, sill - 0.02 * h, (215, 220, 220))


def _draw_truck(pen: Pen, actor: Actor, foot: Point, h: float, _phase: float) -> None:
    """Draw a lorry with a box body from the side."""
    x, y = foot
    size, tall, stripe, _ = actor.traits
    half = (1.3 + 0.25 * size) * h
    deck, top = y - 0.3 * h, y - (1.25 + 0.3 * tall) * h
    cab_top = y - 1.08 * h

    def along(part: float) -> float:
        return x + actor.facing * part * half

    pen.rect(x - half * 0.97, deck, x + half * 0.97, deck + 0.14 * h, (45, 45, 48))
    pen.poly(
        [(along(-1), top), (along(0.5), top), (along(0.5), deck), (along(-1), deck)], actor.second
    )
    if stripe < 0.6:
        band = top + (0.25 + 0.4 * stripe) * (deck - top)
        pen.limb((along(-1), band), (along(0.5), band), 0.16 * h, actor.paint)
    for part in (-0.7, -0.4, -0.1, 0.2):
        pen.limb((along(part), top), (along(part), deck), 0.015 * h, shade(actor.second, 0.82))
    pen.poly(
        [
            (along(0.56), cab_top),
            (along(0.86), cab_top),
            (along(0.97), y - 0.68 * h),
            (along(1), y - 0.17 * h),
            (along(0.56), y - 0.17 * h),
        ],
        actor.paint,
    )
    pen.poly(
        [
            (along(0.66), cab_top + 0.1 * h),
            (along(0.84), cab_top + 0.1 * h),
            (along(0.93), y - 0.66 * h),
            (along(0.66), y - 0.66 * h),
        ],
        actor.glass,
    )
    pen.disc(along(0.96), y - 0.32 * h, 0.05 * h, 0.05 * h, (200, 235, 245))
    for part in (-0.75, -0.5, 0.76):
        _draw_wheel(pen, along(part), y, 0.19 * h)


def _draw_truck_front(pen: Pen, actor: Actor, foot: Point, h: float, _phase: float) -> None:
    """Draw the same lorry from the front."""
    x, y = foot
    half, top = (0.55 + 0.06 * actor.traits[0]) * h, y - (1.25 + 0.3 * actor.traits[1]) * h
    cab_top = y - 1.08 * h
    for side in (-1, 1):
        pen.rect(x + side * half * 0.92, y - 0.3 * h, x + side * half * 0.6, y, (25, 25, 28))
    pen.rect(x - half, top, x + half, y - 0.3 * h, actor.second)
    pen.rect(x - half * 0.9, cab_top, x + half * 0.9, y - 0.15 * h, actor.paint)
    pen.rect(x - half * 0.8, cab_top + 0.1 * h, x + half * 0.8, y - 0.66 * h, actor.glass)
    pen.rect(x - half * 0.5, y - 0.5 * h, x + half * 0.5, y - 0.36 * h, (35, 35, 38))
    for side in (-1, 1):
        pen.disc(x + side * half * 0.72, y - 0.28 * h, 0.07 * h, 0.06 * h, (200, 235, 245))


def _draw_package(pen: Pen, actor: Actor, foot: Point, h: float, _phase: float) -> None:
    """Draw a taped box with its top and one side."""
    x, y = foot
    wide, tall, depth, label = actor.traits
    half, height = (0.15 + 0.1 * wide) * h, (0.2 + 0.16 * tall) * h
    lift, skew = (0.04 + 0.06 * depth) * h, actor.facing * (0.05 + 0.08 * depth) * h
    top = y - height
    pen.poly(
        [
            (x - half, top),
            (x + half, top),
            (x + half + skew, top - lift),
            (x - half + skew, top - lift),
        ],
        shade(actor.paint, 1.15),
    )
    edge = x + actor.facing * half
    pen.poly(
        [(edge, top), (edge + skew, top - lift), (edge + skew, y - lift), (edge, y)],
        shade(actor.paint, 0.7),
    )
    pen.rect(x - half, top, x + half, y, shade(actor.paint, 0.6))
    rim = 0.02 * h
    pen.rect(x - half + rim, top + rim, x + half - rim, y - rim, actor.paint)
    pen.rect(x - half * 0.14, top, x + half * 0.14, y, shade(actor.paint, 0.65))
    if label < 0.75:
        at = x + half * (0.35 if label < 0.4 else -0.75)
        pen.rect(at, top + height * 0.25, at + half * 0.45, top + height * 0.6, (225, 228, 230))
