"""What has been committed and stands in no table yet: a row a COMMIT, whatever the COMMIT holds.

A COMMIT that puts each record where it belongs changes a page for nearly each of them, and most
records change again soon. So a COMMIT writes what it changes as one packed row, and the tables are
brought up to date for many of them together. Until then the rows here are the truth.

What the records mean, and when the tables are brought up to date, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator

import msgspec
import structlog

from edge.model.errors import RowDamaged
from edge.model.executions import Task, Workflow
from edge.store import damage, facts
from edge.store.compression import compress, decompress
from edge.store.staging import LogRow, Staged

_APPEND = "INSERT INTO redo (body) VALUES (?)"
_ROWS = "SELECT key, body FROM redo ORDER BY key"
_CLEAR = "DELETE FROM redo"
_DROP = "DELETE FROM redo WHERE key = ?"

_CHECKSUM_BYTES = 4

_COLUMN_MOST = 2**63 - 1
"""The largest number that a column takes."""

log = structlog.get_logger()


class _Packed(msgspec.Struct, array_like=True):
    """Everything that one COMMIT changes."""

    workflows: list[Workflow]
    tasks: list[tuple[int, Task]]
    dropped: list[int]
    removed: list[tuple[int, bytes]]
    logs: list[LogRow]


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(_Packed).decode


def pack(batch: Staged) -> bytes:
    """What a COMMIT changes, as one row holds it: a checksum, and MessagePack that is compressed.

    Raises:
        msgspec.MsgspecError, ValueError, OverflowError: no table could hold it, later.
    """
    body = _ENCODE(
        _Packed(
            list(batch.workflows.values()),
            list(batch.tasks.items()),
            list(batch.dropped),
            list(batch.removed.items()),
            batch.logs,
        )
    )
    # Whoever is told that it is written must be able to rely on it: it is read once, types and all.
    _check(_DECODE(body))
    packed = compress(body)
    return zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") + packed


def _check(packed: _Packed) -> None:
    moments = [moment for one in packed.workflows for moment in (one.created_ms, one.due_ms)]
    moments += [task.due_ms for _, task in packed.tasks]
    if any(moment > _COLUMN_MOST for moment in moments):
        raise OverflowError("a moment lies too far ahead")


def unpack(row: bytes) -> Staged:
    """What ``pack`` was given.

    Raises:
        RowDamaged: the row is not what was written.
    """
    packed = row[_CHECKSUM_BYTES:]
    if zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") != row[:_CHECKSUM_BYTES]:
        raise RowDamaged("redo", "its checksum is wrong")
    try:
        found = _DECODE(decompress(packed))
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise RowDamaged("redo", str(error)) from error
    batch = Staged()
    batch.workflows = {workflow.key: workflow for workflow in found.workflows}
    batch.tasks = dict(found.tasks)
    batch.dropped = set(found.dropped)
    batch.removed = dict(found.removed)
    batch.logs = found.logs
    return batch


def append(connection: sqlite3.Connection, row: bytes) -> None:
    """Write what a COMMIT changes."""
    connection.execute(_APPEND, (row,))


def batches(connection: sqlite3.Connection) -> Iterator[Staged]:
    """What stands in no table yet, in its order.

    A damaged row is put on the list of damage, and reported: the others still count.
    """
    for key, row in connection.execute(_ROWS).fetchall():
        try:
            yield unpack(row)
        except RowDamaged as error:
            log.error("row_damaged", table=error.table, key=key, reason=error.message)
            with contextlib.suppress(sqlite3.OperationalError):
                # On a disk that takes no write it is reported again the next time.
                _set_aside(connection, key, row, error.reason)


def _set_aside(connection: sqlite3.Connection, key: int, row: bytes, reason: str) -> None:
    found = damage.Damage(
        found_ms=facts.read(connection, "latest_ms"),
        table="redo",
        record=str(key),
        reason=reason,
        body=row,
        settled=True,
    )
    damage.note(connection, found)
    connection.execute(_DROP, (key,))


def clear(connection: sqlite3.Connection) -> None:
    """The tables are up to date."""
    connection.execute(_CLEAR)
