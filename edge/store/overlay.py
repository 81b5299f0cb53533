"""Tables of executions as they would be, for one reader, on a disk that takes no write.

Temporary tables in memory hold what the tables lack, and temporary views of the same names lay that
over them: SQLite finds those first. Nothing of the file is changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

Row = tuple[Any, ...]

_TABLES = ("workflow", "task", "task_log")

_VIEWS = """
CREATE TEMP VIEW workflow AS
  SELECT * FROM main.workflow
   WHERE key NOT IN (SELECT key FROM later_workflow) AND key NOT IN (SELECT key FROM gone)
  UNION ALL SELECT * FROM later_workflow;
CREATE TEMP VIEW task AS
  SELECT * FROM main.task
   WHERE key NOT IN (SELECT key FROM later_task) AND key NOT IN (SELECT key FROM dropped)
     AND key >> {bits} NOT IN (SELECT key FROM gone)
  UNION ALL SELECT * FROM later_task;
CREATE TEMP VIEW task_log AS
  SELECT * FROM main.task_log WHERE task >> {bits} NOT IN (SELECT key FROM gone)
  UNION ALL SELECT * FROM later_task_log
"""


class Lacking(NamedTuple):
    """What the tables lack, as rows of theirs."""

    workflows: list[Row]
    """key, id, name, status, correlation_id, idempotency_key, created_ms, due_ms, body."""
    tasks: list[Row]
    """key, due_ms, body."""
    logs: list[Row]
    """task, created_ms, line."""
    gone: list[int]
    """Keys of executions that were taken away."""
    dropped: list[int]
    """Keys of tasks that were taken away."""


def overlaid(
    connection: sqlite3.Connection,
    lacking: Lacking,
    bits: int,
    function: Callable[[sqlite3.Connection], T],
) -> T:
    """Run ``function(connection)`` on the tables with what they lack, in one snapshot.

    Args:
        connection: the reading one; it is left as it was.
        lacking: what is laid over the tables.
        bits: of a task's key that are not its execution's.
        function: reads.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = OFF")
    try:
        connection.execute("BEGIN")
        _lay(connection, lacking, bits)
        return function(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA query_only = ON")


def _lay(connection: sqlite3.Connection, lacking: Lacking, bits: int) -> None:
    for table in _TABLES:
        connection.execute(f"CREATE TEMP TABLE later_{table} AS SELECT * FROM main.{table} LIMIT 0")
    for table, keys in (("gone", lacking.gone), ("dropped", lacking.dropped)):
        connection.execute(f"CREATE TEMP TABLE {table} (key INTEGER PRIMARY KEY)")
        connection.executemany(f"INSERT INTO {table} VALUES (?)", [(key,) for key in keys])
    _insert(
        connection,
        "workflow (key, id, name, status, correlation_id, idempotency_key, created_ms, due_ms, body)",
        lacking.workflows,
    )
    _insert(connection, "task (key, due_ms, body)", lacking.tasks)
    top = connection.execute("SELECT coalesce(max(key), 0) FROM main.task_log").fetchone()[0]
    logs = [(top + number, *row) for number, row in enumerate(lacking.logs, start=1)]
    _insert(connection, "task_log (key, task, created_ms, line)", logs)
    for view in _VIEWS.format(bits=bits).split(";"):
        connection.execute(view)


def _insert(connection: sqlite3.Connection, columns: str, rows: list[Row]) -> None:
    marks = ", ".join("?" for _ in columns.split(","))
    connection.executemany(f"INSERT INTO later_{columns} VALUES ({marks})", rows)
