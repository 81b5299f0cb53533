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
from edge.store.slots import Limit, Slots, TaskId

_WITHDRAWN = 1_000
"""Tasks taken out of their queues that may lie around there, when they are more than those that
wait; then all queues are cleaned at once."""


class Place(NamedTuple):
    """Where a task waits, or has waited until a worker took it."""

    queue: str
    priority: int
    limit: Limit
    arrival: int
    """Ascending with time: within one priority the smallest is handed out first."""
    since_ms: int = 0
    """Monotonic time from which on it might have been handed out; 0 = that time is still to come."""


_Entry = tuple[int, int, TaskId]
"""Negative priority, order of arrival, task: the smallest is handed out first."""


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
        moments = [m for m in (self.silent_until_ms, self.runs_until_ms) if m]
        return min(moments, default=0)

    def asked_again_at(self, moment_ms: int) -> Held:
        """The same lease, whose moments that have passed come once more."""
        return self._replace(
            silent_until_ms=self.silent_until_ms and max(self.silent_until_ms, moment_ms),
            runs_until_ms=self.runs_until_ms and max(self.runs_until_ms, moment_ms),
        )


class Queues:
    """Who waits for whom, and who is held back by a limit. Used from the event loop only.

    What is limited waits in a line of its own for each queue and limit, so that a line that is
    stuck never stands before other tasks of the same queue. A slot that becomes free, or a window
    that opens, wakes a poller at once: nobody looks from time to time.
    """

    def __init__(self) -> None:
        self.slots = Slots()
        self.on_earlier: Callable[[], None] | None = None
        """Called when a window opens before all the others that are waited for."""
        self._ready: dict[str, list[_Entry]] = {}
        self._lines: dict[str, dict[Limit, list[_Entry]]] = {}
        self._behind: dict[str, dict[tuple[str, Limit], None]] = {}
        """Queue and limit of the lines of each definition."""
        self._where: dict[TaskId, Place] = {}
        self._delayed: list[tuple[int, int, TaskId]] = []
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._openings: list[tuple[int, Limit]] = []
        self._awaited: set[Limit] = set()
        """Limits whose windows somebody waits for: each has one moment in the list."""
        self._arrivals = 0
        self._withdrawn = 0

    def put(
        self,
        queue: str,
        task: TaskId,
        priority: int,
        deliver_ms: int = 0,
        *,
        limit: Limit,
        now_ms: int,
    ) -> None:
        """Let a task wait in a queue.

        Args:
            queue: its name.
            task: who waits.
            priority: higher is handed out first.
            deliver_ms: elapsed milliseconds before which nobody gets it; 0 = at once.
            limit: what its definition allows.
            now_ms: monotonic milliseconds.
        """
        self._arrivals += 1
        place = Place(queue, priority, limit, self._arrivals, 0 if deliver_ms else now_ms)
        if task in self._where:
            self.withdraw(task)
        self._where[task] = place
        if deliver_ms:
            heapq.heappush(self._delayed, (deliver_ms, place.arrival, task))
        else:
            self._insert(task, place, now_ms)

    def put_back(self, task: TaskId, place: Place, now_ms: int) -> None:
        """Let a task that was taken wait again where it was: its hand-over did not come about."""
        name = self.slots.take_back(task)
        if task not in self._where:
            self._where[task] = place
            self._insert(task, place, now_ms)
        if name is not None:
            self._look_behind(name, now_ms)

    def take(self, queue: str, count: int, now_ms: int) -> list[tuple[TaskId, Place]]:
        """Hand out up to ``count`` tasks; each occupies a slot of its definition until ``free``."""
        taken: list[tuple[TaskId, Place]] = []
        lines = self._lines.get(queue)
        heap = self._ready.get(queue)
        while len(taken) < count:
            chosen = heap if lines is None else self._foremost(heap, lines, now_ms)
            if not chosen:
                break
            _, arrival, task = heapq.heappop(chosen)
            place = self._where.get(task)
            if place is None or place.arrival != arrival:
                self._withdrawn -= 1
                continue
            del self._where[task]
            self.slots.occupy(task, place.limit.name, now_ms)
            taken.append((task, place))
        if heap is not None and not heap:
            del self._ready[queue]
        if lines is not None:
            self._clear(queue)
            for limit in lines:
                self._look(queue, limit, now_ms, at_most=0)
        return taken

    def occupy(self, task: TaskId, name: str, now_ms: int) -> None:
        """A task of that definition is in progress, although it was not taken from here."""
        self.slots.occupy(task, name, now_ms)

    def holds(self, task: TaskId) -> bool:
        """Whether a task waits in a queue."""
        return task in self._where

    def free(self, task: TaskId, now_ms: int) -> None:
        """A task is in progress no more: whoever waits for its slot may have it."""
        name = self.slots.free(task)
        if name is not None and name in self._behind:
            self._look_behind(name, now_ms)

    def withdraw(self, task: TaskId) -> Place | None:
        """Take a task out of its queue; returns where it waited if it did."""
        place = self._where.pop(task, None)
        if place is not None:
            self._withdrawn += 1
            if self._withdrawn > max(_WITHDRAWN, len(self._where)):
                self._clean()
        return place

    def promote(self, now_ms: int, monotonic_ms: int) -> int:
        """Make delayed tasks ready whose moment has come.

        Args:
            now_ms: elapsed milliseconds.
            monotonic_ms: monotonic milliseconds.

        Returns:
            Elapsed milliseconds of the next delayed task; 0 = none.
        """
        while self._delayed and self._delayed[0][0] <= now_ms:
            _, arrival, task = heapq.heappop(self._delayed)
            place = self._where.get(task)
            if place is None or place.arrival != arrival:
                self._withdrawn -= 1
                continue
            self._arrivals += 1
            place = place._replace(arrival=self._arrivals, since_ms=monotonic_ms)
            self._where[task] = place
            self._insert(task, place, monotonic_ms)
        return self._delayed[0][0] if self._delayed else 0

    def open_windows(self, now_ms: int) -> int:
        """Wake pollers for the lines whose windows let somebody through again.

        Returns:
            Monotonic milliseconds of the next such moment; 0 = none is waited for.
        """
        while self._openings and self._openings[0][0] <= now_ms:
            _, limit = heapq.heappop(self._openings)
            self._awaited.discard(limit)
            self._look_behind(limit.name, now_ms, at_most=None)
        return self._openings[0][0] if self._openings else 0

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
                self._wake(queue, 1)
            raise
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(queue, None)
        return True

    def wake_all(self) -> None:
        """Let all pollers look again: what kept tasks from them is over."""
        for queue, waiting in list(self._waiting.items()):
            self._wake(queue, len(waiting))

    def is_waited_for(self, queue: str) -> bool:
        """Whether a poller waits right now; any thread may ask."""
        return queue in self._waiting

    def sizes(self) -> dict[str, int]:
        """Number of tasks in each queue, those that are delayed or held back too."""
        sizes: dict[str, int] = {}
        for place in self._where.values():
            sizes[place.queue] = sizes.get(place.queue, 0) + 1
        return sizes

    def waiting(self) -> dict[str, tuple[int, int]]:
        """For each queue how many wait there, and since when (monotonic) the first of them does.

        Those that are delayed are counted, but they wait since 0, which is never.
        """
        found: dict[str, tuple[int, int]] = {}
        for place in self._where.values():
            size, since_ms = found.get(place.queue, (0, 0))
            if place.since_ms and (not since_ms or place.since_ms < since_ms):
                since_ms = place.since_ms
            found[place.queue] = (size + 1, since_ms)
        return found

    # Lines.

    def _insert(self, task: TaskId, place: Place, now_ms: int) -> None:
        entry = (-place.priority, place.arrival, task)
        queue, limit = place.queue, place.limit
        if not (limit.at_once or limit.per_window):
            heapq.heappush(self._ready.setdefault(queue, []), entry)
            self._wake(queue, 1)
            return
        heapq.heappush(self._lines.setdefault(queue, {}).setdefault(limit, []), entry)
        self._behind.setdefault(limit.name, {})[queue, limit] = None
        self._look(queue, limit, now_ms, at_most=1)

    def _foremost(
        self,
        ready: list[_Entry] | None,
        lines: dict[Limit, list[_Entry]],
        now_ms: int,
    ) -> list[_Entry] | None:
        """The heap whose first task comes before those of the others that may go now."""
        best, entry = ready, self._first(ready)
        for limit, line in lines.items():
            first = self._first(line)
            if first is None or (entry is not None and entry < first):
                continue
            if self.slots.room(limit, now_ms):
                best, entry = line, first
        return best

    def _first(self, heap: list[_Entry] | None) -> _Entry | None:
        """The first task of a heap that is still waiting there."""
        while heap:
            entry = heap[0]
            place = self._where.get(entry[2])
            if place is not None and place.arrival == entry[1]:
                return entry
            heapq.heappop(heap)
            self._withdrawn -= 1
        return None

    def _look_behind(self, name: str, now_ms: int, *, at_most: int | None = 1) -> None:
        """Somebody behind a definition's limits may go: look at its lines, by their first tasks."""
        ranked: list[tuple[_Entry, str, Limit]] = []
        for queue, limit in list(self._behind.get(name, ())):
            first = self._first(self._lines.get(queue, {}).get(limit))
            if first is None:
                self._clear(queue)
            else:
                ranked.append((first, queue, limit))
        for _, queue, limit in sorted(ranked):
            self._look(queue, limit, now_ms, at_most=at_most)

    def _look(self, queue: str, limit: Limit, now_ms: int, *, at_most: int | None) -> None:
        """Wake pollers if a line may move; if its window holds it back, note when it opens.

        Args:
            queue, limit: of the line.
            now_ms: monotonic milliseconds.
            at_most: pollers to wake; None = as many as there is room for.
        """
        line = self._lines.get(queue, {}).get(limit)
        if not line or self._first(line) is None:
            return
        room = self.slots.room(limit, now_ms)
        if room:
            self._wake(queue, min(room, len(line)) if at_most is None else at_most)
            return
        moment = self.slots.opens_ms(limit, now_ms)
        if moment and limit not in self._awaited:
            self._awaited.add(limit)
            heapq.heappush(self._openings, (moment, limit))
            if self._openings[0] == (moment, limit) and self.on_earlier is not None:
                self.on_earlier()

    def _clear(self, queue: str) -> None:
        """Forget lines that have become empty."""
        lines = self._lines.get(queue, {})
        for limit in [limit for limit, line in lines.items() if self._first(line) is None]:
            del lines[limit]
            behind = self._behind[limit.name]
            del behind[queue, limit]
            if not behind:
                del self._behind[limit.name]
        if not lines:
            self._lines.pop(queue, None)

    def _clean(self) -> None:
        """Throw away all entries of tasks that were withdrawn."""
        live = {place.arrival for place in self._where.values()}
        heaps = list(self._ready.values())
        for lines in self._lines.values():
            heaps += lines.values()
        for heap in heaps:
            heap[:] = [entry for entry in heap if entry[1] in live]
            heapq.heapify(heap)
        self._delayed = [one for one in self._delayed if one[1] in live]
        heapq.heapify(self._delayed)
        self._ready = {queue: heap for queue, heap in self._ready.items() if heap}
        for queue in list(self._lines):
            self._clear(queue)
        self._withdrawn = 0

    def _wake(self, queue: str, count: int) -> None:
        waiting = self._waiting.get(queue)
        while waiting and count > 0:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1


class Leases:
    """Which worker holds which task, and until when. Changed from the event loop only."""

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
        """Every lease of now, whatever comes later. This may be asked for from any thread."""
        return self._held.copy()
