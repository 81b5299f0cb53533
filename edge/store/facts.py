"""Single facts about the database: its epoch, the number of this boot, the latest time written.

Nothing about executions stands here.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.model.elapsed import Jump, Jumps, TimeKept
from edge.store import sealed

_READ = "SELECT value FROM fact WHERE name = ?"
_WRITE = """
INSERT INTO fact (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_JUMPS = "SELECT name, value FROM fact WHERE name GLOB 'jump *'"
_FORGET_JUMPS = "DELETE FROM fact WHERE name GLOB 'jump *'"
_CLOCK = {
    "clock_machine_boot": "machine_boot",
    "clock_shown_ms": "shown_ms",
    "clock_elapsed_ms": "elapsed_ms",
    "clock_unset_ms": "unset_ms",
}
"""Facts about the clock, in the order of ``TimeKept``, and what they are there."""

_OLDEST_READER = "oldest_reader"

OLDEST_READER = 9
"""The first schema whose releases know that runs of history may stand between rows: one before
would read on from the rows behind a run as if there were nothing between."""

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
    time: TimeKept
    """What the run before has left of its clock."""


def note_boot(connection: sqlite3.Connection) -> Boot:
    """Count this opening."""
    _keep_out_older(connection)
    noted = next_boot(connection)
    write(connection, "epoch", noted.epoch)
    write(connection, "boot", noted.boot)
    return noted


def begin_epoch(connection: sqlite3.Connection, epoch: int) -> None:
    """Begin a new lineage, with what is not acknowledged."""
    write(connection, "epoch", epoch)
    connection.execute("UPDATE lane SET first = acked + 1")


def next_boot(connection: sqlite3.Connection) -> Boot:
    """What ``note_boot`` would say, without writing it."""
    epoch, boot = read(connection, "epoch") or 1, read(connection, "boot") + 1
    latest = max(connection.execute(_LATEST).fetchone()[0] or 0, sealed.latest_ms(connection))
    return Boot(epoch, boot, _time_kept(connection, latest))


def _time_kept(connection: sqlite3.Connection, latest_ms: int) -> TimeKept:
    jumps = [
        Jump(int(name.split()[1]), to_ms, int(name.split()[2]))
        for name, to_ms in connection.execute(_JUMPS)
    ]
    kept = TimeKept(
        max(latest_ms, read(connection, "latest_ms")),
        Jumps(jumps),
        *(read(connection, name) for name in _CLOCK),
    )
    # What the clock had shown is past, too: from below the end of a jump, its stamps would come anew.
    return kept._replace(floor_ms=max(kept.floor_ms, kept.shown_ms))


def keep_time(connection: sqlite3.Connection, kept: TimeKept) -> None:
    """Keep what the next boot has to know of the clock: its jumps, and how the two clocks stand."""
    connection.execute(_FORGET_JUMPS)
    for jump in kept.jumps.all:
        write(connection, f"jump {jump.from_ms} {jump.since_ms}", jump.to_ms)
    for name, value in _CLOCK.items():
        write(connection, name, getattr(kept, value))


def note_again(connection: sqlite3.Connection, boot: Boot) -> None:
    """The database can be written, under the number that it was opened with."""
    _keep_out_older(connection)
    write(connection, "boot", boot.boot)


def _keep_out_older(connection: sqlite3.Connection) -> None:
    """Name the oldest release that may open the database; a later one may have named a later."""
    if read(connection, _OLDEST_READER) < OLDEST_READER:
        write(connection, _OLDEST_READER, OLDEST_READER)


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
