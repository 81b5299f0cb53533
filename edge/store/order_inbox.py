"""Orders that have been dealt with, and what they have put here.

What an order does, and whether it may, is not known here.
"""

from __future__ import annotations

import sqlite3

import msgspec

_LAST = "SELECT cseq, id FROM order_inbox ORDER BY cseq DESC LIMIT 1"
_FIND = "SELECT id, cseq, kind, state, reason, output, expires_ms FROM order_inbox WHERE id = ?"
_PUT = """
INSERT INTO order_inbox (id, cseq, kind, state, reason, output, expires_ms)
VALUES (:id, :cseq, :kind, :state, :reason, :output, :expires_ms)
ON CONFLICT (id) DO UPDATE SET cseq = :cseq
"""
# The last one says how far the line has come, and stays.
_FORGET = """
DELETE FROM order_inbox WHERE id IN (
  SELECT id FROM order_inbox
  WHERE expires_ms < ? AND cseq < (SELECT max(cseq) FROM order_inbox)
  ORDER BY expires_ms LIMIT 200
)
"""
_COUNT = "SELECT count(*) FROM order_inbox"
_ORDERED = "SELECT revision, digest, document FROM ordered WHERE subject = ?"
_PUT_ORDERED = """
INSERT INTO ordered (subject, revision, digest, document)
VALUES (:subject, :revision, :digest, :document)
ON CONFLICT (subject) DO UPDATE SET
  revision = :revision, digest = :digest, document = :document
"""


class Dealt(msgspec.Struct, frozen=True):
    """An order that has been dealt with."""

    id: str
    cseq: int
    kind: str
    state: str
    reason: str | None
    output: bytes | None
    expires_ms: int
    """On the control plane's clock."""


class Ordered(msgspec.Struct, frozen=True):
    """What an order has put here."""

    revision: int
    digest: bytes
    document: bytes
    """Whatever is needed to take it away again."""


def last(connection: sqlite3.Connection) -> tuple[int, str]:
    """Place and id of the last order that was dealt with; (0, "") before the first."""
    row = connection.execute(_LAST).fetchone()
    return (0, "") if row is None else (row[0], row[1])


def find(connection: sqlite3.Connection, order_id: str) -> Dealt | None:
    """What has become of an order; None = it is new here."""
    row = connection.execute(_FIND, (order_id,)).fetchone()
    return None if row is None else Dealt(*row)


def put(connection: sqlite3.Connection, dealt: Dealt) -> None:
    """Note an order; one that is known takes its new place and stays what it was."""
    connection.execute(_PUT, msgspec.structs.asdict(dealt))


def forget(connection: sqlite3.Connection, before_ms: int) -> None:
    """Forget some of those whose time was over by then: none of them would be carried out."""
    connection.execute(_FORGET, (before_ms,))


def count(connection: sqlite3.Connection) -> int:
    """How many are remembered."""
    return int(connection.execute(_COUNT).fetchone()[0])


def read_ordered(connection: sqlite3.Connection, subject: str) -> Ordered | None:
    """What was put here under a subject; None = nothing."""
    row = connection.execute(_ORDERED, (subject,)).fetchone()
    return None if row is None else Ordered(*row)


def put_ordered(connection: sqlite3.Connection, subject: str, ordered: Ordered) -> None:
    """Note what was put here, in place of what was."""
    connection.execute(_PUT_ORDERED, {"subject": subject, **msgspec.structs.asdict(ordered)})
