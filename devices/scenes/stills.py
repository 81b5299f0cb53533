"""Single pictures with their boxes, as many as there are seeds: what the detector learns from.

No motion here, and no video codec; JPEG stands in for what a codec does to edges.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.scenes.actors import LABELS, Actor, Image
from devices.scenes.surroundings import backdrop, camera, darken
from devices.scenes.truth import Placed, TruthBox, overlap, truth

# Height in pixels of a person; the other classes are drawn in proportion.  The moving scenes
# stay inside this range at 640x360.
_PERSON_HEIGHT_PX = (40.0, 130.0)
_OBJECTS_PER_PIXEL = 3.2 / 65_536
_MAX_OBJECTS = 9
_MAX_COVERED = 0.4


def still(
    seed: int, size: tuple[int, int] = (640, 360)
) -> tuple[Image, NDArray[np.float32], list[str]]:
    """Draw the picture of this seed.

    Args:
        seed: any number not below zero; the same seed and size give the same bytes.
        size: width and height in pixels.  The scale of the objects does not follow it: a smaller
            picture shows less, not smaller.

    Returns:
        The picture (height x width x 3, uint8, BGR), its boxes (n x 4, float32, x y w h in
        pixels) and their labels.
    """
    image, boxes = _compose(np.random.default_rng((seed, *size)), size)
    corners = np.array([(box.x, box.y, box.w, box.h) for box in boxes], np.float32)
    return image, corners.reshape(-1, 4), [box.label for box in boxes]


def _compose(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image, list[TruthBox]]:
    canvas = backdrop(rng, size, rng.uniform(-0.4, 0.55) * size[1])
    placed = _populate(rng, canvas, size)
    cast = rng.uniform(0.5, 1.3) * rng.uniform(0.93, 1.07, 3)
    gain = (float(cast[0]), float(cast[1]), float(cast[2]))
    picture = camera(rng, canvas, gain, rng.uniform(0.5, 9), rng.uniform(0, 1.1))
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        _, data = cv2.imencode(".jpg", picture, quality)
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture, truth(placed, size)


def _populate(rng: np.random.Generator, canvas: Image, size: tuple[int, int]) -> list[Placed]:
    """Put objects into the picture, the far ones first, none mostly behind another."""
    width, height = size
    mean = _OBJECTS_PER_PIXEL * width * height
    count = min(int(rng.poisson(mean)), max(_MAX_OBJECTS, round(2 * mean)))
    feet = np.sort(rng.uniform(0.15, 1.12, count) * height)
    placed: list[Placed] = []
    for foot_y in feet:
        actor = Actor(rng, LABELS[int(rng.choice(4, p=(0.34, 0.2, 0.18, 0.28)))])
        scale = math.exp(rng.uniform(*np.log(_PERSON_HEIGHT_PX)))
        foot = (rng.uniform(-0.05, 1.05) * width, float(foot_y))
        trial = actor.draw(np.zeros((1, 1, 3), np.uint8), foot, scale)
        if any(_covers(trial, other.extent) for other in placed):
            continue
        half, depth = actor.span(scale)
        if rng.random() < 0.85:
            darken(canvas, foot, half * 1.15, depth * 1.4, rng.uniform(0.4, 0.85))
        extent = actor.draw(canvas, foot, scale, rng.uniform(0, 2 * math.pi))
        placed.append(Placed(len(placed), actor.label, extent))
        if actor.label == "person" and rng.random() < 0.2:
            parcel = Actor(rng, "package")
            extent = parcel.draw(canvas, actor.hands(foot, scale), scale)
            placed.append(Placed(len(placed), parcel.label, extent))
    return placed


def _covers(
    near: tuple[float, float, float, float], far: tuple[float, float, float, float]
) -> bool:
    area = min((box[2] - box[0]) * (box[3] - box[1]) for box in (near, far))
    return overlap(near, far) > _MAX_COVERED * area
