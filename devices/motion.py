"""The motion gate: tells from small grey pictures when something begins and ceases to move.

Pure: no camera, no thread, no clock; every picture comes with its time.

A running average of the scene is kept at about a hundred lines. What differs from it by more than
a threshold is counted, and a small state machine asks for several such pictures before it believes
them:

    WARMING --enough pictures--> IDLE --N of M moved--> ACTIVE --quiet, or too long--> COOLDOWN
                                  ^                                                        |
                                  +-------------------------cooldown over------------------+
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.capabilities import Image, Region

Luma: TypeAlias = NDArray[np.float32]
"""Shape (height, width), brightness 0 to 255."""

# About a hundred lines keep a person at 5 % of the picture's height five lines tall, while one
# running average costs 0.1 to 0.2 ms; finer grids mostly see more noise.
GATE_HEIGHT = 100

# Three by three samples are averaged into each cell of the grid: sensor noise falls to a third.
_SAMPLES = 3

# The average follows the scene with this share per second while idle, and much slower while
# something moves, so that a slow visitor does not melt into the background.
_ADAPT_IDLE_PER_S = 0.25
_ADAPT_ACTIVE_PER_S = 0.05

# More change than this is a lamp, the exposure or a shaken camera, hardly ever a visitor.
_LIGHT_SWITCH_SHARE = 0.7

_WARM_UP_PICTURES = 5
_CONFIRM_OF = 4
_CONFIRM = 2
# Motion ends when no picture moved for so long; a walker who stops for a step is not two events.
_QUIET_S = 2.0
# Once active, a somewhat smaller area is enough to stay so. At 0.5 the trail that a large object
# leaves in the average kept the gate open until the next one came; 0.7 told them apart.
_HYSTERESIS = 0.7

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class MotionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How easily the gate opens."""

    threshold: Annotated[float, msgspec.Meta(gt=0, le=255)] = 16.0
    """Brightness levels (of 255) by which a cell must differ from the average.

    On six generated scenes 16 found 30 of 30 visits within 0.4 s and nothing else.
    """

    min_area: Share = 0.003
    """Share of the picture that must differ; 0.003 is about 26 x 26 pixels of 640 x 360."""

    cooldown_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 5.0
    """Time after the end of one motion in which no other begins."""

    max_event_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    """A motion that lasts longer is ended, so that a street that never rests is still told of."""

    mask: tuple[tuple[Share, Share, Share, Share], ...] = ()
    """Rectangles [x, y, width, height] as shares of the picture in which motion does not count."""


class MotionState(StrEnum):
    """Where the gate stands."""

    WARMING = "warming"
    IDLE = "idle"
    ACTIVE = "active"
    COOLDOWN = "cooldown"


CHANGES: dict[MotionState, tuple[MotionState, ...]] = {
    MotionState.WARMING: (MotionState.IDLE,),
    MotionState.IDLE: (MotionState.ACTIVE, MotionState.WARMING),
    MotionState.ACTIVE: (MotionState.COOLDOWN, MotionState.WARMING),
    MotionState.COOLDOWN: (MotionState.IDLE, MotionState.WARMING),
}
"""From each state, the states that may follow."""


class Motion(msgspec.Struct, frozen=True):
    """A motion that has just begun."""

    started_ms: int
    """Time of the first picture of those that confirmed it."""

    score: float
    """Share of the picture that changed, 0 to 1."""

    region: Region


