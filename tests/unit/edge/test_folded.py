"""Whoever reads sees what was acknowledged, whatever the disk does meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.engine import Engine
from edge.model.executions import TaskStatus
from tests.unit.edge.engine_house import answer, behind, claim, define, run, simple, start


def _refuse(connection: sqlite3.Connection, how: str = "ON") -> None:
    connection.execute(f"PRAGMA query_only = {how}")


def test_the_tables_follow_when_they_are_read(tmp_path: Path) -> None:
    """Two acknowledged requests are two rows, until somebody looks."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        first = await start(engine, "w")
        second = await start(engine, "w")
        before = await engine.database.hop(behind)
        seen = await engine.running("w", None)
        after = await engine.database.hop(behind)

        assert (2, 0) == before
        assert [first, second] == seen
        assert (0, 2) == after

    run(tmp_path, body, timers=False)


def test_a_disk_that_takes_no_writes_shows_all_that_was_acknowledged(tmp_path: Path) -> None:
    """Executions, tasks and searches, although none of it stands in a table."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        workflow_id = await start(engine, "w")
        await answer(engine, await claim(engine, "a"), output={"x": 1})
        await engine.database.hop(_refuse)
        view = await engine.execution(workflow_id)
        running = await engine.running("w", None)
        stored = await engine.database.hop(behind)

        assert [TaskStatus.COMPLETED, TaskStatus.SCHEDULED] == [t.status for t in view.tasks]
        assert [workflow_id] == running
        assert (2, 0) == stored
        await engine.database.hop(lambda c: _refuse(c, "OFF"))
        assert 1 == len(await engine.running("w", None))
        assert (0, 1) == await engine.database.hop(behind)

    run(tmp_path, body, timers=False)
