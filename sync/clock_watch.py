"""What a device says of its clock: when it is worth saying, without any I/O.

No clock is read here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sync.records import ClockRecord
from sync.session import Measured

ASK_EVERY_S = 3_600.0
"""Between two measurements on one connection: at 200 ppm a clock goes wrong by 0.7 s in that time."""

WORTH_MS = 500
"""An offset that has changed by less than this, and by less than it may be wrong, is the same."""


class ClockWatch:
    """Watches one device's clock against the control plane's, for one run of the program."""

    def __init__(self) -> None:
        self._said: ClockRecord | None = None
        self._jumps = 0
        """How many were known when the clock was last measured."""
        self.due_s = math.inf
        """When the clock is to be measured again."""

    def see(
        self, measured: Measured, now_ms: int, jumps: Sequence[tuple[int, int, int]], now_s: float
    ) -> ClockRecord | None:
        """Take a measurement; what is to be recorded of it, None when it says nothing new.

        Args:
            measured: the control plane's clock, and how long the answer took.
            now_ms: what our wall clock showed when it was heard.
            jumps: those that it has made.
            now_s: a steady clock.
        """
        self.due_s = now_s + ASK_EVERY_S
        half_ms = int(measured.round_trip_s * 500)
        at_ms = max(0, now_ms - half_ms)
        seen = ClockRecord(at_ms, measured.server_ms - at_ms, half_ms + 1, list(jumps))
        news = len(jumps) != self._jumps or self._is_news(seen)
        self._jumps = len(jumps)
        if not news:
            return None
        self._said = seen
        return seen

    def _is_news(self, seen: ClockRecord) -> bool:
        if self._said is None:
            return True
        moved_ms = abs(seen.offset_ms - self._said.offset_ms)
        return moved_ms > max(WORTH_MS, seen.error_ms + self._said.error_ms)

    def asks(self, jumps: Sequence[tuple[int, int, int]], now_s: float) -> bool:
        """Whether the clock is to be measured: it has jumped, or it is time."""
        if self._said is None or (len(jumps) == self._jumps and now_s < self.due_s):
            return False
        # Once is enough; the answer may take a while.
        self._jumps = len(jumps)
        self.due_s = now_s + ASK_EVERY_S
        return True
