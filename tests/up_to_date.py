"""Rows of executions as they are meant, for tests that read tables with statements of their own."""

from __future__ import annotations

import sqlite3
from typing import Any

from edge.model.executions import ORDINAL_BITS
from edge.store.executions import Executions
from edge.store.metadata import Metadata

Row = tuple[Any, ...]

TABLES = ("workflow", "task", "task_log")


def rows_up_to_date(connection: sqlite3.Connection) -> dict[str, list[Row]]:
    """What these tables hold together with what is committed and stands in none yet.

    Nothing is written. Rows are in the order of their keys; columns are in that of the schema.
    """
    lacking = Executions(Metadata()).lacking(connection)
    stored = {
        table: {row[0]: row for row in connection.execute(f"SELECT * FROM {table}").fetchall()}
        for table in TABLES
    }
    gone = set(lacking.gone)
    logs = {
        key: row for key, row in stored["task_log"].items() if row[1] >> ORDINAL_BITS not in gone
    }
    top = max(stored["task_log"], default=0)
    logs |= {top + number: (top + number, *row) for number, row in enumerate(lacking.logs, start=1)}
    workflows = {key: row for key, row in stored["workflow"].items() if key not in gone}
    tasks = {
        key: row
        for key, row in stored["task"].items()
        if key >> ORDINAL_BITS not in gone and key not in lacking.dropped
    }
    workflows |= {row[0]: row for row in lacking.workflows}
    tasks |= {row[0]: row for row in lacking.tasks}
    return {
        table: [tuple(row) for _, row in sorted(found.items())]
        for table, found in zip(TABLES, (workflows, tasks, logs), strict=True)
    }
