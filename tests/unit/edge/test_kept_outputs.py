"""Kept outputs through the whole engine: across executions and restarts, expired, cleared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.decision import UpdateTask
from edge.model.errors import Conflict
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.transactions import Transaction
from tests.unit.edge.engine_house import answer, claim, define, engine_at, run, simple, start
from tests.unit.edge.manual_clock import ManualClock


async def _define(engine: Engine) -> None:
    step = simple(
        "a",
        inputParameters={"x": "${workflow.input.x}"},
        cacheConfig={"key": "${x}", "ttlInSecond": 60},
    )
    await define(engine, "w", step)


async def _status(engine: Engine, workflow_id: str) -> WorkflowStatus:
    return (await engine.workflow(workflow_id)).status


def test_a_second_execution_need_not_do_it_again(tmp_path: Path) -> None:
    """Within the time to live it is complete when its start is answered; afterwards not."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await _define(engine)
        await start(engine, "w", input={"x": 1})
        await answer(engine, await claim(engine, "a"), output={"n": 1})
        clock.pass_s(59)
        same = await start(engine, "w", input={"x": 1})
        other = await start(engine, "w", input={"x": 2})
        clock.pass_s(1)
        late = await start(engine, "w", input={"x": 1})
        view = await engine.execution(same)

        assert (WorkflowStatus.COMPLETED, b'{"n":1}') == (
            view.workflow.status,
            view.workflow.output,
        )
        assert [TaskStatus.COMPLETED] == [task.status for task in view.tasks]
        assert WorkflowStatus.RUNNING is await _status(engine, other)
        assert WorkflowStatus.RUNNING is await _status(engine, late)
        assert {"a": 2} == engine.queue_sizes()

    run(tmp_path, body, clock=clock, timers=False)


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    """It was written with the decision that completed its task."""
    path = tmp_path / "baton.db"

    async def main() -> None:
        async with engine_at(path) as engine:
            await _define(engine)
            await start(engine, "w", input={"x": 1})
            await answer(engine, await claim(engine, "a"), output={"n": 1})
        async with engine_at(path) as engine:
            again = await start(engine, "w", input={"x": 1})

            assert WorkflowStatus.COMPLETED is await _status(engine, again)

    asyncio.run(main())


def test_it_is_there_within_the_same_commit(tmp_path: Path) -> None:
    """A start that shares the batch with the completion finds it."""

    async def body(engine: Engine) -> None:
        await _define(engine)
        await start(engine, "w", input={"x": 1})
        view = await claim(engine, "a")
        async with asyncio.TaskGroup() as group:
            group.create_task(start(engine, "w", input={"x": 9}))
            await asyncio.sleep(0)
            group.create_task(answer(engine, view, output={"n": 1}))
            again = group.create_task(start(engine, "w", input={"x": 1}))

        assert WorkflowStatus.COMPLETED is await _status(engine, again.result())

    run(tmp_path, body)


def test_a_request_that_fails_keeps_nothing(tmp_path: Path) -> None:
    """The output of a completion that was undone is no output."""

    async def body(engine: Engine) -> None:
        await _define(engine)
        await start(engine, "w", input={"x": 1})
        view = await claim(engine, "a")

        def fails(transaction: Transaction) -> None:
            command = UpdateTask(view.task.ordinal, TaskStatus.COMPLETED, b'{"n":1}')
            transaction.decide(view.workflow.id, command)
            raise Conflict("after all not")

        with pytest.raises(Conflict):
            await engine.request(fails)
        again = await start(engine, "w", input={"x": 1})

        assert WorkflowStatus.RUNNING is await _status(engine, again)

    run(tmp_path, body)
