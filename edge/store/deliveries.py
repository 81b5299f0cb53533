"""Notices that wait to be posted to a web server, and when each is tried next.

Nothing is posted from here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec
import structlog

from edge.model.decision import Publication
from edge.model.events import HTTP

log = structlog.get_logger()

# Behind what waits for the same place already, or it would overtake that.
_PUT = """
INSERT INTO delivery (url, message_id, created_ms, due_ms, attempts, payload)
VALUES (
  :url, :message_id, :now_ms,
  max(:now_ms, coalesce((SELECT max(due_ms) FROM delivery WHERE url = :url), 0)), 0, :payload
)
"""
_DROP_OLDEST = "DELETE FROM delivery WHERE key <= (SELECT max(key) FROM delivery) - ?"
_DUE = """
SELECT key, url, message_id, created_ms, attempts, payload FROM delivery
 WHERE due_ms <= ?
 ORDER BY due_ms, key
 LIMIT 1
"""
_NEXT = "SELECT min(due_ms) FROM delivery"
_FORGET = "DELETE FROM delivery WHERE key = ?"
_TRIED = "UPDATE delivery SET attempts = attempts + 1 WHERE key = ?"
_POSTPONE = "UPDATE delivery SET due_ms = ? WHERE url = ? AND due_ms < ?"

KEPT = 10_000
"""Notices that wait; the oldest leave when there are more, and that is logged."""


class Delivery(msgspec.Struct, frozen=True):
    """One notice on its way."""

    key: int
    url: str
    message_id: str
    created_ms: int
    attempts: int
    """So far."""
    payload: bytes


def due(connection: sqlite3.Connection, now_ms: int) -> Delivery | None:
    """The notice that is to be tried first; None = none is due."""
    row = connection.execute(_DUE, (now_ms,)).fetchone()
    return None if row is None else Delivery(*row)


def next_due_ms(connection: sqlite3.Connection) -> int:
    """When the next one is due; 0 = none waits."""
    row = connection.execute(_NEXT).fetchone()
    return row[0] or 0


def forget(connection: sqlite3.Connection, key: int) -> None:
    """A notice has arrived, or never will."""
    connection.execute(_FORGET, (key,))


def postpone(connection: sqlite3.Connection, delivery: Delivery, until_ms: int) -> None:
    """Try again later; what follows to the same place waits with it, so that the order stays."""
    connection.execute(_TRIED, (delivery.key,))
    connection.execute(_POSTPONE, (until_ms, delivery.url, until_ms))


class DeliveryWriter:
    """Collects what is to be posted; runs on the writer's thread, inside its transactions."""

    def __init__(self) -> None:
        self._waiting: list[Publication] = []

    def publish(self, publications: Iterable[Publication]) -> None:
        """Keep the notices for web servers until the flush."""
        self._waiting += [p for p in publications if p.sink.startswith(HTTP)]

    def flush(self, connection: sqlite3.Connection, now_ms: int) -> bool:
        """Write what is waiting. True when there was anything."""
        if not self._waiting:
            return False
        rows = [
            {"url": p.sink, "message_id": p.message_id, "now_ms": now_ms, "payload": p.payload}
            for p in self._waiting
        ]
        connection.executemany(_PUT, rows)
        self._waiting.clear()
        dropped = connection.execute(_DROP_OLDEST, (KEPT,)).rowcount
        if dropped:
            log.error("notices_dropped", count=dropped, kept=KEPT)
        return True

    def forget_all(self) -> None:
        """After a ROLLBACK."""
        self._waiting.clear()
