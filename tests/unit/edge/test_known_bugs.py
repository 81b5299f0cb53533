"""What users of other engines have suffered from, by name; each test says what does not happen here.

The numbers are those of issues of Netflix/conductor (N) and conductor-oss/conductor (O).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.decider.decide import decide
from edge.engine import Engine
from edge.model.decision import Lease, TimerDue, UpdateTask
from edge.model.executions import Task, TaskStatus, WorkflowStatus, workflow_uuid
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    ended,
    engine_at,
    id_of,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.playbook import Playbook, fork, join, sources, step

LEASE = Lease("w", 1, 1)


async def _work(engine: Engine, queue: str, count: int) -> None:
    """Take and complete so many tasks, whenever they come."""
    done = 0
    while done < count:
        for view in await engine.poll(queue, worker="w", count=20, timeout_ms=5_000):
            await answer(engine, view)
            done += 1


def test_a_burst_of_starts_leaves_nothing_stuck(tmp_path: Path) -> None:
    """N1964, N3700: 300 starts at once, and 20 to 30 never went on.

    No sweeper helps here: the timekeeper does not even run.
    """

    async def body(engine: Engine) -> None:
        tasks: list[dict[str, Any]] = [
            {
                "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
                "forkTasks": [[simple("a")], [simple("b")]],
            },
            {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "b"]},
            simple("c"),
        ]  # fmt: skip
        await define(engine, "w", *tasks)
        async with asyncio.TaskGroup() as group:
            for _ in range(300):
                group.create_task(start(engine, "w"))
            for queue in ("a", "b", "c"):
                group.create_task(_work(engine, queue, 300))

        assert {"COMPLETED": 300} == await engine.status_counts()

    run(tmp_path, body, timers=False)


def test_what_is_scheduled_is_in_its_queue_after_a_restart(tmp_path: Path) -> None:
    """N65, N891, N1278, N1830: SCHEDULED, but in no queue, until somebody repaired it."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            await define(engine, "w", simple("a"))
            one = await start(engine, "w")
            await claim(engine, "a")
        async with engine_at(tmp_path / "baton.db") as engine:
            assert {"a": 1} == engine.queue_sizes()
            await answer(engine, await claim(engine, "a"))
            assert WorkflowStatus.COMPLETED is await ended(engine, one)

    asyncio.run(main())


