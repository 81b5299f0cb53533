"""What the analysis should have found against what it found; pure.

Nothing is asked of any process here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from devices.scenes.truth import Truth

_SHOWN_S = 1.0
"""An object counts for a clip that shows it for at least this long."""


class FrameClock(msgspec.Struct, frozen=True):
    """Which frame of the source was filmed when: one pair of both, and the rate."""

    frame: int
    """Number of a frame, counted on without regard to loops."""
    at_ms: int
    fps: float

    def frame_at(self, moment_ms: int) -> int:
        """Number of the frame at a moment of the wall clock."""
        return self.frame + round((moment_ms - self.at_ms) * self.fps / 1000)


class Score(msgspec.Struct, frozen=True):
    """Objects that clips showed, and what became of them."""

    shown: int
    """Objects that the clips showed long enough, counted once a clip."""
    found: int
    """Those that were described with the right label."""
    wrong: int
    """Descriptions of what was not there."""

    @property
    def recall(self) -> float:
        """Share of the shown objects that were found; 1 when none was shown."""
        return self.found / self.shown if self.shown else 1.0


def expected_in(truth: Truth, first_frame: int, last_frame: int) -> Counter[str]:
    """Labels of the objects that a span of frames shows; the source is a loop."""
    frames_needed = round(_SHOWN_S * truth.fps)
    seen: Counter[int] = Counter()
    labels: dict[int, str] = {}
    for number in range(first_frame, last_frame + 1):
        for box in truth.boxes[number % truth.frames]:
            seen[box.object] += 1
            labels[box.object] = box.label
    return Counter(labels[one] for one, count in seen.items() if count >= frames_needed)


def possible_in(truth: Truth, first_frame: int, last_frame: int) -> Counter[str]:
    """Labels of everything that a span of frames shows at all, glimpses too."""
    labels: dict[int, str] = {}
    for number in range(first_frame, last_frame + 1):
        frame = number % truth.frames
        for box in (*truth.boxes[frame], *truth.glimpses[frame]):
            labels[box.object] = box.label
    return Counter(labels.values())


def score(truth: Truth, clock: FrameClock, executions: Sequence[dict[str, Any]]) -> Score:
    """Compare finished executions with the truth.

    Args:
        truth: of the video that the camera films.
        clock: when which frame was filmed.
        executions: as JSON, with the clip among their tasks' outputs.
    """
    shown = found = wrong = 0
    for execution in executions:
        clip = clip_of(execution)
        if clip is None:
            continue
        span = clock.frame_at(clip["start_ms"]), clock.frame_at(clip["end_ms"])
        expected, possible = expected_in(truth, *span), possible_in(truth, *span)
        tracks = (execution.get("output") or {}).get("tracks") or []
        described = Counter(track["label"] for track in tracks)
        shown += expected.total()
        found += (expected & described).total()
        wrong += (described - possible).total()
    return Score(shown, found, wrong)


def clip_of(execution: dict[str, Any]) -> dict[str, Any] | None:
    """The clip that an execution took."""
    for task in execution.get("tasks", ()):
        clip = (task.get("outputData") or {}).get("clip")
        if isinstance(clip, dict) and "start_ms" in clip:
            return clip
    return None
