"""What a detector finds: the Detection, the overlap of two, the best of many, letterbox geometry.

No model, no picture and no array lives here: the base install, which has no numpy, imports this.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Detection(msgspec.Struct, frozen=True):
    """One object found in one picture."""

    label: str
    """Name of the class, one of the detector's labels."""

    score: float
    """Confidence, 0 to 1."""

    x: float
    """Left edge in pixels of the picture that was given; the origin is top left."""

    y: float
    """Top edge in pixels."""

    w: float
    """Width in pixels, above 0."""

    h: float
    """Height in pixels, above 0."""


def iou(a: Detection, b: Detection) -> float:
    """Tell how much two boxes overlap: shared area over covered area, 0 to 1, labels ignored."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.w * a.h + b.w * b.h - shared)


def suppress(
    detections: Iterable[Detection], iou_threshold: float, limit: int = 100
) -> list[Detection]:
    """Keep the best of those that lie on each other, each label for itself.

    Args:
        detections: Candidates in any order; a few hundred at most, the work is their number
            times the number kept.
        iou_threshold: Two boxes of one label that overlap more than this are the same object.
        limit: Where to stop; the weakest are left out.

    Returns:
        What is kept, best score first; equal scores keep their order.
    """
    kept: list[Detection] = []
    by_label: dict[str, list[Detection]] = {}
    for candidate in sorted(detections, key=lambda found: -found.score):
        rivals = by_label.setdefault(candidate.label, [])
        if all(iou(candidate, rival) <= iou_threshold for rival in rivals):
            rivals.append(candidate)
            kept.append(candidate)
            if len(kept) == limit:
                break
    return kept


class Letterbox(msgspec.Struct, frozen=True):
    """How a picture lies inside a model's input: scaled as a whole, centred, with borders."""

    source: tuple[int, int]
    """Width and height of the picture."""

    target: tuple[int, int]
    """Width and height of the model's input."""

    scale: float
    """Input pixels per picture pixel."""

    inner: tuple[int, int]
    """Width and height of the scaled picture."""

    left: int
    """Columns of border to the left of it."""

    top: int
    """Rows of border above it."""

    @classmethod
    def fit(cls, source: tuple[int, int], target: tuple[int, int]) -> Letterbox:
        """Lay a picture of one size into an input of another, as large as it goes."""
        scale = min(target[0] / source[0], target[1] / source[1])
        width = min(max(round(source[0] * scale), 1), target[0])
        height = min(max(round(source[1] * scale), 1), target[1])
        left, top = (target[0] - width) // 2, (target[1] - height) // 2
        return cls(source, target, scale, (width, height), left, top)

    def back(
        self, x0: float, y0: float, x1: float, y1: float
    ) -> tuple[float, float, float, float] | None:
        """Turn corners in the input into x, y, w, h in the picture.

        Returns:
            The part inside the picture, or None if less than a pixel of it is.
        """
        # The scaled size is rounded to whole pixels, so each axis has its own exact scale.
        scale_x, scale_y = self.inner[0] / self.source[0], self.inner[1] / self.source[1]
        left = max((x0 - self.left) / scale_x, 0.0)
        top = max((y0 - self.top) / scale_y, 0.0)
        right = min((x1 - self.left) / scale_x, float(self.source[0]))
        bottom = min((y1 - self.top) / scale_y, float(self.source[1]))
        if right - left < 1 or bottom - top < 1:
            return None
        return left, top, right - left, bottom - top
