"""One damaged record: what is done about it, in one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.engine import Engine
from edge.mending import set_aside
from edge.store import damage, integrity
from edge.store.integrity import Finding
from tests.unit.edge.engine_house import answer, claim, define, run, simple, start


async def _done(engine: Engine) -> None:
    await define(engine, "one", simple("a"))
    await start(engine, "one")
    await answer(engine, await claim(engine, "a"))


def test_what_is_whole_after_all_is_left_alone(tmp_path: Path) -> None:
    """Somebody may have written it again since it was found."""

    async def body(engine: Engine) -> None:
        await _done(engine)
        for table, rowid in (("workflow", 1), ("task", 77)):
            found = Finding(table, rowid, "it was", 1)
            assert [] == await engine.request(lambda t, found=found: set_aside(t, found, 5))  # type: ignore[misc]
        assert 0 == await engine.database.read(damage.count)

    run(tmp_path, body)


def test_a_damaged_record_of_history_stays(tmp_path: Path) -> None:
    """No number of a lane may be missing; that it is damaged is listed."""

    async def body(engine: Engine) -> None:
        await _done(engine)

        def spoil(connection: sqlite3.Connection) -> Finding:
            connection.execute("UPDATE history SET boot = 99 WHERE key & 255 = 1")
            found, _ = integrity.look(connection, "history", -(1 << 63))
            return found[0]

        found = await engine.database.transact(spoil)
        before = await engine.database.read(_count)
        (line,) = await engine.request(lambda t: set_aside(t, found, 5))

        assert ("history", True, "") == (line.table, line.settled, line.workflow_id)
        assert before == await engine.database.read(_count)

    run(tmp_path, body, syncing=True)


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM history").fetchone()[0])
