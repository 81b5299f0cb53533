"""Tasks that wait so far behind in their queues that nobody will be handed them soon: on the disk.

A database of its own, without a name and never synced, which is gone with the process: what waits is
in the records anyhow. Nothing is decided here, not even who counts as far behind.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.store.slots import Limit, TaskId


class Place(NamedTuple):
    """Where a task waits, or has waited until a worker took it."""

    queue: str
    priority: int
    limit: Limit
    arrival: int
    """Ascending with time: within one priority the smallest is handed out first."""
    since_ms: int = 0
    """Monotonic time from which on it might have been handed out; 0 = that time is still to come."""


Entry = tuple[int, int, TaskId]
"""Rank, order of arrival, task: the smallest is handed out first."""

Waiting = tuple[Entry, Place]

DELAYED = 0
"""The line of those whose time is still to come; the others are counted from 1."""

_CACHE_KB = 512
"""Of its pages in memory; the rest is the file system's affair."""

_SCHEMA = """
CREATE TABLE waiting (
  line       INTEGER NOT NULL,
  rank       INTEGER NOT NULL,
  arrival    INTEGER NOT NULL,
  workflow   BLOB NOT NULL,
  ordinal    INTEGER NOT NULL,
  queue      TEXT NOT NULL,
  priority   INTEGER NOT NULL,
  since_ms   INTEGER NOT NULL,
  name       TEXT NOT NULL,
  at_once    INTEGER NOT NULL,
  per_window INTEGER NOT NULL,
  window_ms  INTEGER NOT NULL,
  PRIMARY KEY (line, rank, arrival)
) STRICT, WITHOUT ROWID
"""
# Does this task wait here?
_BY_TASK = "CREATE UNIQUE INDEX waiting_task ON waiting (workflow, ordinal)"
_ADD = "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = """
  rank, arrival, workflow, ordinal, queue, priority, since_ms, name, at_once, per_window, window_ms
"""
_FOREMOST = f"SELECT {_COLUMNS} FROM waiting WHERE line = ? ORDER BY rank, arrival LIMIT ?"
_DROP_UP_TO = "DELETE FROM waiting WHERE line = ? AND (rank, arrival) <= (?, ?)"
_FIRST = "SELECT rank, arrival FROM waiting WHERE line = ? ORDER BY rank, arrival LIMIT 1"
_HOLDS = "SELECT 1 FROM waiting WHERE workflow = ? AND ordinal = ?"
_REMOVE = f"DELETE FROM waiting WHERE workflow = ? AND ordinal = ? RETURNING {_COLUMNS}"
_NEXT_RANK = """
SELECT line, rank, queue, since_ms FROM waiting
 WHERE line = ? AND line > 0 AND rank > ?
 ORDER BY rank, arrival
 LIMIT 1
"""
_NEXT_LINE = """
SELECT line, rank, queue, since_ms FROM waiting
 WHERE line > ?
 ORDER BY line, rank, arrival
 LIMIT 1
"""


def open_nameless() -> sqlite3.Connection:
    """A database in a file without a name, which nobody else sees and which ends with it."""
    return sqlite3.connect("", isolation_level=None, check_same_thread=False)


class Backlog:
    """The far ends of lines. Used by one thread at a time; it takes some microseconds a task.

    Args:
        connect: opens its database, when the first task is put here.

    Everything may raise sqlite3.Error: the disk has failed, and what was here is lost.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection] = open_nameless) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._sizes: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        """How many tasks wait here."""
        return self._count

    def add(self, line: int, waiting: Sequence[Waiting]) -> None:
        """Put tasks into a line."""
        rows = [
            (line, rank, arrival, *task, place.queue, place.priority, place.since_ms, *place.limit)
            for (rank, arrival, task), place in waiting
        ]
        connection = self._opened()
        if len(rows) == 1:
            connection.execute(_ADD, rows[0])
        else:
            connection.execute("BEGIN")
            try:
                connection.executemany(_ADD, rows)
            finally:
                connection.execute("COMMIT")
        self._sizes.update(place.queue for _, place in waiting)
        self._count += len(waiting)

    def take(self, line: int, count: int) -> list[Waiting]:
        """Take the foremost out of a line, in their order."""
        connection = self._opened()
        found = [_waiting(row) for row in connection.execute(_FOREMOST, (line, count))]
        if found:
            rank, arrival, _ = found[-1][0]
            connection.execute(_DROP_UP_TO, (line, rank, arrival))
            self._leave([place.queue for _, place in found])
        return found

    def first(self, line: int) -> tuple[int, int] | None:
        """Rank and arrival of the foremost of a line; None = it is empty."""
        row = self._opened().execute(_FIRST, (line,)).fetchone()
        return None if row is None else (row[0], row[1])

    def holds(self, task: TaskId) -> bool:
        """Whether a task waits here."""
        return self._connection is not None and bool(
            self._connection.execute(_HOLDS, task).fetchone()
        )

    def remove(self, task: TaskId) -> Place | None:
        """Take a task out, wherever it waits; None = it does not wait here."""
        if self._connection is None:
            return None
        row = self._connection.execute(_REMOVE, task).fetchone()
        if row is None:
            return None
        place = _waiting(row)[1]
        self._leave([place.queue])
        return place

    def sizes(self) -> dict[str, int]:
        """Number of tasks of each queue."""
        return dict(self._sizes)

    def waiting(self) -> dict[str, tuple[int, int]]:
        """For each queue how many wait here, and since when (monotonic) the first of them does.

        Within a rank who has come first has waited longest, so one of each rank is looked at. Those
        that are delayed are counted, but they wait since 0, which is never.
        """
        first_ms: dict[str, int] = {}
        line, rank = DELAYED, 0
        while self:
            row = self._opened().execute(_NEXT_RANK, (line, rank)).fetchone()
            row = row or self._opened().execute(_NEXT_LINE, (line,)).fetchone()
            if row is None:
                break
            line, rank, queue, since_ms = row
            first_ms[queue] = min(since_ms, first_ms.get(queue, since_ms))
        return {queue: (size, first_ms.get(queue, 0)) for queue, size in self._sizes.items()}

    def clear(self) -> None:
        """Forget everything, also when the disk has failed."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._sizes.clear()
        self._count = 0

    def _leave(self, queues: list[str]) -> None:
        """Tasks of these queues wait here no more; what is empty costs nothing, not even a file."""
        for queue in queues:
            self._sizes[queue] -= 1
            if not self._sizes[queue]:
                del self._sizes[queue]
        self._count -= len(queues)
        if not self._count:
            self.clear()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._connect()
            # It is not there after a power cut, so nothing is kept for one.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            connection.execute(_SCHEMA)
            connection.execute(_BY_TASK)
            self._connection = connection
        return self._connection


def _waiting(row: tuple[int, int, bytes, int, str, int, int, str, int, int, int]) -> Waiting:
    rank, arrival, workflow, ordinal, queue, priority, since_ms, name = row[:8]
    place = Place(queue, priority, Limit(name, *row[8:]), arrival, since_ms)
    return (rank, arrival, (workflow, ordinal)), place
