"""What workflows send to internal queues and to web servers, on its way into their tables.

What goes to the broker is the outbox's affair.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from edge.model.decision import Publication
from edge.store.deliveries import DeliveryWriter
from edge.store.events import MessageWriter


class Written(NamedTuple):
    """Who has something to do after the COMMIT."""

    messages: bool
    deliveries: bool


class Departures:
    """Sorts publications by their sinks; runs on the writer's thread, inside its transactions."""

    def __init__(self) -> None:
        self._messages = MessageWriter()
        self._deliveries = DeliveryWriter()

    def publish(self, publications: Iterable[Publication]) -> None:
        """Keep them until the flush."""
        kept = list(publications)
        if kept:
            self._messages.publish(kept)
            self._deliveries.publish(kept)

    def flush(self, connection: sqlite3.Connection, now_ms: int) -> Written:
        """Write what is waiting."""
        return Written(
            self._messages.flush(connection, now_ms), self._deliveries.flush(connection, now_ms)
        )

    def forget_all(self) -> None:
        """After a ROLLBACK."""
        self._messages.forget_all()
        self._deliveries.forget_all()
