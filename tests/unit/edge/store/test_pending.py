"""What is under way, as a start reads it."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

from edge.engine import Engine
from edge.model.executions import TaskStatus, parse_workflow_id
from edge.store import pending
from tests.unit.edge.engine_house import answer, define, engine_at, run, simple, start


def _all(connection: sqlite3.Connection, limit: int) -> tuple[list[pending.Page], list[bytes]]:
    pages, after = [], pending.BEGINNING
    while True:
        pages.append(pending.read_page(connection, after, limit))
        if pages[-1].after is None:
            break
        after = pages[-1].after
    return pages, [one.id for page in pages for one, _ in page.executions]


def test_every_open_execution_comes_once(tmp_path: Path) -> None:
    """Name by name and page by page, whatever the size of the pages; those that ended do not."""

    async def body(engine: Engine) -> None:
        wanted = []
        for name in ("b", "a", "c"):
            await define(engine, name, simple("work"))
            wanted += [await start(engine, name) for _ in range(3)]
        (ended,) = await engine.poll("work", worker=None, count=1, timeout_ms=0)
        await answer(engine, ended)
        await engine.pause(wanted[4])
        left = [parse_workflow_id(one) for one in wanted if one != wanted[0]]
        in_order = left[2:5] + left[:2] + left[5:]
        for limit in (1, 2, 3, 4, 99):
            pages, found = await engine.database.read(partial(_all, limit=limit))

            assert in_order == found
            assert all(len(page.executions) <= limit for page in pages)

    run(tmp_path, body)


def test_what_is_read_of_a_task(tmp_path: Path) -> None:
    """What its queue and its limit are made of; a task that nobody is handed is not read at all."""

    async def body(engine: Engine) -> None:
        await define(engine, "flow", simple("work"))
        waits = {"name": "w", "taskReferenceName": "w", "type": "HUMAN"}
        await define(engine, "person", waits)
        await start(engine, "person")
        workflow_id = await start(engine, "flow")
        page = await engine.database.read(lambda c: pending.read_page(c, pending.BEGINNING, 9))
        ((execution, (task,)),) = page.executions
        record = (await engine.execution(workflow_id)).tasks[0]

        assert parse_workflow_id(workflow_id) == execution.id
        assert ("work", "work", TaskStatus.SCHEDULED) == (task.queue, task.name, task.status)
        assert (record.ordinal, record.step_ref) == (task.ordinal, task.step_ref)
        assert record.updated_ms == task.updated_ms

    run(tmp_path, body)


def test_a_damaged_record_hides_its_execution_only(tmp_path: Path) -> None:
    """Of an execution with a damaged record nothing is taken up; the others are."""

    async def body(engine: Engine) -> None:
        await define(engine, "flow", simple("work"))
        ids = [await start(engine, "flow") for _ in range(3)]

        def damage(connection: sqlite3.Connection) -> None:
            flip = "UPDATE {} SET body = CAST(substr(body, 1, 20) || x'00' || substr(body, 22) AS BLOB) "
            connection.execute(flip.format("task") + "WHERE key = (SELECT min(key) FROM task)")
            connection.execute(
                flip.format("workflow") + "WHERE key = (SELECT max(key) FROM workflow)"
            )

        await engine.request(lambda transaction: damage(transaction.connection))
        page = await engine.database.read(lambda c: pending.read_page(c, pending.BEGINNING, 9))

        assert [parse_workflow_id(ids[1])] == [one.id for one, _ in page.executions]

    run(tmp_path, body)


def test_an_empty_database_has_one_empty_page(tmp_path: Path) -> None:
    """And no next one."""

    async def body() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            page = await engine.database.read(lambda c: pending.read_page(c, pending.BEGINNING, 9))

            assert pending.Page([], None) == page

    asyncio.run(body())
