"""What has been ordered to be fetched, until the answer has arrived.

What is looked for, and where, is not known here.
"""

from __future__ import annotations

import sqlite3

import msgspec

_PUT = """
INSERT INTO fetch (order_id, kind, body, given_ms) VALUES (:order_id, :kind, :body, :given_ms)
ON CONFLICT (order_id) DO NOTHING
"""
_WAITING = """
SELECT order_id, kind, body, given_ms FROM fetch WHERE last_seq IS NULL
 ORDER BY given_ms, order_id LIMIT 1
"""
_ANSWER = "UPDATE fetch SET last_seq = ? WHERE order_id = ? AND last_seq IS NULL"
_ANSWERED = "SELECT order_id, last_seq FROM fetch WHERE last_seq IS NOT NULL"
_DROP = "DELETE FROM fetch WHERE order_id = ?"
_COUNT = "SELECT count(*) FROM fetch"


class Fetch(msgspec.Struct, frozen=True):
    """Something that is to be looked for."""

    order_id: str
    kind: str
    body: bytes
    """JSON, as in the order."""
    given_ms: int


def put(connection: sqlite3.Connection, fetch: Fetch) -> None:
    """Note that something is to be looked for."""
    connection.execute(_PUT, msgspec.structs.asdict(fetch))


def waiting(connection: sqlite3.Connection) -> Fetch | None:
    """The oldest that has still to be looked for."""
    row = connection.execute(_WAITING).fetchone()
    return None if row is None else Fetch(*row)


def answer(connection: sqlite3.Connection, order_id: str, last_seq: int) -> bool:
    """Note the last record of an answer; False = it was answered before."""
    return connection.execute(_ANSWER, (last_seq, order_id)).rowcount == 1


def answered(connection: sqlite3.Connection) -> dict[str, int]:
    """The last records of the answers that are on their way."""
    return dict(connection.execute(_ANSWERED).fetchall())


def drop(connection: sqlite3.Connection, order_id: str) -> None:
    """Forget one whose answer has arrived."""
    connection.execute(_DROP, (order_id,))


def count(connection: sqlite3.Connection) -> int:
    """How many there are."""
    return int(connection.execute(_COUNT).fetchone()[0])
