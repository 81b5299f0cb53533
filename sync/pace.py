"""How much may be under way on a link, without any I/O: as much as it carries at once, and no more.

What waits in front of a slow link delays everything behind it, also what is urgent. How long a broker
takes to say that it has a message tells how full the link is; how long the control plane takes says
nothing of it.
"""

from __future__ import annotations

import math
from collections import deque

LEAST_BYTES = 8_000
"""A window that a link of 64 kbit/s still empties within a second."""

TARGET_S = 0.4
"""What a message may wait in front of the link, beyond what the way itself takes."""

_LITTLE_BYTES = 2 * LEAST_BYTES
"""While the window is no more than this, what a message takes says what the link does by itself."""

_OWN_SAMPLES = 16
"""Messages that are judged by, of those of such times."""

_SLACK_FOR_S = 120.0
"""After so long what was learned of a link that varies is forgotten, and learned anew."""

_BURST_S = 60.0
"""A cap is kept over a minute: what was not used in that time may be used at once."""


class Pace:
    """The window of one link, and its cap.

    Args:
        cap_bytes_per_s: what may be sent in the long run; 0 = no cap.
        first_bytes: the window to begin with.
    """

    def __init__(self, *, cap_bytes_per_s: float = 0.0, first_bytes: int = 32_000) -> None:
        self._cap = cap_bytes_per_s
        self._first_bytes = first_bytes
        self.window_bytes = first_bytes
        self._way_s = math.inf
        """The shortest that a message has taken on this connection."""
        self._shrunk_s = -math.inf
        self._best_rate = 0.0
        """Bytes a second that the quickest message has had: the link carries that at least."""
        self._own: deque[float] = deque(maxlen=_OWN_SAMPLES)
        """What messages took while little was under way."""
        self._slack_s, self._slack_until_s = 0.0, -math.inf
        self._tokens = cap_bytes_per_s * _BURST_S
        self._at_s: float | None = None

    def began(self, now_s: float) -> None:
        """A connection is new: nothing is known of the way."""
        self.window_bytes = self._first_bytes
        self._way_s = math.inf
        self._shrunk_s = now_s
        self._best_rate = 0.0
        self._own.clear()
        self._slack_s, self._slack_until_s = 0.0, -math.inf
        self._refill(now_s)

    def taken(self, size_bytes: int, took_s: float, now_s: float) -> None:
        """The broker has a message of ours.

        Args:
            size_bytes: of the message.
            took_s: from when it was handed to the link.
            now_s: a steady clock.
        """
        self._way_s = min(self._way_s, took_s)
        self._learn(size_bytes, took_s, now_s)
        waited_s = took_s - self._way_s - self._slack_s
        if waited_s <= TARGET_S / 4:
            self.window_bytes += size_bytes
        elif waited_s <= TARGET_S:
            # It is nearly full: what is handed over now is felt only a whole way later.
            self.window_bytes += size_bytes // 8
        elif now_s - took_s >= self._shrunk_s:
            # What was handed over before the last step back says nothing of the step.
            self._shrunk_s = now_s
            self.window_bytes = max(LEAST_BYTES, self.window_bytes // 2)

    def _learn(self, size_bytes: int, took_s: float, now_s: float) -> None:
        """Find out how much a link varies by itself.

        A message that waits behind others of ours, and one that a link delays, look alike; but with
        a small window few of ours are in front. What it takes even then, beyond what the quickest
        message shows that the window needs, is the link's own, and no reason to send less.
        """
        if self._slack_s and now_s >= self._slack_until_s:
            self._slack_s = 0.0
            self._own.clear()
        self._best_rate = max(self._best_rate, size_bytes / max(took_s, 1e-3))
        if self.window_bytes > _LITTLE_BYTES:
            return
        self._own.append(took_s)
        if len(self._own) < _OWN_SAMPLES // 2:
            return
        ours_s, varies_s = _LITTLE_BYTES / self._best_rate, max(self._own) - self._way_s
        if varies_s > max(self._slack_s, ours_s + TARGET_S):
            self._slack_s, self._slack_until_s = varies_s, now_s + _SLACK_FOR_S

    def limit(self, most_bytes: int) -> int:
        """Bound the window by what the other end grants; it need not grow beyond that."""
        self.window_bytes = min(self.window_bytes, max(LEAST_BYTES, most_bytes))
        return self.window_bytes

    @property
    def message_bytes(self) -> int:
        """What one message may have: whatever is urgent waits for the end of one at least."""
        return max(LEAST_BYTES // 2, self.window_bytes // 4)

    def sent(self, size_bytes: int, now_s: float) -> None:
        """So much has been handed to the link."""
        self._refill(now_s)
        self._tokens -= size_bytes

    def free_s(self, now_s: float) -> float:
        """When the cap lets something be sent again; not later than now when it does."""
        if not self._cap:
            return now_s
        self._refill(now_s)
        return now_s if self._tokens > 0 else now_s - self._tokens / self._cap

    def _refill(self, now_s: float) -> None:
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        self._at_s = now_s
        self._tokens = min(self._cap * _BURST_S, self._tokens + passed_s * self._cap)
