"""A clock that stands still until a test moves it."""

from __future__ import annotations


class ManualClock:
    """Wall and monotonic time, moved together or apart."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 1_000

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds that only go forward."""
        return self._monotonic_ms

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_ms += round(seconds * 1000)

    def jump_s(self, seconds: float) -> None:
        """Set the wall clock forward, while no time passes."""
        self._now_ms += round(seconds * 1000)
