"""What the storage has damaged: a list of it, and records that were taken out of the way.

Nothing is looked for here; ``integrity`` finds damage and ``salvage`` rebuilds.
"""

from __future__ import annotations

import sqlite3

import msgspec

_NOTE = """
INSERT INTO damage (found_ms, relation, record, workflow_id, reason, body, settled)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_OPEN = """
SELECT key, found_ms, relation, record, reason, workflow_id FROM damage
 WHERE settled = 0
 ORDER BY key
 LIMIT ?
"""
_LATEST = """
SELECT key, found_ms, relation, record, reason, workflow_id, settled FROM damage
 ORDER BY key DESC
 LIMIT ?
"""
_COUNT = "SELECT count(*) FROM damage"
_SETTLE = "UPDATE damage SET settled = 1 WHERE key = ?"
_PRUNE = "DELETE FROM damage WHERE key <= (SELECT max(key) FROM damage) - ? AND settled = 1"
_PUT_DEFINITION = """
INSERT OR IGNORE INTO pinned_definition (key, digest, document) VALUES (?, ?, ?)
"""

KEPT = 10_000
"""Lines that are kept, the newest. What has still to be acted upon is never pruned."""

_MOST_BODY = 1_000_000
"""Bytes of a damaged body that are kept for whoever wants to look at it."""


class Damage(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """One thing that is not what was written."""

    found_ms: int
    table: str
    record: str
    """Its key, as a text."""
    reason: str
    workflow_id: str = ""
    """The execution that it belongs to, a UUID's text; "" = it belongs to none, or none is known."""
    settled: bool = False
    """Whether what follows from it has been done: a damaged execution has been ended."""
    key: int = 0
    body: bytes | None = None
    """What was found in place of the record."""


def note(connection: sqlite3.Connection, found: Damage) -> None:
    """Add to the list."""
    body = None if found.body is None else found.body[:_MOST_BODY]
    row = (
        found.found_ms, found.table, found.record, found.workflow_id, found.reason, body,
        int(found.settled),
    )  # fmt: skip
    connection.execute(_NOTE, row)
    connection.execute(_PRUNE, (KEPT,))


def unsettled(connection: sqlite3.Connection, limit: int = 100) -> list[Damage]:
    """What has still to be acted upon, oldest first."""
    return [
        Damage(key=row[0], found_ms=row[1], table=row[2], record=row[3], reason=row[4],
               workflow_id=row[5])
        for row in connection.execute(_OPEN, (limit,))
    ]  # fmt: skip


def settle(connection: sqlite3.Connection, key: int) -> None:
    """What follows from it has been done."""
    connection.execute(_SETTLE, (key,))


def latest(connection: sqlite3.Connection, limit: int = 100) -> list[Damage]:
    """The list, newest first, without bodies."""
    return [
        Damage(key=row[0], found_ms=row[1], table=row[2], record=row[3], reason=row[4],
               workflow_id=row[5], settled=bool(row[6]))
        for row in connection.execute(_LATEST, (limit,))
    ]  # fmt: skip


def count(connection: sqlite3.Connection) -> int:
    """How long the list is."""
    return int(connection.execute(_COUNT).fetchone()[0])


def put_empty_definition(connection: sqlite3.Connection, key: int, document: bytes) -> None:
    """Put something in the place of a pinned definition that is gone.

    Its digest is that of no document, so that no execution ever starts from it.
    """
    digest = b"gone" + key.to_bytes(8, "big") + bytes(8)
    connection.execute(_PUT_DEFINITION, (key, digest, document))
