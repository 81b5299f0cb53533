"""The only room that reads a clock or makes an id; everyone else is handed ``now_ms`` or ``Ids``.

No deadline is judged here.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.model.elapsed import NOTHING_KEPT, Jump, Jumps, TimeKept

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Wall time that never steps back, and monotonic time for leases."""

    @property
    def jumps(self) -> Jumps:
        """The jumps forward of the wall time: ask it how much has passed between two stamps."""
        ...

    def kept(self) -> TimeKept:
        """What the next start has to know of it."""
        ...

    def now_ms(self) -> int:
        """Epoch milliseconds, never earlier than any it returned before."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary moment; not moved by changes of the wall clock."""
        ...

    def elapsed_ms(self) -> int:
        """The same, and it goes on while the machine sleeps."""
        ...


def passed_since(clock: Clock, since_ms: int) -> int:
    """Milliseconds that have passed since a stamp, jumps of the wall clock left out."""
    now_ms = clock.now_ms()
    # Asked for behind the reading, which may be the one that notices a jump.
    return clock.jumps.passed_ms(since_ms, now_ms)


def stamp_before(clock: Clock, age_ms: int) -> int:
    """Stamps below the one that is returned are older than an age."""
    now_ms = clock.now_ms()
    return clock.jumps.before_ms(now_ms, age_ms)


_SLEWED_MS = 1_000
"""A wall clock that is behind by no more than this is waited for, so that the two meet again."""

_JUMPED_MS = 100
"""A wall clock that is ahead by more than this, and by more than a slewed one gains, has jumped."""

_SLEWS = 1_000
"""A slewed clock gains less than one part in so many: NTP slews by half of it."""

_TOGETHER_MS = 10
"""Two clocks that are read within so much of each other have been read together."""

_TRIES = 5

_NS = 1_000_000
"""Nanoseconds of a millisecond."""


_elapsed_ns: Callable[[], int] = partial(
    time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Nanoseconds since the machine was booted, those that it slept for among them."""


def machine_boot() -> int:
    """Names this boot of the machine; 0 = it does not tell."""
    try:
        return zlib.crc32(_BOOT_ID.read_bytes()) + 1
    except OSError:
        return 0


class SystemClock:
    """The machine's clocks.

    While the wall clock is behind what it has shown before, time goes on at the pace of the other
    clock: a box that boots in 1970, or is set back by an hour, would else wait that long for each
    of its timers. When the wall clock jumps forward what is shown goes with it, and the jump is
    noted: what waits for some time to pass leaves it out.

    Args:
        kept: what the run before has left.
        wall_ns, monotonic_ns, elapsed_ns: read the clocks; the machine's by default.
        boot: names the boot of the machine: only within one do its clocks tell how much time has
            passed since the run before; 0 = it is not known.
    """

    def __init__(
        self,
        kept: TimeKept = NOTHING_KEPT,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        elapsed_ns: Callable[[], int] = _elapsed_ns,
        boot: int | None = None,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._elapsed_ns = elapsed_ns
        self._boot = machine_boot() if boot is None else boot
        self._lock = threading.Lock()
        self._jumps = kept.jumps
        self._unset_ms = kept.unset_ms
        """Since when the wall clock has not been set; 0 = it is."""
        self._behind = kept.unset_ms != 0
        """Whether time goes on without the wall clock, which is far behind."""
        elapsed_ms, wall_ms = self._read()
        if self._boot == kept.machine_boot != 0 and kept.elapsed_ms <= elapsed_ms:
            self._last = (kept.shown_ms, kept.elapsed_ms)
            self._last = (max(self.now_ms(), kept.floor_ms), self._last[1])
            return
        self._behind = wall_ms < kept.floor_ms - _SLEWED_MS
        self._unset_ms = (kept.unset_ms or kept.floor_ms) if self._behind else 0
        self._last = (max(wall_ms, kept.floor_ms), elapsed_ms)
        """What was shown last, and when by the clock of elapsed time."""

    @property
    def jumps(self) -> Jumps:
        """The jumps forward that it has made, in this run and before."""
        return self._jumps

    def kept(self) -> TimeKept:
        """What the next start has to know of it."""
        with self._lock:
            shown_ms, elapsed_ms = self._last
            return TimeKept(shown_ms, self._jumps, self._boot, shown_ms, elapsed_ms, self._unset_ms)

    def now_ms(self) -> int:
        """Epoch milliseconds. Any thread may ask."""
        with self._lock:
            shown_ms, then_ms = self._last
            elapsed_ms = self._elapsed_ns() // _NS
            wall_ms = self._wall_ns() // _NS
            ahead_ms = wall_ms - shown_ms - (elapsed_ms - then_ms)
            if wall_ms >= shown_ms and -_SLEWED_MS <= ahead_ms <= _JUMPED_MS and not self._behind:
                # The two go together, as nearly always.
                self._unset_ms = 0
                self._last = (wall_ms, elapsed_ms)
                return wall_ms
            for _ in range(_TRIES):
                elapsed_ms, wall_ms = self._read()
                passed_ms = max(0, elapsed_ms - then_ms)
                # What it would be had the wall clock not been moved since.
                expected_ms = shown_ms + passed_ms
                # One that has been far behind and is ahead has been set, by however little.
                gained_ms = 0 if self._behind else _JUMPED_MS + passed_ms // _SLEWS
                jumped = wall_ms > expected_ms + gained_ms
                # The thread may have been halted between the two readings.
                if not jumped or self.elapsed_ms() - elapsed_ms <= _TOGETHER_MS:
                    break
            if jumped:
                now_ms = wall_ms
                self._jumps = self._jumps.and_one(Jump(expected_ms, now_ms, self._unset_ms))
            elif wall_ms >= expected_ms - _SLEWED_MS:
                now_ms = max(wall_ms, shown_ms)
            else:
                now_ms = expected_ms
            self._behind = not jumped and wall_ms < expected_ms - _SLEWED_MS
            if not self._behind:
                self._unset_ms = 0
            self._last = (now_ms, elapsed_ms)
            return now_ms

    def _read(self) -> tuple[int, int]:
        """Elapsed time and the wall clock, in milliseconds."""
        elapsed_ms = self.elapsed_ms()
        return elapsed_ms, self._wall_ns() // _NS

    def monotonic_ms(self) -> int:
        """Milliseconds since the machine started."""
        return self._monotonic_ns() // _NS

    def elapsed_ms(self) -> int:
        """The same, with the time that it slept for."""
        return self._elapsed_ns() // _NS


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


stopwatch_s: Callable[[], float] = time.perf_counter
"""Seconds since an arbitrary moment, finely: for measuring, never for deciding."""


def shown_s() -> int:
    """Seconds since the epoch as the machine has them: for what is shown, never for deciding."""
    return int(time.time())


def new_request_id() -> str:
    """A random id for a request that brought none."""
    return str(uuid.uuid4())
