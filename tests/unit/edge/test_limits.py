"""Limits of task definitions through the whole engine: held to, signalled, restored."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from edge.engine import Engine
from edge.model.decision import LaunchNow, Terminate
from edge.model.executions import TaskStatus, WorkflowStatus, workflow_uuid
from edge.model.requests import StartRequest, TaskView
from edge.store.search import correlated
from edge.transactions import Transaction
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
    ended,
    engine_at,
    id_of,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock


async def _poll(engine: Engine, queue: str = "a", count: int = 99) -> list[TaskView]:
    return await engine.poll(queue, worker="w", count=count, timeout_ms=0)


def test_a_freed_slot_is_given_to_who_waits(tmp_path: Path) -> None:
    """A long poll gets the next task with the completion of the one before, not a minute later."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", concurrentExecLimit=1)
        await define(engine, "w", simple("a"))
        first, second = await start(engine, "w"), await start(engine, "w")
        (held,) = await _poll(engine)
        waiting = asyncio.ensure_future(engine.poll("a", worker="w", count=1, timeout_ms=20_000))
        await asyncio.sleep(0.05)
        hidden = (await engine.execution(second)).tasks[0].status
        assert not waiting.done()
        began = time.perf_counter()
        await answer(engine, held)
        (view,) = await waiting

        assert TaskStatus.SCHEDULED is hidden
        assert time.perf_counter() - began < 10
        assert WorkflowStatus.COMPLETED is (await engine.workflow(first)).status
        assert (await engine.workflow(second)).id == view.workflow.id

    run(tmp_path, body)


def test_everything_that_ends_a_task_frees_its_slot(tmp_path: Path) -> None:
    """Termination, a worker that gives back, a call-back, a failure, silence."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await define_task(
            engine, "a", concurrentExecLimit=1, responseTimeoutSeconds=5, retryDelaySeconds=0
        )
        await define(engine, "w", simple("a"))
        ids = [await start(engine, "w") for _ in range(4)]
        (held,) = await _poll(engine)
        await engine.terminate(ids[0], None)
        (given_back,) = await _poll(engine)
        engine.give_back([id_of(given_back)])
        (again,) = await _poll(engine)
        await answer(engine, again, TaskStatus.IN_PROGRESS, callback_after_s=60)
        (failed,) = await _poll(engine)
        await answer(engine, failed, TaskStatus.FAILED_WITH_TERMINAL_ERROR)
        (silent,) = await _poll(engine)
        assert [] == await _poll(engine)
        clock.pass_s(6)
        await engine.moments.expire_leases()
        views = await _poll(engine)

        assert [ids[1], ids[1], ids[2], ids[3]] == [
            workflow_uuid(view.workflow.id) for view in (given_back, again, failed, silent)
        ]
        assert [(1, silent.task.ref)] == [(view.task.attempt, view.task.ref) for view in views]
        assert ids[0] == workflow_uuid(held.workflow.id)

    run(tmp_path, body, clock=clock, timers=False)


def test_priority_counts_among_those_held_back(tmp_path: Path) -> None:
    """The slot goes to the highest priority, and within one to the oldest."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", concurrentExecLimit=1)
        await define(engine, "w", simple("a", inputParameters={"n": "${workflow.input.n}"}))
        for number, priority in enumerate((0, 0, 5, 99, 5)):
            await start(engine, "w", input={"n": number}, priority=priority)
        order: list[bytes] = []
        for _ in range(5):
            (view,) = await _poll(engine)
            order.append(view.task.input)
            await answer(engine, view)

        assert [b'{"n":%d}' % number for number in (3, 2, 4, 0, 1)] == order

    run(tmp_path, body)


def test_the_definition_at_the_start_counts(tmp_path: Path) -> None:
    """An execution keeps the limit that was pinned to it; newer ones have the new one."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", concurrentExecLimit=1)
        await define(engine, "w", simple("a"))
        for _ in range(2):
            await start(engine, "w")
        await define_task(engine, "a", concurrentExecLimit=3)
        for _ in range(3):
            await start(engine, "w")

        # One of the old ones, then as many of the new as their limit leaves room for.
        assert 3 == len(await _poll(engine))
        sizes = engine.queue_sizes()
        assert {"a": 2} == sizes

    run(tmp_path, body)


def test_a_rate_makes_tasks_wait_and_wakes_their_poller(tmp_path: Path) -> None:
    """Nothing is dropped, nothing goes early, and the third comes when its window opens."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", rateLimitPerFrequency=2, rateLimitFrequencyInSeconds=1)
        await define(engine, "w", simple("a"))
        for _ in range(3):
            await start(engine, "w")
        began = time.perf_counter()
        for view in await _poll(engine):
            await answer(engine, view)
        (third,) = await engine.poll("a", worker="w", count=9, timeout_ms=20_000)
        waited_s = time.perf_counter() - began

        # Conductor's own sweep would come after a minute.
        assert 0.9 < waited_s < 10
        assert third.task.ref == "a"

    run(tmp_path, body)