class MotionGate:
    """Watches one camera's pictures; call `feed` with each."""

    def __init__(self, settings: MotionSettings) -> None:
        """Begin without any idea of the scene."""
        self.settings = settings
        self.state = MotionState.WARMING
        self.saw_motion = False
        """Whether enough had changed in the picture fed last; one such alone is not believed."""
        self._average: Luma | None = None
        self._counted: NDArray[np.bool_] | None = None
        self._pictures = 0
        self._last_ms = 0
        self._moved: deque[tuple[int, bool]] = deque(maxlen=_CONFIRM_OF)
        self._quiet_since_ms = 0
        self._entered_ms = 0

    def rebase(self) -> None:
        """Forget the scene, as after a reconnect: the camera may look elsewhere now."""
        if self.state is not MotionState.WARMING:
            self._enter(MotionState.WARMING, self._last_ms)
        self._average = None
        self._pictures = 0
        self._moved.clear()

    def feed(self, luma: Luma, now_ms: int) -> Motion | None:
        """Take the next picture.

        Args:
            luma: Array of shape (height, width), dtype float32, 0 to 255, as from `luma_of`.
            now_ms: When it was taken, never before the picture fed last.

        Returns:
            The motion that begins with this picture, or None.
        """
        if self._average is None or self._average.shape != luma.shape:
            self.rebase()
            self._average = luma.copy()
            self._counted = _counted_cells(luma.shape, self.settings.mask)
            self._last_ms = now_ms
            return None
        changed = self._changed_cells(luma)
        share = float(changed.mean())
        elapsed_s = max(0, now_ms - self._last_ms) / 1000
        self._last_ms = now_ms
        self._pictures += 1
        if share > _LIGHT_SWITCH_SHARE:
            # The whole scene is new: adopt it at once and take nothing for motion.
            self._average = luma.copy()
            self._moved.clear()
            return None
        self._adapt(luma, elapsed_s)
        return self._step(changed, share, now_ms)

    def _changed_cells(self, luma: Luma) -> NDArray[np.bool_]:
        """Mark the cells that differ, without those that stand alone (noise)."""
        assert self._average is not None
        assert self._counted is not None
        differs = (np.abs(luma - self._average) > self.settings.threshold) & self._counted
        marked: NDArray[np.bool_] = differs & (_neighbours(differs) >= 3)
        return marked

    def _adapt(self, luma: Luma, elapsed_s: float) -> None:
        """Let the average follow the scene."""
        if self.state is MotionState.WARMING:
            weight = 1.0 / (self._pictures + 1)
        elif self.state is MotionState.ACTIVE:
            weight = min(1.0, _ADAPT_ACTIVE_PER_S * elapsed_s)
        else:
            weight = min(1.0, _ADAPT_IDLE_PER_S * elapsed_s)
        assert self._average is not None
        self._average += np.float32(weight) * (luma - self._average)

    def _step(self, changed: NDArray[np.bool_], share: float, now_ms: int) -> Motion | None:
        """Walk the table of states by one picture."""
        moved = share >= self.settings.min_area
        self.saw_motion = moved
        self._moved.append((now_ms, moved))
        match self.state:
            case MotionState.WARMING:
                if self._pictures >= _WARM_UP_PICTURES:
                    self._moved.clear()
                    self._enter(MotionState.IDLE, now_ms)
            case MotionState.COOLDOWN:
                if now_ms - self._entered_ms >= self.settings.cooldown_s * 1000:
                    self._moved.clear()
                    self._enter(MotionState.IDLE, now_ms)
            case MotionState.ACTIVE:
                self._stay_active(share, now_ms)
            case MotionState.IDLE:
                if moved and sum(one for _, one in self._moved) >= _CONFIRM:
                    return self._begin(changed, share, now_ms)
        return None

    def _begin(self, changed: NDArray[np.bool_], share: float, now_ms: int) -> Motion:
        """Open the gate."""
        started_ms = next(when for when, moved in self._moved if moved)
        self._quiet_since_ms = now_ms
        self._enter(MotionState.ACTIVE, now_ms)
        return Motion(started_ms=started_ms, score=share, region=_region(changed))

    def _stay_active(self, share: float, now_ms: int) -> None:
        """Close the gate once it has been quiet, or when it has been open for too long."""
        if share >= self.settings.min_area * _HYSTERESIS:
            self._quiet_since_ms = now_ms
        is_quiet = now_ms - self._quiet_since_ms >= _QUIET_S * 1000
        is_too_long = now_ms - self._entered_ms >= self.settings.max_event_s * 1000
        if is_quiet or is_too_long:
            self._enter(MotionState.COOLDOWN, now_ms)

    def _enter(self, state: MotionState, now_ms: int) -> None:
        """Change the state; a change that is not in the table is a bug in this file."""
        assert state in CHANGES[self.state], (self.state, state)
        self.state = state
        self._entered_ms = now_ms


def luma_of(image: Image) -> Luma:
    """Shrink a picture to about a hundred lines of brightness.

    The green channel stands for luma: it carries most of it and costs no conversion.

    Args:
        image: Array of shape (height, width, 3), dtype uint8, colour order BGR.

    Returns:
        Array of shape (about 100, in proportion), dtype float32, 0 to 255.
    """
    height, width = image.shape[:2]
    cell = max(1, height // GATE_HEIGHT)
    step = max(1, cell // _SAMPLES)
    per_cell = cell // step
    rows, columns = height // cell, width // cell
    green = image[: rows * cell, : columns * cell, 1]
    total = np.zeros((rows, columns), np.float32)
    # Nine strided sums are several times faster here than one mean over a reshaped array.
    for dy in range(per_cell):
        for dx in range(per_cell):
            total += green[dy * step :: cell, dx * step :: cell]
    total /= per_cell * per_cell
    return total


def _neighbours(cells: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Count the marked cells in the three by three cells around each, itself included."""
    counts = np.pad(cells.astype(np.uint8), 1)
    rows = counts[:-2] + counts[1:-1] + counts[2:]
    total: NDArray[np.uint8] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return total


def _region(changed: NDArray[np.bool_]) -> Region:
    """Draw a rectangle around the marked cells, without the outermost twentieth on each side.

    Keyframes of a video stream let a few cells flicker anywhere, and a rectangle around those too
    would be the whole picture.
    """
    height, width = changed.shape
    rows, columns = np.nonzero(changed)
    top, bottom = np.percentile(rows, (5, 95))
    left, right = np.percentile(columns, (5, 95))
    return Region(
        x=float(left) / width,
        y=float(top) / height,
        w=float(right - left + 1) / width,
        h=float(bottom - top + 1) / height,
    )


def _counted_cells(
    shape: tuple[int, ...], mask: tuple[tuple[float, float, float, float], ...]
) -> NDArray[np.bool_]:
    """Mark the cells in which motion counts."""
    height, width = shape[0], shape[1]
    counted = np.ones((height, width), np.bool_)
    for x, y, w, h in mask:
        top, left = int(y * height), int(x * width)
        counted[top : int(np.ceil((y + h) * height)), left : int(np.ceil((x + w) * width))] = False
    return counted
