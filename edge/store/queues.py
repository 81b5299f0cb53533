"""Tasks that wait for a worker, and tasks that a worker holds: in memory, rebuilt from the records.

A record that is SCHEDULED and names a queue is in that queue; nothing here is written. Losing it
all costs a second hand-over, never a task.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edge.model.decision import Lease

TaskId = tuple[bytes, int]
"""Workflow id and ordinal."""


class _Entry(NamedTuple):
    rank: tuple[int, int]
    """Negative priority, then order of arrival: the smallest is handed out first."""
    task: TaskId


class Held(NamedTuple):
    """A task in the hands of a worker."""

    lease: Lease
    queue: str
    priority: int
    response_ms: int
    """Silence allowed, in milliseconds; 0 = any."""
    silent_until_ms: int
    """Monotonic time after which the worker counts as dead; 0 = never."""
    runs_until_ms: int
    """Monotonic time after which the attempt has run too long; 0 = never."""

    @property
    def expires_ms(self) -> int:
        """The earlier of the two moments; 0 = never."""
        moments = [m for m in (self.silent_until_ms, self.runs_until_ms) if m]
        return min(moments, default=0)

    def asked_again_at(self, moment_ms: int) -> Held:
        """The same lease, whose moments that have passed come once more."""
        return self._replace(
            silent_until_ms=self.silent_until_ms and max(self.silent_until_ms, moment_ms),
            runs_until_ms=self.runs_until_ms and max(self.runs_until_ms, moment_ms),
        )


class Queues:
    """Who waits for whom. Used from the event loop only."""

    def __init__(self) -> None:
        self._ready: dict[str, list[_Entry]] = {}
        self._where: dict[TaskId, tuple[str, int]] = {}
        self._delayed: list[tuple[int, int, str, int, TaskId]] = []
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._arrivals = 0

    def put(self, queue: str, task: TaskId, priority: int, deliver_ms: int = 0) -> None:
        """Let a task wait in a queue.

        Args:
            priority: higher is handed out first.
            deliver_ms: epoch milliseconds before which nobody gets it; 0 = at once.
        """
        self._arrivals += 1
        self._where[task] = (queue, priority)
        if deliver_ms:
            heapq.heappush(self._delayed, (deliver_ms, self._arrivals, queue, priority, task))
            return
        heap = self._ready.setdefault(queue, [])
        heapq.heappush(heap, _Entry((-priority, self._arrivals), task))
        self._wake_one(queue)

    def take(self, queue: str, count: int) -> list[tuple[TaskId, int]]:
        """Hand out up to ``count`` tasks with their priorities."""
        heap = self._ready.get(queue)
        taken: list[tuple[TaskId, int]] = []
        while heap and len(taken) < count:
            entry = heapq.heappop(heap)
            if self._where.pop(entry.task, None) is not None:
                taken.append((entry.task, -entry.rank[0]))
        if heap is not None and not heap:
            del self._ready[queue]
        return taken

    def withdraw(self, task: TaskId) -> tuple[str, int] | None:
        """Take a task out of its queue; returns queue and priority if it was in one."""
        return self._where.pop(task, None)

    def promote(self, now_ms: int) -> int:
        """Make delayed tasks ready whose moment has come.

        Returns:
            Epoch milliseconds of the next delayed task; 0 = none.
        """
        while self._delayed and self._delayed[0][0] <= now_ms:
            _, _, queue, priority, task = heapq.heappop(self._delayed)
            if task in self._where:
                self.put(queue, task, priority)
        return self._delayed[0][0] if self._delayed else 0

    async def wait(self, queue: str, timeout_s: float) -> bool:
        """Wait until a task may be there. False when the time has passed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(queue, deque())
        waiting.append(future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return future.done() and not future.cancelled()
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # This caller was woken and goes away: somebody else must have a look.
                self._wake_one(queue)
            raise
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(queue, None)
        return True

    def sizes(self) -> dict[str, int]:
        """Number of tasks in each queue, those that are delayed too."""
        sizes: dict[str, int] = {}
        for queue, _ in self._where.values():
            sizes[queue] = sizes.get(queue, 0) + 1
        return sizes

    def _wake_one(self, queue: str) -> None:
        waiting = self._waiting.get(queue)
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                return


class Leases:
    """Which worker holds which task, and until when. Used from the event loop only."""

    def __init__(self) -> None:
        self._held: dict[TaskId, Held] = {}
        self._expiry: list[tuple[int, TaskId]] = []
        self.on_earlier: Callable[[], None] | None = None
        """Called when a lease ends before all the others."""

    def grant(self, task: TaskId, held: Held) -> None:
        """Note that a worker holds a task."""
        self._held[task] = held
        if held.expires_ms:
            heapq.heappush(self._expiry, (held.expires_ms, task))
            if self._expiry[0][1] == task and self.on_earlier is not None:
                self.on_earlier()

    def get(self, task: TaskId) -> Held | None:
        """The lease of a task, if somebody holds it."""
        return self._held.get(task)

    def release(self, task: TaskId) -> Held | None:
        """Nobody holds the task any more."""
        return self._held.pop(task, None)

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
        """Every lease."""
        return self._held
