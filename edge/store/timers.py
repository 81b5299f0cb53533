"""What is due: the earliest moment, and the records whose moment has come; and how time went on.

The moments are columns of the records themselves; nothing of them is set or cleared here.
"""

from __future__ import annotations

import sqlite3

from edge.model.elapsed import TimeKept
from edge.model.executions import split_task_key
from edge.store import facts

_NOTE_EVERY_MS = 60_000

_EARLIEST = """
SELECT min(moment) FROM (
  SELECT min(due_ms) AS moment FROM task WHERE due_ms IS NOT NULL
  UNION ALL
  SELECT min(due_ms) FROM workflow WHERE due_ms IS NOT NULL
)
"""
_DUE_TASKS = """
SELECT task.key, workflow.id FROM task JOIN workflow ON workflow.key = task.key >> 24
 WHERE task.due_ms <= ?
 ORDER BY task.due_ms
 LIMIT ?
"""
_DUE_WORKFLOWS = """
SELECT id FROM workflow WHERE due_ms <= ? ORDER BY due_ms LIMIT ?
"""


def earliest_ms(connection: sqlite3.Connection) -> int:
    """The next moment at which anything is due; 0 = nothing ever is."""
    moment = connection.execute(_EARLIEST).fetchone()[0]
    return int(moment or 0)


def due(connection: sqlite3.Connection, now_ms: int, limit: int) -> list[tuple[bytes, int]]:
    """Workflow id and task ordinal (0 = the workflow) of what is due, longest overdue first."""
    found = [
        (workflow_id, split_task_key(key)[1])
        for key, workflow_id in connection.execute(_DUE_TASKS, (now_ms, limit))
    ]
    found += [(row[0], 0) for row in connection.execute(_DUE_WORKFLOWS, (now_ms, limit))]
    return found


class Timeline:
    """Keeps what the next boot has to know of the clock. Disk thread only.

    A jump is written with the first stamps that come after it: without it they would say that more
    time has passed than has.
    """

    def __init__(self) -> None:
        self._kept = self._writing = TimeKept()

    def flush(self, connection: sqlite3.Connection, now: TimeKept) -> None:
        """Write it if there is news, or if a minute has passed; flash wears out."""
        kept = self._writing = self._kept
        if (
            now.jumps is kept.jumps
            and now.machine_boot == kept.machine_boot
            and now.shown_ms - kept.shown_ms < _NOTE_EVERY_MS
        ):
            return
        facts.keep_time(connection, now)
        self._writing = now

    def written(self) -> None:
        """The transaction has been committed; of one that was undone all is written again."""
        self._kept = self._writing
