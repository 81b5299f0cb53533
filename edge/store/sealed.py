"""Runs of records: a frame as it travels takes a fifth of the rows, or less.

Which records are sealed, and when, is not known here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import structlog

from edge.model.errors import RowDamaged
from sync import frames
from sync.codecs import Codec
from sync.records import Lane, Record
from sync.runs import Portion, Run, hollow

log = structlog.get_logger()

LANE_BITS = 56
"""A lane's records stand side by side: key = lane << 56 | sequence."""

_PUT = "INSERT INTO sealed (key, count, frame) VALUES (?, ?, ?)"
# The frame of a run that ends before the key is not fetched.
_WITH = """
SELECT key, count, frame FROM sealed
 WHERE key = (SELECT MAX(key) FROM sealed WHERE key <= :key) AND key + count > :key
"""
_NEWEST = "SELECT frame FROM sealed WHERE key < ? ORDER BY key DESC LIMIT 1"
_FIRST = "SELECT min(key) FROM sealed WHERE key > ? AND key <= ?"
_WEIGHT = """
SELECT COALESCE(SUM(LENGTH(frame)), 0) FROM sealed WHERE key > ? AND key + count - 1 <= ?
"""
_DROP = "DELETE FROM sealed WHERE key > ? AND key + count - 1 <= ?"


def put(connection: sqlite3.Connection, key: int, records: Sequence[Record]) -> tuple[int, int]:
    """Seal records; how many of them fitted into one frame, and its size in bytes.

    Args:
        connection: to the database.
        key: of the first.
        records: with consecutive sequences.
    """
    frame, count = frames.pack(records, epoch=1, oldest_seq=1, codec=Codec.ZSTD)
    connection.execute(_PUT, (key, count, frame))
    return count, len(frame)


def run_with(connection: sqlite3.Connection, key: int) -> Portion | None:
    """The run that begins with this key, or the records of a run from there on; None = in no run.

    Those of a damaged run are hollow: the lane must not stop there for ever. Sequences follow from
    the run's key: a salvage has given it another.
    """
    row = connection.execute(_WITH, {"key": key}).fetchone()
    if row is None:
        return None
    lane, skipped = Lane(row[0] >> LANE_BITS), key - row[0]
    first = row[0] - (int(lane) << LANE_BITS)
    try:
        run = Run(lane, first, frames.check(row[2]), row[2])
        return run.unpack()[skipped:] if skipped else run
    except frames.FrameError as error:
        log.error("row_damaged", table="sealed", key=row[0], reason=str(error))
        return hollow(lane, first, row[1])[skipped:]


def checked_count(key: int, frame: object) -> int:
    """How many records a run holds. Raises RowDamaged."""
    if not isinstance(frame, bytes):
        raise RowDamaged("sealed", f"run {key} is no frame")
    try:
        return len(frames.decode(frame).records)
    except frames.FrameError as error:
        raise RowDamaged("sealed", f"run {key}: {error}") from error


def first_key(connection: sqlite3.Connection, after: int, until: int) -> int | None:
    """The key of the first run in a range; None = there is none."""
    found: int | None = connection.execute(_FIRST, (after, until)).fetchone()[0]
    return found


def latest_ms(connection: sqlite3.Connection) -> int:
    """The latest time in the newest run of executions, in ms; 0 = there is none that can be read."""
    row = connection.execute(_NEWEST, (int(Lane.HISTORY) + 1 << LANE_BITS,)).fetchone()
    try:
        records = frames.decode(row[0]).records if row is not None else ()
    except frames.FrameError:
        # Whoever reads it to send it says so.
        return 0
    return max((record.recorded_ms for record in records), default=0)


def drop(connection: sqlite3.Connection, after: int, until: int) -> int:
    """Free the runs that lie whole in a range; the bytes that they took."""
    freed = int(connection.execute(_WEIGHT, (after, until)).fetchone()[0])
    if freed:
        connection.execute(_DROP, (after, until))
    return freed
