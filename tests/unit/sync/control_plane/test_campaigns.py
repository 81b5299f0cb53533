"""How far a campaign has come, over real SQLite and a real PostgreSQL: counted along an index, and right."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sync.control_plane import campaigns
from sync.control_plane.campaigns import Progress
from sync.control_plane.dialect import Connection, Rows
from sync.control_plane.ledger import Ledger
from tests.unit.sync.control_plane.test_ledger import NOW_MS, Sender, with_ledger

_MADE = """
INSERT INTO campaign (campaign_id, tenant, title, kind, body, condition, query, members, per_minute,
                      created_ms, created_by, expires_ms, state, given)
VALUES ('all', 'default', '', 'start', x'7b226e616d65223a2278227d', x'', '', 6, 240000, 0, '',
        9000000, 'running', 0)
"""

ENDS = {"all.1": "done", "all.2": "failed", "all.3": "done"}


def _give(connection: Connection) -> None:
    """A campaign of six devices, five of which have their orders; one has been sent, three ended."""
    connection.execute(_MADE)
    for place in range(1, 6):
        _add_member(connection, place)
    assert 5 == campaigns.step(connection, now_ms=NOW_MS)
    _add_member(connection, 6)
    connection.execute("UPDATE device_order SET cseq = 1 WHERE order_id < 'all.5'")
    for order_id, ended in ENDS.items():
        values = {"id": order_id, "ended": ended}
        connection.execute("UPDATE device_order SET ended = :ended WHERE order_id = :id", values)


def _add_member(connection: Connection, place: int) -> None:
    connection.execute(
        "INSERT INTO campaign_member (campaign_id, place, device_id)"
        " SELECT 'all', :place, device_id FROM device WHERE device = :device",
        {"place": place, "device": f"roof{place}"},
    )


def _progress(connection: Connection) -> Progress:
    found = campaigns.find(connection, "default", "all")
    assert found is not None
    (come_so_far,) = campaigns.progress(connection, [found])
    return come_so_far


def test_orders_of_a_campaign_are_counted(where: Path | str) -> None:
    """Also those that an older release has given, and in a ledger that it has left."""
    right = Progress(waiting=1, queued=1, sent=1, done=2, failed=1, expired=0, superseded=0)

    def older(connection: Connection) -> None:
        connection.execute("DROP INDEX device_order_of_campaign")
        connection.execute("ALTER TABLE device_order DROP COLUMN campaign_id")

    async def scenario(ledger: Ledger) -> None:
        await ledger.commit([Sender(f"roof{number}").hello() for number in range(1, 7)])
        await ledger.write(_give)
        assert right == await ledger.read(_progress)
        forget = "UPDATE device_order SET campaign_id = NULL WHERE order_id = 'all.2'"
        await ledger.write(lambda c: c.execute(forget))
        assert right == await ledger.read(_progress)
        await ledger.write(older)
        again = await Ledger.open(where, now_ms=lambda: NOW_MS)
        try:
            assert right == await again.read(_progress)
            known = "SELECT COUNT(*) FROM device_order WHERE campaign_id = 'all'"
            assert (5,) == tuple(await again.read(lambda c: c.execute(known).fetchone()))
        finally:
            await again.close()

    with_ledger(where, scenario)


def test_orders_are_counted_along_an_index(tmp_path: Path) -> None:
    """None of them is looked up, and nothing is sorted: a campaign may have 200,000."""
    where = tmp_path / "ledger.db"
    with_ledger(where, lambda ledger: ledger.write(lambda _: None))
    with sqlite3.connect(where) as connection:
        statement = campaigns._STATES.format(places="?, ?")
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("a", "b")).fetchall())

    assert "COVERING INDEX device_order_of_campaign" in plan
    assert "B-TREE" not in plan


def test_a_page_of_campaigns_is_counted_at_once(where: Path | str) -> None:
    """Each by itself, also beside one that an older release has given; with one statement each."""
    asked: list[str] = []

    def more(connection: Connection) -> None:
        for name in ("b", "c"):
            made = _MADE.replace("'all'", f"'{name}'").replace("'default'", "'other'")
            connection.execute(made)
        connection.execute("UPDATE device_order SET campaign_id = NULL WHERE order_id = 'all.2'")

    def look(connection: Connection) -> list[Progress]:
        class Noting:
            """Notes what is asked."""

            def execute(self, statement: str, values: Any = ()) -> Rows:
                asked.append(statement)
                return connection.execute(statement, values)

        found = [campaigns.find(connection, "default", "all")]
        found += [campaigns.find(connection, "other", name) for name in ("b", "c")]
        return campaigns.progress(Noting(), [one for one in found if one])  # type: ignore[arg-type]

    async def scenario(ledger: Ledger) -> None:
        await ledger.commit([Sender(f"roof{number}").hello() for number in range(1, 7)])
        await ledger.write(_give)
        await ledger.write(more)
        waiting = Progress(waiting=6, queued=0, sent=0, done=0, failed=0, expired=0, superseded=0)
        given = Progress(waiting=1, queued=1, sent=1, done=2, failed=1, expired=0, superseded=0)
        assert [given, waiting, waiting] == await ledger.read(look)

    with_ledger(where, scenario)

    assert 2 == len(asked)


def test_a_campaign_that_is_stopped_takes_back_only_what_was_never_sent(where: Path | str) -> None:
    """What a ledger that was lost may have sent stays open: the device is to say what it came to."""

    def stop(connection: Connection) -> Progress:
        connection.execute("UPDATE device_order SET sent_ms = 5 WHERE order_id = 'all.5'")
        assert 1 == campaigns.step(connection, now_ms=NOW_MS)
        campaigns.stop(connection, "default", "all", now_ms=NOW_MS)
        return _progress(connection)

    async def scenario(ledger: Ledger) -> None:
        await ledger.commit([Sender(f"roof{number}").hello() for number in range(1, 7)])
        await ledger.write(_give)
        left = Progress(waiting=0, queued=1, sent=1, done=2, failed=1, expired=0, superseded=1)
        assert left == await ledger.write(stop)

    with_ledger(where, scenario)
