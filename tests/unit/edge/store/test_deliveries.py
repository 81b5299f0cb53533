"""Notices that wait to be posted: in order for each place, and bounded."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.decision import Publication
from edge.store import deliveries
from edge.store.departures import Departures
from edge.store.migrations import migrate


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _send(connection: sqlite3.Connection, *notices: tuple[str, str], at_ms: int = 5) -> None:
    departures = Departures()
    departures.publish([Publication(name, url, b"{}") for name, url in notices])
    departures.publish([Publication("x", "mqtt:t", b""), Publication("y", "conductor:q", b"")])
    assert departures.flush(connection, at_ms).deliveries is bool(notices)


def test_notices_wait_in_their_order(connection: sqlite3.Connection) -> None:
    """A place that does not answer delays what follows to it, and nothing else."""
    _send(connection, ("1", "http://a"), ("2", "http://b"), ("3", "http://a"))
    first = deliveries.due(connection, 5)
    assert first is not None
    deliveries.postpone(connection, first, 100)
    second = deliveries.due(connection, 5)
    assert second is not None
    deliveries.forget(connection, second.key)
    later = deliveries.due(connection, 100)

    assert ("1", "http://a", 0, 5) == (
        first.message_id, first.url, first.attempts, first.created_ms
    )  # fmt: skip
    assert "2" == second.message_id
    assert deliveries.due(connection, 99) is None
    assert 100 == deliveries.next_due_ms(connection)
    assert later is not None and ("1", 1) == (later.message_id, later.attempts)


def test_nothing_waits(connection: sqlite3.Connection) -> None:
    """Nothing is due, now or ever."""
    _send(connection)

    assert deliveries.due(connection, 10**15) is None
    assert 0 == deliveries.next_due_ms(connection)


def test_a_rollback_forgets(connection: sqlite3.Connection) -> None:
    """The decision that sent it was not written either."""
    departures = Departures()
    departures.publish([Publication("1", "http://a", b"{}")])
    departures.forget_all()

    assert (False, False) == departures.flush(connection, 1)


def test_the_oldest_leave(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers costs a bounded disk."""
    monkeypatch.setattr(deliveries, "KEPT", 2)
    for name in "1234":
        _send(connection, (name, "http://a"))
    found = deliveries.due(connection, 5)

    assert found is not None and "3" == found.message_id


def test_what_comes_later_does_not_overtake(connection: sqlite3.Connection) -> None:
    """A notice for a place that has not answered waits behind the ones that wait for it."""
    _send(connection, ("1", "http://a"))
    first = deliveries.due(connection, 5)
    assert first is not None
    deliveries.postpone(connection, first, 100)
    _send(connection, ("2", "http://a"), ("3", "http://b"), ("4", "http://a"), at_ms=6)
    other = deliveries.due(connection, 6)
    assert other is not None and "3" == other.message_id
    deliveries.forget(connection, other.key)

    assert deliveries.due(connection, 99) is None
    order = []
    while (found := deliveries.due(connection, 100)) is not None:
        order.append((found.message_id, found.created_ms))
        deliveries.forget(connection, found.key)
    assert [("1", 5), ("2", 6), ("4", 6)] == order


def test_an_older_database_gains_the_index_of_places(connection: sqlite3.Connection) -> None:
    """Each notice asks what waits for its place: no notice of another place is read for that."""
    connection.execute("DROP INDEX delivery_place")
    connection.execute("PRAGMA user_version = 2")
    migrate(connection)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT max(due_ms) FROM delivery WHERE url = ?", ("http://a",)
    ).fetchall()

    assert "delivery_place (url=?)" in plan[0][3]
