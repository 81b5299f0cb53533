"""Tasks that wait for a worker: rebuilt from the records at a start.

A record that is SCHEDULED and names a queue is in that queue. The foremost of each line are in
memory, the others in the backlog, so that what nobody asks for takes no memory. Losing it all costs
a second hand-over, never a task.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import structlog

from edge.store.backlog import DELAYED, Backlog, Entry, Place, Waiting
from edge.store.slots import Limit, Slots, TaskId
from edge.store.waiters import Waiters

_WITHDRAWN = 1_000
"""Tasks taken out of their queues that may lie around there, when they are more than those that
wait; then all queues are cleaned at once."""


_WINDOW = 8_000
"""Tasks of one line in memory; when it grows beyond, its last fifth goes to the backlog, and what
comes back of it comes by the tenth, in two milliseconds."""

_NARROW = 50
"""While two windows full of tasks of all lines are in memory, each line that grows has but this
part of a window."""

_SAME_MS = 20
"""Bits that tell apart the tasks that have waited since one millisecond of an earlier process."""

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class _Line:
    """Tasks of which the first is handed out first. What is behind ``tail`` is in the backlog.

    There is always somebody in memory as long as somebody is in the backlog.
    """

    __slots__ = ("entries", "number", "tail")

    def __init__(self, number: int) -> None:
        self.number = number
        self.entries: list[Entry] = []
        """A heap, in which those who were withdrawn may still lie around."""
        self.tail: tuple[int, int] | None = None
        """Rank and arrival of somebody before whom nobody is in the backlog; None = nobody is."""

    def __len__(self) -> int:
        return len(self.entries)


class Aged(NamedTuple):
    """A task that waited before this process began."""

    task: TaskId
    queue: str
    priority: int
    limit: Limit
    deliver_ms: int
    """Elapsed milliseconds before which nobody gets it; 0 = at once."""
    waited_ms: int
    """Epoch milliseconds since when it has waited."""
    number: int
    """Ascending: of those of one millisecond the smallest is handed out first."""


class Queues:
    """Who waits for whom, and who is held back by a limit. Used from the event loop only.

    What is limited waits in a line of its own for each queue and limit, so that a line that is
    stuck never stands before other tasks of the same queue. A slot that becomes free, or a window
    that opens, wakes a poller at once: nobody looks from time to time.

    Args:
        backlog: has those for whom there is no room in memory.
        window: tasks of one line that are kept in memory.
    """

    def __init__(self, backlog: Backlog | None = None, window: int = _WINDOW) -> None:
        self._window, self._narrow_window = window, max(1, window // _NARROW)
        self.slots = Slots()
        self.waiters = Waiters()
        """Pollers for whom nothing is there."""
        self.on_earlier: Callable[[], None] | None = None
        """Called when a window opens before all the others that are waited for."""
        self.incomplete = False
        """Whether the backlog was lost: what waits is to be read again from the records."""
        self._backlog: Backlog | None = Backlog() if backlog is None else backlog
        """None = it has failed, and is not used any more."""
        self._numbers = itertools.count(1)
        self._ready: dict[str, _Line] = {}
        self._lines: dict[str, dict[Limit, _Line]] = {}
        self._behind: dict[str, dict[tuple[str, Limit], None]] = {}
        """Queue and limit of the lines of each definition."""
        self._where: dict[TaskId, Place] = {}
        """Those in memory."""
        self._delayed = _Line(DELAYED)
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
    ) -> bool:
        """Let a task wait in a queue; whether it is among the foremost, which are in memory.

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
        if self.holds(task):
            self.withdraw(task)
        self._put(task, place, deliver_ms, now_ms)
        return task in self._where

    def put_aged(self, found: Iterable[Aged], now_ms: int) -> None:
        """Let tasks wait that waited before this process began: before all that came since.

        Args:
            found: who waits; none of them does here already.
            now_ms: monotonic milliseconds.
        """
        late: dict[_Line, list[Waiting]] = {}
        for one in found:
            arrival = (one.waited_ms << _SAME_MS | one.number & (1 << _SAME_MS) - 1) - (1 << 62)
            since_ms = 0 if one.deliver_ms else now_ms
            place = Place(one.queue, one.priority, one.limit, arrival, since_ms)
            line = self._delayed if one.deliver_ms else self._known_line(one.queue, one.limit)
            entry = (one.deliver_ms or -one.priority, arrival, one.task)
            if line is not None and line.tail is not None and entry[:2] > line.tail:
                late.setdefault(line, []).append((entry, place))
            else:
                self._put(one.task, place, one.deliver_ms, now_ms)
        for line, waiting in late.items():
            self._put_off(line, waiting)

    def _put(self, task: TaskId, place: Place, deliver_ms: int, now_ms: int) -> None:
        self._where[task] = place
        if deliver_ms:
            self._push(self._delayed, (deliver_ms, place.arrival, task), place)
        else:
            self._insert(task, place, now_ms)

    def put_back(self, task: TaskId, place: Place, now_ms: int) -> None:
        """Let a task that was taken wait again where it was: its hand-over did not come about."""
        name = self.slots.take_back(task)
        if not self.holds(task):
            self._where[task] = place
            self._insert(task, place, now_ms)
        if name is not None:
            self._look_behind(name, now_ms)

    def take(self, queue: str, count: int, now_ms: int) -> list[tuple[TaskId, Place]]:
        """Hand out up to ``count`` tasks; each occupies a slot of its definition until ``free``."""
        taken: list[tuple[TaskId, Place]] = []
        lines = self._lines.get(queue)
        ready = self._ready.get(queue)
        while len(taken) < count:
            chosen = ready if lines is None else self._foremost(ready, lines, now_ms)
            if not chosen:
                break
            _, arrival, task = self._pop(chosen)
            place = self._where.get(task)
            if place is None or place.arrival != arrival:
                self._withdrawn -= 1
                continue
            del self._where[task]
            self.slots.occupy(task, place.limit.name, now_ms)
            taken.append((task, place))
        if ready is not None and not ready:
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
        if task in self._where:
            return True
        return bool(self._backlog) and self._of_backlog(lambda b: b.holds(task), default=False)

    def free(self, task: TaskId, now_ms: int) -> None:
        """A task is in progress no more: whoever waits for its slot may have it."""
        name = self.slots.free(task)
        if name is not None and name in self._behind:
            self._look_behind(name, now_ms)

    def withdraw(self, task: TaskId) -> Place | None:
        """Take a task out of its queue; returns where it waited if it did."""
        place = self._where.pop(task, None)
        if place is None:
            if not self._backlog:
                return None
            return self._of_backlog(lambda b: b.remove(task), default=None)
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
        delayed = self._delayed
        while delayed and delayed.entries[0][0] <= now_ms:
            _, arrival, task = self._pop(delayed)
            place = self._where.get(task)
            if place is None or place.arrival != arrival:
                self._withdrawn -= 1
                continue
            self._arrivals += 1
            place = place._replace(arrival=self._arrivals, since_ms=monotonic_ms)
            self._where[task] = place
            self._insert(task, place, monotonic_ms)
        return delayed.entries[0][0] if delayed else 0

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

    def sizes(self) -> dict[str, int]:
        """Number of tasks in each queue, those that are delayed or held back too."""
        sizes = self._backlog.sizes() if self._backlog else {}
        for place in self._where.values():
            sizes[place.queue] = sizes.get(place.queue, 0) + 1
        return sizes

    def waiting(self) -> dict[str, tuple[int, int]]:
        """For each queue how many wait there, and since when (monotonic) the first of them does.

        Those that are delayed are counted, but they wait since 0, which is never.
        """
        found: dict[str, tuple[int, int]] = {}
        if self._backlog:
            found = self._of_backlog(lambda b: b.waiting(), default=found)
        for place in self._where.values():
            size, since_ms = found.get(place.queue, (0, 0))
            if place.since_ms and (not since_ms or place.since_ms < since_ms):
                since_ms = place.since_ms
            found[place.queue] = (size + 1, since_ms)
        return found

    def foremost_since_ms(self, queue: str) -> int:
        """Since when (monotonic) the next task waits that no limit holds back; 0 = there is none."""
        first = self._first(self._ready.get(queue))
        return 0 if first is None else self._where[first[2]].since_ms

    # Lines.

    def _known_line(self, queue: str, limit: Limit) -> _Line | None:
        if limit.at_once or limit.per_window:
            return self._lines.get(queue, {}).get(limit)
        return self._ready.get(queue)

    def _insert(self, task: TaskId, place: Place, now_ms: int) -> None:
        entry = (-place.priority, place.arrival, task)
        queue, limit = place.queue, place.limit
        if not (limit.at_once or limit.per_window):
            ready = self._ready.get(queue)
            if ready is None:
                ready = self._ready[queue] = _Line(next(self._numbers))
            self._push(ready, entry, place)
            self.waiters.wake(queue, 1)
            return
        lines = self._lines.setdefault(queue, {})
        line = lines.get(limit)
        if line is None:
            line = lines[limit] = _Line(next(self._numbers))
        self._push(line, entry, place)
        self._behind.setdefault(limit.name, {})[queue, limit] = None
        self._look(queue, limit, now_ms, at_most=1)

    def _foremost(
        self,
        ready: _Line | None,
        lines: dict[Limit, _Line],
        now_ms: int,
    ) -> _Line | None:
        """The line whose first task comes before those of the others that may go now."""
        best, entry = ready, self._first(ready)
        for limit, line in lines.items():
            first = self._first(line)
            if first is None or (entry is not None and entry < first):
                continue
            if self.slots.room(limit, now_ms):
                best, entry = line, first
        return best

    def _first(self, line: _Line | None) -> Entry | None:
        """The first task of a line that is still waiting there."""
        while line:
            entry = line.entries[0]
            if self._waits(entry):
                return entry
            self._pop(line)
            self._withdrawn -= 1
        return None

    def _waits(self, entry: Entry) -> bool:
        """Whether an entry in memory is that of a task that waits, and not of an earlier time."""
        place = self._where.get(entry[2])
        return place is not None and place.arrival == entry[1]

    def _look_behind(self, name: str, now_ms: int, *, at_most: int | None = 1) -> None:
        """Somebody behind a definition's limits may go: look at its lines, by their first tasks."""
        ranked: list[tuple[Entry, str, Limit]] = []
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
            # As many as there may be: how many of the backlog are behind this limit is not asked.
            count = room if line.tail is not None else min(room, len(line))
            self.waiters.wake(queue, count if at_most is None else at_most)
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
        limited = [line for lines in self._lines.values() for line in lines.values()]
        for line in (*self._ready.values(), *limited, self._delayed):
            line.entries = [entry for entry in line.entries if self._waits(entry)]
            heapq.heapify(line.entries)
            self._refill(line)
        self._ready = {queue: line for queue, line in self._ready.items() if line}
        for queue in list(self._lines):
            self._clear(queue)
        self._withdrawn = 0

    # The window of a line, and its tail.

    def _push(self, line: _Line, entry: Entry, place: Place) -> None:
        """Let a task wait in a line: in memory if it comes before all that are in the backlog."""
        if line.tail is not None and entry[:2] > line.tail:
            del self._where[entry[2]]
            self._put_off(line, [(entry, place)])
            return
        heapq.heappush(line.entries, entry)
        if len(line.entries) > self._narrow_window and self._backlog is not None:
            few = len(self._where) <= 2 * self._window
            window = self._window if few else self._narrow_window
            if len(line.entries) > window:
                self._narrow(line, max(1, window * 4 // 5))

    def _narrow(self, line: _Line, count: int) -> None:
        """Leave the foremost of a line in memory, and put all others off."""
        waiting = sorted(entry for entry in line.entries if self._waits(entry))
        self._withdrawn -= len(line.entries) - len(waiting)
        line.entries, late = waiting[:count], waiting[count:]
        if late:
            line.tail = late[0][:2]
            self._put_off(line, [(entry, self._where.pop(entry[2])) for entry in late])

    def _put_off(self, line: _Line, waiting: list[Waiting]) -> None:
        """Add tasks to the backlog; where it fails, they stay in memory after all."""
        if self._backlog is not None:
            try:
                self._backlog.add(line.number, waiting)
            except sqlite3.Error as error:
                self._give_up(error)
            else:
                return
        self._resume(line, waiting)

    def _resume(self, line: _Line, waiting: Iterable[Waiting]) -> None:
        for entry, place in waiting:
            self._where[entry[2]] = place
            heapq.heappush(line.entries, entry)

    def _pop(self, line: _Line) -> Entry:
        """Take out the first entry in memory; those who come next take its place there."""
        entry = heapq.heappop(line.entries)
        if not line.entries and line.tail is not None:
            self._refill(line)
        return entry

    def _refill(self, line: _Line) -> None:
        """Have somebody in memory if anybody waits in this line."""
        if line.entries or line.tail is None:
            return
        number, count = line.number, max(1, self._window // 10)
        self._resume(line, self._of_backlog(lambda b: b.take(number, count), default=[]))
        line.tail = self._of_backlog(lambda b: b.first(number), default=None)

    def _of_backlog(self, ask: Callable[[Backlog], T], *, default: T) -> T:
        """What the backlog says; ``default`` when it has failed."""
        if self._backlog is None:
            return default
        try:
            return ask(self._backlog)
        except sqlite3.Error as error:
            self._give_up(error)
            return default

    def _give_up(self, error: sqlite3.Error) -> None:
        """The disk has lost the backlog: do without, and have everything read again."""
        _log.error("backlog_lost", reason=str(error))
        assert self._backlog is not None
        self.incomplete = len(self._backlog) > 0
        self._backlog.clear()
        self._backlog = None
        limited = [line for lines in self._lines.values() for line in lines.values()]
        for line in (*self._ready.values(), *limited, self._delayed):
            line.tail = None
