"""Places without anyone in them, and what a camera adds: exposure, soft focus and noise.

No object of the four classes is drawn here; the clutter is there to be mistaken for one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.scenes.actors import GLASS, Colour, Image, Pen, Point, any_colour, pick, shade


def _clouds(rng: np.random.Generator, size: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Smooth noise around zero, one channel, the given width and height."""
    width, height = size
    seed = rng.normal(0, 1, (cells, cells + 2)).astype(np.float32)
    smooth = cv2.resize(seed, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, np.float32)


def _surface(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Image:
    """Make a textured plane: one colour, blotches and grain."""
    width, height = size
    blotches = _clouds(rng, size, int(rng.integers(3, 9))) * rng.uniform(3, 14)
    grain = rng.normal(0, rng.uniform(2, 10), (height, width)).astype(np.float32)
    tone = (blotches + grain)[..., None]
    return np.clip(np.asarray(colour, np.float32) + tone, 0, 255).astype(np.uint8)


_GROUND: tuple[Colour, ...] = (
    *((110, 112, 115), (85, 85, 88), (140, 150, 155), (70, 110, 85), (95, 125, 140)),
    *((60, 95, 75), (160, 165, 168)),
)
_BACK: tuple[Colour, ...] = (
    *((215, 190, 160), (120, 130, 150), (85, 100, 150), (170, 175, 178), (80, 95, 80)),
    *((60, 70, 90), (200, 205, 210)),
)


def _draw_wall(rng: np.random.Generator, canvas: Image, bottom: float) -> None:
    """Windows, a door and courses of bricks on what stands behind the ground."""
    pen, width = Pen(canvas), canvas.shape[1]
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, width), rng.uniform(0, max(bottom * 0.6, 1))
        w, h = rng.uniform(14, 60), rng.uniform(14, 50)
        pen.rect(x - 2, y - 2, x + w + 2, y + h + 2, any_colour(rng))
        pen.rect(x, y, x + w, y + h, pick(rng, GLASS))
        pen.limb((x + w / 2, y), (x + w / 2, y + h), 2, any_colour(rng))
    if rng.random() < 0.35:
        step = rng.uniform(6, 14)
        colour = any_colour(rng)
        for y in np.arange(0, bottom, step):
            pen.limb((0, float(y)), (width, float(y)), 1, colour)
    if rng.random() < 0.4:
        x, w = rng.uniform(0, width), rng.uniform(18, 45)
        pen.rect(x, bottom - rng.uniform(1.6, 2.2) * w, x + w, bottom, any_colour(rng))
    if rng.random() < 0.3:
        for x in np.arange(0, width, rng.uniform(7, 16)):
            pen.limb((float(x), bottom - 28), (float(x), bottom), 2, (90, 95, 100))


def _draw_ground_marks(rng: np.random.Generator, canvas: Image, horizon: float) -> None:
    """Roads, dashes, joints, stains and long shadows."""
    height, width = canvas.shape[:2]
    pen = Pen(canvas)
    floor = max(horizon, 0.0)
    if rng.random() < 0.6:
        top = rng.uniform(floor, height * 0.8)
        bottom = top + rng.uniform(30, 120)
        tone, start = rng.uniform(0.7, 1.5), rng.uniform(-60, 0)
        _draw_road(canvas, (top, bottom), tone, rng.uniform(35, 80), start)
    vanish = rng.uniform(0, width)
    if rng.random() < 0.5:
        colour = any_colour(rng, 60, 170)
        for x in np.arange(-width, 2 * width, rng.uniform(30, 110)):
            pen.limb((vanish, horizon), (float(x), height), rng.uniform(0.8, 1.6), colour)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, width), rng.uniform(floor, height)
        pen.disc(x, y, rng.uniform(6, 45), rng.uniform(2, 10), any_colour(rng, 40, 150))
    for _ in range(int(rng.integers(0, 3))):
        x, y, w = rng.uniform(0, width), rng.uniform(floor, height), rng.uniform(30, 160)
        darken(canvas, (x, y), w, rng.uniform(5, 24), rng.uniform(0.55, 0.85))


def _draw_road(
    canvas: Image, rows: tuple[float, float], tone: float, step: float, start: float = 0.0
) -> None:
    """Draw a strip from side to side with dashes along its middle."""
    pen, width = Pen(canvas), canvas.shape[1]
    middle = sum(rows) / 2
    pen.rect(0, rows[0], width, rows[1], shade((78, 78, 80), tone))
    for x in np.arange(start, width, step):
        pen.rect(float(x), middle - 2, float(x) + 22, middle + 2, (210, 215, 218))