def test_a_wall_clock_that_jumps_opens_no_window(tmp_path: Path) -> None:
    """Windows are measured by the monotonic clock."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", rateLimitPerFrequency=1, rateLimitFrequencyInSeconds=60)
        await define(engine, "w", simple("a"))
        for _ in range(2):
            await start(engine, "w")
        before = await _poll(engine)
        clock._now_ms += 3_600_000
        jumped = await _poll(engine)
        clock.pass_s(60)
        after = await _poll(engine)

        assert [1, 0, 1] == [len(before), len(jumped), len(after)]

    run(tmp_path, body, clock=clock, timers=False)


def test_limits_hold_after_a_restart(tmp_path: Path) -> None:
    """What was handed out is handed out again, oldest first, and no more than the limit at once."""
    path = tmp_path / "baton.db"

    async def main() -> None:
        async with engine_at(path) as engine:
            await define_task(engine, "a", concurrentExecLimit=2)
            await define(engine, "w", simple("a"))
            ids = [await start(engine, "w") for _ in range(5)]
            before = await _poll(engine)
        async with engine_at(path) as engine:
            after = await _poll(engine)
            nothing = await _poll(engine)
            await answer(engine, after[0])
            (third,) = await _poll(engine)

        assert [view.workflow.id for view in before] == [view.workflow.id for view in after]
        assert 2 == len(after)
        assert [] == nothing
        assert (third.workflow.id in (view.workflow.id for view in after)) is False
        assert 5 == len(ids)

    asyncio.run(main())


def test_age_survives_a_restart(tmp_path: Path) -> None:
    """The order is that of scheduling, not that of the executions."""
    path = tmp_path / "baton.db"
    clock = ManualClock()

    async def main() -> None:
        async with engine_at(path, clock=clock) as engine:
            await define(engine, "old", simple("first"), simple("a"))
            await define(engine, "young", simple("a"))
            old = await start(engine, "old")
            clock.pass_s(1)
            await start(engine, "young")
            clock.pass_s(1)
            await answer(engine, await claim(engine, "first"))
        async with engine_at(path, clock=clock) as engine:
            views = await _poll(engine)
            key = (await engine.workflow(old)).id

        assert [False, True] == [view.workflow.id == key for view in views]

    asyncio.run(main())


def test_a_task_of_the_engine_that_waits_for_an_answer_keeps_its_slot(tmp_path: Path) -> None:
    """It is stored as in progress, so it counts after a restart too, until it ends."""
    path = tmp_path / "baton.db"

    async def main() -> None:
        async with engine_at(path) as engine:
            await define_task(engine, "call", concurrentExecLimit=1)
            step = {"name": "call", "taskReferenceName": "call", "type": "HTTP"}
            await define(engine, "w", step)
            first, second = await start(engine, "w"), await start(engine, "w")
            (view,) = await _poll(engine, "HTTP")
            await answer(engine, view, TaskStatus.IN_PROGRESS)
            held_back = await _poll(engine, "HTTP")
        async with engine_at(path) as engine:
            still = await _poll(engine, "HTTP")
            await engine.update_by_ref(first, "call", TaskStatus.COMPLETED, b"{}", None)
            (after,) = await _poll(engine, "HTTP")
            await answer(engine, after)

            assert WorkflowStatus.COMPLETED is await ended(engine, second)
        assert [] == held_back == still

    asyncio.run(main())


def test_sub_workflows_are_held_to_the_limits_of_their_tasks(tmp_path: Path) -> None:
    """The slot is occupied until the child has ended, and over a restart."""
    path = tmp_path / "baton.db"

    async def launch(engine: Engine) -> int:
        views = await _poll(engine, "SUB_WORKFLOW")
        for view in views:
            await engine.command(workflow_uuid(view.workflow.id), LaunchNow(view.task.ordinal))
        return len(views)

    async def main() -> None:
        async with engine_at(path) as engine:
            await define_task(engine, "c", concurrentExecLimit=1)
            await define(engine, "child", simple("a"))
            call = {
                "name": "c",
                "taskReferenceName": "c",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "child"},
            }
            await define(engine, "w", call)
            ids = [await start(engine, "w") for _ in range(2)]
            launched = [await launch(engine), await launch(engine)]
        async with engine_at(path) as engine:
            launched.append(await launch(engine))
            await answer(engine, await claim(engine, "a"))
            launched.append(await launch(engine))
            await answer(engine, await claim(engine, "a"))

            assert [WorkflowStatus.COMPLETED] * 2 == [
                (await engine.workflow(one)).status for one in ids
            ]
        assert [1, 0, 0, 1] == launched

    asyncio.run(main())


def test_what_is_queued_and_ended_in_one_commit_is_not_handed_out(tmp_path: Path) -> None:
    """Whichever of the two comes first in the batch."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        async with asyncio.TaskGroup() as group:
            # The first goes to the disk alone; the other two share the next commit.
            group.create_task(start(engine, "w"))
            await asyncio.sleep(0)
            request = StartRequest("w", correlation_id="c")
            # Not by ``start``, which lets others go first.
            started = group.create_task(engine.request(lambda t: t.start(request)))
            group.create_task(_terminate_all(engine))
        assert started.result()
        views = await _poll(engine)

        assert set() == {view.workflow.correlation_id for view in views} - {None}

    run(tmp_path, body)


async def _terminate_all(engine: Engine) -> None:
    """In the same transaction as what was asked for just before."""

    def terminate(transaction: Transaction) -> None:
        transaction.executions.flush(transaction.connection)
        for workflow in correlated(transaction.connection, "w", "c"):
            transaction.decide(workflow.id, Terminate())

    await engine.request(terminate)
