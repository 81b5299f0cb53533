"""Single executions are seen as they are committed, and nothing is put into tables for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.errors import NotFound
from edge.model.executions import TaskStatus, task_uuid, workflow_uuid
from tests.unit.edge.engine_house import answer, behind, claim, define, run, simple, start


def test_a_single_execution_is_seen_without_its_tables(tmp_path: Path) -> None:
    """As far as its last commit; what of it stands in a table is seen under what came since."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        workflow_id = await start(engine, "w")
        new = await engine.execution(workflow_id)
        await engine.running("w", None)
        await answer(engine, await claim(engine, "a"), output={"x": 1})
        held = await claim(engine, "b")
        moved = await engine.execution(workflow_id)
        task = await engine.task(task_uuid(held.workflow.id, held.task.ordinal))
        lacking = await engine.database.hop(behind)
        await engine.running("w", None)
        folded = await engine.execution(workflow_id)

        assert [TaskStatus.SCHEDULED] == [task.status for task in new.tasks]
        assert [TaskStatus.COMPLETED, TaskStatus.IN_PROGRESS] == [t.status for t in moved.tasks]
        assert (moved.tasks[1], "w") == (task.task, task.pinned.definition.name)
        assert (1, 1) == lacking
        assert moved == folded

    run(tmp_path, body, timers=False)


def test_nobody_is_shown_an_execution_that_is_gone(tmp_path: Path) -> None:
    """Neither one that never was in a table nor one that still is."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        stored = await start(engine, "w")
        await engine.running("w", None)
        fresh = await start(engine, "w")
        kept = await start(engine, "w")
        for workflow_id in (stored, fresh):
            await engine.remove(workflow_id)
            with pytest.raises(NotFound):
                await engine.execution(workflow_id)
        assert kept == workflow_uuid((await engine.execution(kept)).workflow.id)

    run(tmp_path, body, timers=False)


def test_records_that_were_dropped_are_not_shown(tmp_path: Path) -> None:
    """A restart takes the tasks of the first run away, those in their table and the others."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        workflow_id = await start(engine, "w")
        await engine.running("w", None)
        await answer(engine, await claim(engine, "a"))
        await answer(engine, await claim(engine, "b"))
        await engine.restart(workflow_id, latest=False)
        view = await engine.execution(workflow_id)

        assert [("a", TaskStatus.SCHEDULED)] == [(t.ref, t.status) for t in view.tasks]

    run(tmp_path, body, timers=False)


def test_what_takes_long_is_left_to_the_reader(tmp_path: Path) -> None:
    """A wide execution would keep the disk thread from its work: the tables follow, then."""

    async def body(engine: Engine) -> None:
        fork = {
            "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
            "forkTasks": [[simple(f"t{number}")] for number in range(250)],
        }  # fmt: skip
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["t0"]}
        await define(engine, "wide", fork, join)
        workflow_id = await start(engine, "wide")
        found = await engine.execution(workflow_id)

        assert 252 == len(found.tasks)
        assert (0, 1) == await engine.database.hop(behind)

    run(tmp_path, body, timers=False)


def test_an_uncertain_disk_is_asked_through_its_tables(tmp_path: Path) -> None:
    """After a COMMIT that may have failed, memory does not know what is committed."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        await engine.reopen()
        view = await engine.execution(workflow_id)

        assert "w" == view.workflow.name

    run(tmp_path, body, timers=False)