def test_no_task_of_a_removed_execution_is_ever_polled(tmp_path: Path) -> None:
    """N1260, N3644: ids of dead tasks stayed in the queues, and every poll tripped over them."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        gone, ended_, kept = [await start(engine, "w") for _ in range(3)]
        await engine.remove(gone)
        await engine.terminate(ended_, "enough")
        views = await engine.poll("a", worker="w", count=9, timeout_ms=0)

        assert [kept] == [workflow_uuid(view.workflow.id) for view in views]
        assert {} == engine.queue_sizes()

    run(tmp_path, body)


def test_a_join_of_many_ends_with_its_last_branch() -> None:
    """N1957, N2455, N2758, O18: JOINs of thousands of branches ended early, late or never."""
    play = Playbook(
        step("d", "FORK_JOIN_DYNAMIC", inputParameters={"forkTaskInputs": "${workflow.input.l}",
                                                         "forkTaskName": "t"}),
        join("j"),
        step("z"),
    )  # fmt: skip
    play.start({"l": [{} for _ in range(1_000)]})
    for number in range(999):
        # Not through the playbook, whose laws look at all records after each decision.
        command = UpdateTask(play.task(f"_t_{number}").ordinal, TaskStatus.COMPLETED)
        decide(play.snapshot, command, play.now_ms, sources())
    assert "IN_PROGRESS" == play.task("j").status
    decision = play.complete("_t_999")

    assert ("COMPLETED", "SCHEDULED") == (play.task("j").status, play.task("z").status)
    assert 3 == len(decision.tasks)


def test_a_wait_in_a_loop_is_one_wait_an_iteration() -> None:
    """N3876, N3402: WAITs in a DO_WHILE multiplied, and those of more than 30 s never ended."""
    wait = step("w", "WAIT", inputParameters={"duration": "40 days"})
    play = Playbook(step("l", "DO_WHILE", loopOver=[wait], inputParameters={"items": [1, 2, 3]}))
    play.start()
    for number in (1, 2, 3):
        assert 1 == sum(task.kind == "WAIT" for task in play.snapshot.open_tasks())
        play.after(40 * 86_400).timer(f"w__{number}")

    assert "COMPLETED" == play.status


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_every_attempt_is_held_to_its_response_timeout(attempt: int) -> None:
    """O245: the lease of a later attempt was looked at once, and lived for hours."""
    settings = {"retryCount": 3, "retryDelaySeconds": 0, "responseTimeoutSeconds": 600}
    play = Playbook(step("a", settings=settings))
    play.start()
    for _ in range(attempt + 1):
        play.after(601).silent("a", LEASE)

    assert attempt + 1 == play.task("a").attempt


def test_a_timed_out_attempt_is_in_no_queue(tmp_path: Path) -> None:
    """N210, N362, N3227: the attempt that had timed out was polled beside the one after it."""
    clock = ManualClock()

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db", clock=clock, timers=False) as engine:
            await define(
                engine, "w",
                simple("a", taskDefinition={"name": "a", "retryCount": 1, "retryDelaySeconds": 0,
                                            "responseTimeoutSeconds": 5}),
            )  # fmt: skip
            await start(engine, "w")
            first = await claim(engine, "a")
            clock.pass_s(6)
            await engine.moments.expire_leases()
            again = await engine.poll("a", worker="w", count=9, timeout_ms=0)

            assert [1] == [view.task.attempt for view in again]
            await answer(engine, first)
            late = await engine.task(id_of(first))
            assert TaskStatus.TIMED_OUT is late.task.status

    asyncio.run(main())


def test_an_answer_that_came_in_time_is_not_timed_out() -> None:
    """N1249, O322: TIMED_OUT although the worker had answered. Whatever is committed first counts."""
    settings = {"retryCount": 0, "timeoutSeconds": 10, "responseTimeoutSeconds": 5}
    play = Playbook(step("a", settings=settings))
    play.start()
    play.after(10).complete("a", lease=LEASE)
    late = play.do(TimerDue(1, LEASE))

    assert late.empty
    assert "COMPLETED" == play.status


def test_branches_that_fail_together_are_each_retried() -> None:
    """N1851: the retry of one branch was skipped because another had failed as well."""
    settings = {"retryCount": 1, "retryDelaySeconds": 0}
    play = Playbook(
        fork("f", [step("a", settings=settings)], [step("b", settings=settings)]),
        join("j", "a", "b"),
    )
    play.start()
    play.fail("a")
    play.fail("b")

    assert (1, 1) == (play.task("a").attempt, play.task("b").attempt)
    play.complete("b")
    play.complete("a")
    assert "COMPLETED" == play.status


def test_a_paused_child_holds_its_parent_up(tmp_path: Path) -> None:
    """N402: the JOIN of the parent went on while the sub-workflow was paused."""

    async def body(engine: Engine) -> None:
        child = step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
        await define(engine, "child", simple("a"), simple("z"))
        await define(engine, "parent", fork("f", [child], [simple("b")]), join("j", "c", "b"))
        parent = await start(engine, "parent")

        async def tasks() -> dict[str, Task]:
            return {task.ref: task for task in (await engine.execution(parent)).tasks}

        inner = workflow_uuid((await tasks())["c"].child)
        await engine.pause(inner)
        await answer(engine, await claim(engine, "a"))
        await answer(engine, await claim(engine, "b"))
        held = await tasks()

        assert WorkflowStatus.PAUSED is (await engine.workflow(inner)).status
        assert ("IN_PROGRESS", "COMPLETED") == (held["c"].status, held["b"].status)
        assert "IN_PROGRESS" == held["j"].status
        await engine.resume(inner)
        await answer(engine, await claim(engine, "z"))
        assert "COMPLETED" == (await tasks())["j"].status
        assert WorkflowStatus.COMPLETED is await ended(engine, parent)

    run(tmp_path, body)


def test_optional_tasks_that_all_fail_do_not_leave_it_running() -> None:
    """N971: executions of nothing but optional and skipped tasks stayed RUNNING for ever."""
    settings = {"retryCount": 0}
    play = Playbook(*(step(ref, optional=True, settings=settings) for ref in "abc"))
    play.start()
    for ref in "abc":
        play.fail(ref)

    assert "COMPLETED" == play.status
