"""Single facts about the database: its epoch, the number of this boot, the latest time written.

Nothing about executions stands here.
"""

from __future__ import annotations

import sqlite3

import msgspec

_READ = "SELECT value FROM fact WHERE name = ?"
_WRITE = """
INSERT INTO fact (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_LATEST = """
SELECT max(moment) FROM (
  SELECT max(created_ms) AS moment FROM (SELECT created_ms FROM workflow ORDER BY key DESC LIMIT 50)
  UNION ALL
  SELECT max(recorded_ms) FROM (SELECT recorded_ms FROM history ORDER BY key DESC LIMIT 50)
)
"""


class Boot(msgspec.Struct, frozen=True):
    """What is known when the database is opened."""

    epoch: int
    """Lineage of the history; a database that starts anew has another."""
    boot: int
    """How many times the database has been opened."""
    floor_ms: int
    """A time that has certainly passed, for clocks that start in 1970."""


def note_boot(connection: sqlite3.Connection) -> Boot:
    """Count this opening."""
    noted = next_boot(connection)
    write(connection, "epoch", noted.epoch)
    write(connection, "boot", noted.boot)
    return noted


def next_boot(connection: sqlite3.Connection) -> Boot:
    """What ``note_boot`` would say, without writing it."""
    epoch, boot = read(connection, "epoch") or 1, read(connection, "boot") + 1
    latest = connection.execute(_LATEST).fetchone()[0]
    return Boot(epoch, boot, max(latest or 0, read(connection, "latest_ms")))


def note_time(connection: sqlite3.Connection, now_ms: int) -> None:
    """Keep a time that has passed: the records that show it may be pruned before the next boot."""
    write(connection, "latest_ms", now_ms)


def boot_of(connection: sqlite3.Connection) -> int:
    """How many times a database has been opened; 0 = it is new."""
    there = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'fact'").fetchone()
    return read(connection, "boot") if there else 0


def touch(connection: sqlite3.Connection) -> None:
    """Write something that changes nothing."""
    connection.execute("UPDATE fact SET value = value WHERE name = 'boot'")


def read(connection: sqlite3.Connection, name: str) -> int:
    """A fact; 0 = it was never written."""
    row = connection.execute(_READ, (name,)).fetchone()
    return int(row[0]) if row else 0


def write(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Put a fact in place of what was known of it."""
    connection.execute(_WRITE, (name, value))
