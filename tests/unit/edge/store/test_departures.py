"""Publications are sorted by their sinks."""

from __future__ import annotations

import sqlite3

from edge.model.decision import Publication
from edge.model.events import EventHandler
from edge.store import deliveries, events
from edge.store.departures import Departures
from edge.store.migrations import migrate


def test_each_sink_has_its_table() -> None:
    """Internal messages and notices; what is for the broker is somebody else's."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    events.add_handlers(connection, [EventHandler(name="h", event="conductor:q", active=True)])
    departures = Departures()
    departures.publish(
        [
            Publication("1", "conductor:q", b"{}"),
            Publication("2", "https://h/x", b"{}"),
            Publication("3", "mqtt:t", b"{}"),
        ]
    )
    written = departures.flush(connection, 7)
    notice = deliveries.due(connection, 7)

    assert (True, True) == written
    assert ["1"] == [message.message_id for _, message in events.waiting(connection, 9)]
    assert notice is not None and "2" == notice.message_id
    assert (False, False) == departures.flush(connection, 8)
