"""A clock that stands still until a test moves it."""

from __future__ import annotations

from edge.model.elapsed import NO_JUMPS, Jump, TimeKept


class ManualClock:
    """Wall and monotonic time, moved together or apart."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 1_000
        self.jumps = NO_JUMPS

    def kept(self) -> TimeKept:
        """What the next start has to know: a test hands the clock itself on."""
        return TimeKept(jumps=self.jumps)

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds that only go forward."""
        return self._monotonic_ms

    elapsed_ms = monotonic_ms

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_ms += round(seconds * 1000)

    def jump_s(self, seconds: float) -> None:
        """Set the wall clock forward, while no time passes."""
        before_ms = self._now_ms
        self._now_ms += round(seconds * 1000)
        self.jumps = self.jumps.and_one(Jump(before_ms, self._now_ms))
