"""Which worker holds which task, and until when: in memory only.

What follows when somebody has held one for too long is decided elsewhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from edge.model.decision import Lease
from edge.store.backlog import Place
from edge.store.slots import TaskId

_STALE = 1_000
"""Moments of leases that are over which may lie around, when they are more than the leases. By
default a lease ends after an hour: a busy device would keep the moments of millions."""


class Held(NamedTuple):
    """A task in the hands of a worker."""

    lease: Lease
    place: Place
    response_ms: int
    """Silence allowed, in milliseconds; 0 = any."""
    silent_until_ms: int
    """Monotonic time after which the worker counts as dead; 0 = never."""
    runs_until_ms: int
    """Monotonic time after which the attempt has run too long; 0 = never."""

    @property
    def expires_ms(self) -> int:
        """The earlier of the two moments; 0 = never."""
        silent_ms, runs_ms = self.silent_until_ms, self.runs_until_ms
        return min(silent_ms, runs_ms) if silent_ms and runs_ms else silent_ms or runs_ms

    def asked_again_at(self, moment_ms: int) -> Held:
        """The same lease, whose moments that have passed come once more."""
        return self._replace(
            silent_until_ms=self.silent_until_ms and max(self.silent_until_ms, moment_ms),
            runs_until_ms=self.runs_until_ms and max(self.runs_until_ms, moment_ms),
        )


class Leases:
    """Which worker holds which task, and until when. Changed from the event loop only."""

    def __init__(self) -> None:
        self._held: dict[TaskId, Held] = {}
        self._expiry: list[tuple[int, TaskId]] = []
        """A heap."""
        self._stale = 0
        """How many of its moments mean nothing any more; rather too many than too few."""
        self.on_earlier: Callable[[], None] | None = None
        """Called when a lease ends before all the others."""

    def grant(self, task: TaskId, held: Held) -> None:
        """Note that a worker holds a task."""
        before = self._held.get(task)
        self._held[task] = held
        self._outdate(before)
        if held.expires_ms:
            heapq.heappush(self._expiry, (held.expires_ms, task))
            if self._expiry[0][1] == task and self.on_earlier is not None:
                self.on_earlier()

    def get(self, task: TaskId) -> Held | None:
        """The lease of a task, if somebody holds it."""
        return self._held.get(task)

    def release(self, task: TaskId) -> Held | None:
        """Nobody holds the task any more."""
        held = self._held.pop(task, None)
        self._outdate(held)
        return held

    def _outdate(self, held: Held | None) -> None:
        """The moment of a lease means nothing any more; throw all of these away once there are many."""
        if held is None or not held.expires_ms:
            return
        self._stale += 1
        if self._stale > max(_STALE, len(self._held)):
            self._expiry = [one for one in self._expiry if self._means(one)]
            heapq.heapify(self._expiry)
            self._stale = 0

    def _means(self, moment: tuple[int, TaskId]) -> bool:
        """Whether a lease ends at a moment that was noted for it."""
        held = self._held.get(moment[1])
        return held is not None and held.expires_ms == moment[0]

    def extend(self, task: TaskId, now_ms: int) -> bool:
        """The worker has been heard of; False when it holds nothing.

        Args:
            now_ms: monotonic milliseconds.
        """
        held = self._held.get(task)
        if held is None:
            return False
        if held.response_ms:
            self.grant(task, held._replace(silent_until_ms=now_ms + held.response_ms))
        return True

    def expired(self, now_ms: int) -> list[tuple[TaskId, Held]]:
        """Leases that have run out; each is returned until it is released or extended.

        Args:
            now_ms: monotonic milliseconds.
        """
        over: list[tuple[TaskId, Held]] = []
        while self._expiry and self._expiry[0][0] <= now_ms:
            _, task = heapq.heappop(self._expiry)
            held = self._held.get(task)
            if held is not None and 0 < held.expires_ms <= now_ms:
                over.append((task, held))
        return over

    def next_expiry_ms(self) -> int:
        """Monotonic milliseconds of the next expiry; 0 = none."""
        while self._expiry:
            moment, task = self._expiry[0]
            held = self._held.get(task)
            if held is not None and held.expires_ms == moment:
                return moment
            heapq.heappop(self._expiry)
        return 0

    def all(self) -> dict[TaskId, Held]:
        """Every lease of now, whatever comes later. This may be asked for from any thread."""
        return self._held.copy()
