"""Databases that nobody else has: in memory with the definitions of another, or a file to be filled.

No execution is ever copied.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from edge.store.migrations import migrate

COPIED = ("workflow_definition", "task_definition", "schema_definition", "environment", "secret")
"""What a rehearsal needs of a device: definitions, the schemas they hold payloads to, and what
their expressions ask for."""

Contents = dict[str, tuple[list[str], list[tuple[Any, ...]]]]
"""Columns and rows by table."""


def contents(connection: sqlite3.Connection) -> Contents:
    """What is to be copied, as of the caller's snapshot."""
    found: Contents = {}
    for table in COPIED:
        cursor = connection.execute(f"SELECT * FROM {table}")
        found[table] = ([column[0] for column in cursor.description], cursor.fetchall())
    return found


def scratch(copied: Contents) -> sqlite3.Connection:
    """An empty database in memory that holds the copies; it goes with its connection."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection)
    for table, (columns, rows) in copied.items():
        marks = ", ".join("?" for _ in columns)
        names = ", ".join(columns)
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
    return connection


def fresh(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody else will open before it is finished."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("BEGIN")
    return connection
