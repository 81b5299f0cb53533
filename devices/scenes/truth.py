"""What was drawn, written down: boxes per frame, episodes per video.

No drawing and no judging of a detector.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

# A box smaller than this, or with less than this part of it in view, is only a glimpse: nobody
# could name the object from what is left of it.
_MIN_SIDE_PX = 6.0
_MIN_VISIBLE = 0.3


class TruthBox(msgspec.Struct, frozen=True):
    """One object as it was drawn in one frame; pixels, origin at the top left."""

    object: int
    label: str
    x: float
    y: float
    w: float
    h: float
    # Part of the object inside the frame and not behind a nearer object, 0..1.
    visible: float


class Episode(msgspec.Struct, frozen=True):
    """One object's stay in the picture; both frames are inclusive."""

    episode: int  # objects that come together share this number
    object: int
    label: str
    start_frame: int
    end_frame: int


class Truth(msgspec.Struct, frozen=True):
    """What a video shows; kept as JSON beside it."""

    seed: int
    width: int
    height: int
    fps: float
    frames: int
    encoder: str
    labels: list[str]
    episodes: list[Episode]
    boxes: list[list[TruthBox]]  # what should be found; one list per frame, nearest object last
    glimpses: list[list[TruthBox]]  # what may be found as well: too little of it shows to demand it


class Placed(msgspec.Struct, frozen=True):
    """An object drawn somewhere: its extent before anything cut or covered it."""

    object: int
    label: str
    extent: tuple[float, float, float, float]


def truth(placed: Sequence[Placed], size: tuple[int, int]) -> list[TruthBox]:
    """Give what a detector should find: clipped to the frame, with enough of it to be named."""
    return [box for box in _in_view(placed, size) if _counts(box)]


def glimpses(placed: Sequence[Placed], size: tuple[int, int]) -> list[TruthBox]:
    """Give the rest: too little of it shows to demand it, but finding it is no mistake."""
    return [box for box in _in_view(placed, size) if not _counts(box)]


def _counts(box: TruthBox) -> bool:
    return min(box.w, box.h) >= _MIN_SIDE_PX and box.visible >= _MIN_VISIBLE


def _in_view(placed: Sequence[Placed], size: tuple[int, int]) -> list[TruthBox]:
    """Clip to the frame, and measure how much of each is neither outside nor behind another."""
    width, height = size
    boxes = []
    for order, item in enumerate(placed):
        x0, y0, x1, y1 = item.extent
        whole = max((x1 - x0) * (y1 - y0), 1e-6)
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if right - left < 1 or bottom - top < 1:
            continue
        hidden = max(
            (overlap((left, top, right, bottom), other.extent) for other in placed[order + 1 :]),
            default=0.0,
        )
        visible = max((right - left) * (bottom - top) - hidden, 0.0) / whole
        boxes.append(
            TruthBox(
                object=item.object,
                label=item.label,
                x=round(left, 2),
                y=round(top, 2),
                w=round(right - left, 2),
                h=round(bottom - top, 2),
                visible=round(visible, 3),
            )
        )
    return boxes


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Give the area that two extents share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
