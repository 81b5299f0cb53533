"""The only room that reads a clock or makes an id; everyone else is handed ``now_ms`` or ``Ids``.

No deadline is judged here.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time that never steps back, and monotonic time for leases."""

    def now_ms(self) -> int:
        """Epoch milliseconds, never earlier than any it returned before."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary moment; not moved by changes of the wall clock."""
        ...


_SLEWED_MS = 1_000
"""A wall clock that is behind by no more than this is waited for, so that the two meet again."""


class SystemClock:
    """The machine's clocks.

    While the wall clock is behind what it has shown before, time goes on at the pace of the other
    clock: a box that boots in 1970, or is set back by an hour, would else wait that long for each
    of its timers.

    Args:
        floor_ms: the latest time that is known to have passed, as a rule the last one written:
            boxes without a battery-backed clock start in 1970.
        wall_ns, monotonic_ns: read the two clocks; the machine's by default.
    """

    def __init__(
        self,
        floor_ms: int = 0,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._last = (floor_ms, self.monotonic_ms())
        """What was shown last, and when by the other clock; one value, as any thread may ask."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        shown_ms, then_ms = self._last
        wall_ms, monotonic_ms = self._wall_ns() // 1_000_000, self.monotonic_ms()
        # What it would be had the wall clock not been moved since.
        expected_ms = shown_ms + max(0, monotonic_ms - then_ms)
        slewed = wall_ms >= expected_ms - _SLEWED_MS
        now_ms = max(wall_ms, shown_ms) if slewed else expected_ms
        self._last = (now_ms, monotonic_ms)
        return now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since the machine started."""
        return self._monotonic_ns() // 1_000_000


class Ids(Protocol):
    """Makes workflow ids."""

    def workflow_id(self, now_ms: int) -> bytes:
        """16 bytes: a version 7 UUID whose last four bytes are zero."""
        ...


class RandomIds:
    """Ids from a source of random bytes.

    Ascending in time, so that the one index over ids grows at its end: random ids cost three to six
    times the flash writes. The last four bytes stay free for the ordinals of tasks.

    Args:
        source: returns that many random bytes; the operating system's by default.
    """

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source

    def workflow_id(self, now_ms: int) -> bytes:
        """A new id."""
        noise = self._source(6)
        head = (now_ms & (1 << 48) - 1).to_bytes(6, "big")
        version = bytes([0x70 | noise[0] & 0x0F, noise[1]])
        variant = bytes([0x80 | noise[2] & 0x3F, noise[3], noise[4], noise[5]])
        return head + version + variant + bytes(4)


def stopwatch_s() -> float:
    """Seconds since an arbitrary moment, finely: for measuring, never for deciding."""
    return time.perf_counter()


def shown_s() -> int:
    """Seconds since the epoch as the machine has them: for what is shown, never for deciding."""
    return int(time.time())


def new_request_id() -> str:
    """A random id for a request that brought none."""
    return str(uuid.uuid4())
