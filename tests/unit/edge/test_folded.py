"""Whoever reads sees what was acknowledged, whatever the disk does meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

from edge.engine import Engine
from edge.model.executions import TaskStatus
from edge.transactions import Transaction
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


def test_what_is_being_put_in_place_is_read_all_the_same(tmp_path: Path) -> None:
    """While the transaction that does it is open, only whoever writes can tell."""
    begun, may_end = threading.Event(), threading.Event()

    def put_in_place(transaction: Transaction) -> None:
        assert transaction.connection.in_transaction
        begun.set()
        assert may_end.wait(10)

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.request(put_in_place))
            await asyncio.to_thread(begun.wait, 10)
            one = group.create_task(engine.execution(workflow_id))
            every = group.create_task(engine.running("w", None))
            # On the thread of those who read: whoever looked there too early has done so by then.
            group.create_task(engine.database.glance(lambda _: may_end.set()))

        assert "w" == one.result().workflow.name
        assert [workflow_id] == every.result()

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