def _draw_clutter(rng: np.random.Generator, canvas: Image, horizon: float) -> None:
    """Things that are none of the four classes, some of them on purpose a little alike."""
    height, width = canvas.shape[:2]
    pen = Pen(canvas)
    for _ in range(int(rng.integers(1, 3 + width * height // 30_000))):
        x, y = rng.uniform(0, width), rng.uniform(max(horizon, 0) + 4, height + 20)
        size, colour = rng.uniform(18, 90), any_colour(rng)
        match int(rng.integers(8)):
            case 0:  # a pole, perhaps with a sign
                pen.limb((x, y), (x, y - 1.8 * size), max(2.0, 0.05 * size), colour)
                if rng.random() < 0.6:
                    pen.disc(x, y - 1.7 * size, 0.2 * size, 0.2 * size, any_colour(rng))
            case 1:  # a tree
                pen.limb((x, y), (x, y - size), 0.12 * size, (45, 65, 85))
                _draw_leaves(rng, pen, (x, y - 1.2 * size), 0.45 * size)
            case 2:  # a bush
                _draw_leaves(rng, pen, (x, y - 0.2 * size), 0.35 * size)
            case 3:  # a bin
                pen.poly(
                    [
                        (x - 0.2 * size, y - 0.6 * size),
                        (x + 0.2 * size, y - 0.6 * size),
                        (x + 0.16 * size, y),
                        (x - 0.16 * size, y),
                    ],
                    colour,
                )
                pen.rect(
                    x - 0.23 * size, y - 0.68 * size, x + 0.23 * size, y - 0.6 * size, (40, 45, 40)
                )
            case 4:  # a cone
                pen.poly(
                    [(x - 0.2 * size, y), (x, y - 0.55 * size), (x + 0.2 * size, y)], (40, 110, 230)
                )
            case 5:  # a bench
                pen.rect(x - 0.5 * size, y - 0.3 * size, x + 0.5 * size, y - 0.22 * size, colour)
                for side in (-0.4, 0.4):
                    pen.limb((x + side * size, y), (x + side * size, y - 0.25 * size), 3, colour)
            case 6:  # a bollard
                pen.rect(x - 0.08 * size, y - 0.5 * size, x + 0.08 * size, y, colour)
                pen.rect(
                    x - 0.08 * size,
                    y - 0.4 * size,
                    x + 0.08 * size,
                    y - 0.32 * size,
                    (230, 230, 230),
                )
            case _:  # a flat scrap of anything
                w, h = rng.uniform(4, 40), rng.uniform(2, 9)
                pen.poly(
                    [(x, y), (x + w, y - h / 3), (x + w * 0.8, y + h), (x - 3, y + h / 2)], colour
                )


def _draw_leaves(rng: np.random.Generator, pen: Pen, at: Point, radius: float) -> None:
    base = shade((55, 110, 70), rng.uniform(0.5, 1.4))
    for _ in range(12):
        dx, dy = rng.normal(0, radius * 0.45, 2)
        blob = rng.uniform(0.25, 0.5) * radius
        pen.disc(at[0] + dx, at[1] + dy, blob, blob, shade(base, rng.uniform(0.7, 1.3)))


def darken(canvas: Image, at: Point, half_w: float, half_h: float, factor: float) -> None:
    """Multiplies an elliptic patch of the ground, as a shadow does."""
    height, width = canvas.shape[:2]
    x0, x1 = max(int(at[0] - half_w), 0), min(int(at[0] + half_w) + 1, width)
    y0, y1 = max(int(at[1] - half_h), 0), min(int(at[1] + half_h) + 1, height)
    if x0 >= x1 or y0 >= y1:
        return
    ys, xs = np.ogrid[y0:y1, x0:x1]
    reach = ((xs - at[0]) / half_w) ** 2 + ((ys - at[1]) / half_h) ** 2
    weight = np.clip(1.4 - 1.4 * reach, 0, 1) * (1 - factor)
    patch = canvas[y0:y1, x0:x1]
    patch[:] = (patch * (1 - weight[..., None])).astype(np.uint8)


def backdrop(
    rng: np.random.Generator,
    size: tuple[int, int],
    horizon: float,
    road: tuple[float, float] | None = None,
) -> Image:
    """Draw a place without anyone in it.

    Args:
        rng: what decides all of it.
        size: width and height in pixels.
        horizon: row where the ground begins; it may lie outside the picture.
        road: top and bottom row of a road that has to be there; None leaves it to chance.
    """
    width, height = size
    canvas = _surface(rng, size, pick(rng, _GROUND))
    line = int(np.clip(horizon, 0, height))
    if line > 2:
        canvas[:line] = _surface(rng, (width, line), pick(rng, _BACK))
        _draw_wall(rng, canvas[:line], float(line))
    _draw_ground_marks(rng, canvas, horizon)
    if road:
        _draw_road(canvas, road, rng.uniform(0.8, 1.3), rng.uniform(40, 70))
    _draw_clutter(rng, canvas, horizon)
    return canvas


def camera(
    rng: np.random.Generator, picture: Image, gain: Colour, noise: float, blur: float
) -> Image:
    """Give what a sensor makes of the picture: exposure, soft focus and noise."""
    if blur > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * noise
    lit = picture * np.asarray(gain, np.float32) + grain
    return np.clip(lit, 0, 255).astype(np.uint8)
