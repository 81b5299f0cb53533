"""The disk thread: what fails with the disk, what is read again, what the caches hold."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any, NoReturn

import pytest

from edge import transactions
from edge.engine import Engine
from edge.model.errors import InvalidInput, StorageUnavailable
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.model.snapshot import Snapshot
from edge.store import executions
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    engine_at,
    id_of,
    run,
    simple,
    start,
)


def _noise(size: int) -> str:
    """Text that no compression makes smaller than half its size."""
    return random.Random(1).randbytes(size // 2).hex()


def _full(connection: sqlite3.Connection, pages: int) -> None:
    connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """Nothing is acknowledged that was not written, and work goes on when there is room again."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        await engine.database.hop(lambda c: _full(c, 1))
        with pytest.raises(StorageUnavailable):
            await start(engine, "w", input={"big": _noise(50_000)})
        with pytest.raises(StorageUnavailable):
            await answer(engine, view, output={"big": _noise(50_000)})
        during = await engine.execution(workflow_id)
        await engine.database.hop(lambda c: _full(c, 1_000_000))
        await answer(engine, view, output={"big": "y"})
        after = await engine.execution(workflow_id)

        assert [TaskStatus.IN_PROGRESS] == [task.status for task in during.tasks]
        assert [TaskStatus.COMPLETED, TaskStatus.SCHEDULED] == [t.status for t in after.tasks]
        assert 1 == len(await engine.running("w", None))
        assert await start(engine, "w")

    run(tmp_path, body)


def test_executions_that_leave_memory_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is bounded, and a cold execution decides as a hot one does."""
    monkeypatch.setattr(executions, "HOT_RECORDS", 3)

    async def body(engine: Engine) -> None:
        fork = {
            "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
            "forkTasks": [[simple("a")], [simple("b")]],
        }  # fmt: skip
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "b"]}
        await define(engine, "w", fork, join)
        ids = [await start(engine, "w") for _ in range(5)]
        for queue in ("a", "b"):
            for _ in ids:
                await answer(engine, await claim(engine, queue), output={"from": queue})
        views = [await engine.execution(workflow_id) for workflow_id in ids]

        assert {WorkflowStatus.COMPLETED} == {view.workflow.status for view in views}
        assert {b'{"a":{"from":"a"},"b":{"from":"b"}}'} == {v.workflow.output for v in views}

    run(tmp_path, body)


def test_a_fault_while_deciding_is_undone_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The execution is read again from the disk; its neighbours of the batch are written."""

    def broken(snapshot: Snapshot, *_: object) -> NoReturn:
        snapshot.clear()
        raise ZeroDivisionError

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        with monkeypatch.context() as patch:
            patch.setattr(transactions, "decide", broken)
            with pytest.raises(ZeroDivisionError):
                await answer(engine, view)
        await answer(engine, view)

        assert WorkflowStatus.COMPLETED is (await engine.workflow(workflow_id)).status

    run(tmp_path, body)


def test_reads_see_only_what_is_committed(tmp_path: Path) -> None:
    """While a transaction is open, others read the state before it."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            await define(engine, "w", simple("a"))
            workflow_id = await start(engine, "w")
            view = await claim(engine, "a")
            pending = asyncio.ensure_future(answer(engine, view))
            seen = (await engine.execution(workflow_id)).tasks[0].status
            await pending

            assert seen in (TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED)
            assert TaskStatus.COMPLETED is (await engine.task(id_of(view))).task.status

    asyncio.run(main())


@pytest.mark.parametrize("fields", [{"priority": 2**70}, {"correlation_id": {"a": 1}}])
def test_what_no_row_can_hold_is_refused_alone(tmp_path: Path, fields: dict[str, Any]) -> None:
    """The engine goes on, and the others of the batch are written."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        commits = engine.counters()["commits"]
        asked = [asyncio.ensure_future(start(engine, "w", **more)) for more in ({}, fields, {})]
        answers = await asyncio.gather(*asked, return_exceptions=True)

        assert [str, InvalidInput, str] == [type(one) for one in answers]
        assert commits < engine.counters()["commits"]
        assert 2 == len(await engine.running("w", None))
        assert 2 == len(await engine.poll("a", worker="w", count=9, timeout_ms=0))

    run(tmp_path, body)
