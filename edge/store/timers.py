"""What is due: the earliest moment, and the records whose moment has come.

The moments are columns of the records themselves; nothing is set or cleared here.
"""

from __future__ import annotations

import sqlite3

from edge.model.executions import split_task_key

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
