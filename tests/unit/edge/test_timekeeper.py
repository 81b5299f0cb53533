"""Timers, timeouts and leases: each fires at its time, by its policy, also after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.store import facts, timers
from edge.timekeeper import Timekeeper
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


async def _tick(engine: Engine) -> int:
    """What the timekeeper does when it wakes; returns the next deadline."""
    await engine.moments.expire_leases()
    engine.hand_over.queues.promote(engine.clock.elapsed_ms(), engine.clock.monotonic_ms())
    return await engine.moments.fire_due()


def _by_hand(tmp_path: Path, body: Any) -> None:
    """Run ``body(engine, clock)`` with a clock that stands still and no timekeeper."""
    clock = ManualClock()

    async def with_clock(engine: Engine) -> None:
        await body(engine, clock)

    run(tmp_path, with_clock, clock=clock, timers=False)


async def _statuses(engine: Engine, workflow_id: str) -> list[tuple[str, int, TaskStatus]]:
    view = await engine.execution(workflow_id)
    return [(task.ref, task.attempt, task.status) for task in view.tasks]


def test_a_timer_that_is_set_during_a_look_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look may have begun before its commit, and then knows nothing of it."""

    async def body(engine: Engine) -> None:
        read, looked, go_on = engine.database.read, asyncio.Event(), asyncio.Event()

        async def slow(function: Any) -> Any:
            found = await read(function)
            if function is timers.earliest_ms:
                looked.set()
                await go_on.wait()
            return found

        wait = {"name": "w", "taskReferenceName": "w", "type": "WAIT"}
        await define(engine, "w", wait | {"inputParameters": {"duration": "1 seconds"}})
        monkeypatch.setattr(engine.database, "read", slow)
        keeper = asyncio.create_task(Timekeeper(engine).run())
        await looked.wait()
        workflow_id = await start(engine, "w")
        go_on.set()
        await ended(engine, workflow_id)
        keeper.cancel()

    run(tmp_path, body, timers=False)


def test_a_silent_worker_loses_its_task(tmp_path: Path) -> None:
    """The response timeout starts a new attempt whatever the timeout policy says."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(
            engine, "a", responseTimeoutSeconds=10, retryCount=1, retryDelaySeconds=0,
            timeoutPolicy="TIME_OUT_WF",
        )  # fmt: skip
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        clock.pass_s(9.9)
        await _tick(engine)
        before = await _statuses(engine, workflow_id)
        clock.pass_s(0.1)
        await _tick(engine)
        tasks = (await engine.execution(workflow_id)).tasks

        assert [("a", 0, TaskStatus.IN_PROGRESS)] == before
        assert [TaskStatus.TIMED_OUT, TaskStatus.SCHEDULED] == [task.status for task in tasks]
        assert (
            f"responseTimeout: 10 exceeded for the taskId: {id_of(view)} with Task Definition: a"
            == tasks[0].reason
        )
        assert "tester" == tasks[0].worker
        assert 1 == (await claim(engine, "a")).task.attempt

    _by_hand(tmp_path, body)


def test_a_sign_of_life_extends_the_lease(tmp_path: Path) -> None:
    """The clock of the response timeout starts anew; nothing else changes."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(engine, "a", responseTimeoutSeconds=10)
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        clock.pass_s(8)
        await answer(engine, view, TaskStatus.IN_PROGRESS, {"x": 1}, extend_lease=True)
        clock.pass_s(8)
        engine.extend(id_of(view))
        await _tick(engine)
        still = await engine.execution(workflow_id)
        clock.pass_s(10)
        await _tick(engine)

        assert TaskStatus.IN_PROGRESS is still.tasks[0].status
        assert b"{}" == still.tasks[0].output
        assert ("a", 0, TaskStatus.TIMED_OUT) == (await _statuses(engine, workflow_id))[0]

    _by_hand(tmp_path, body)


def test_a_worker_that_outlived_a_restart_keeps_its_task(tmp_path: Path) -> None:
    """Its sign of life takes the task out of the queue again, and its silence still counts."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        clock = ManualClock()
        async with engine_at(path, clock=clock, timers=False) as engine:
            await define_task(engine, "a", responseTimeoutSeconds=10, retryDelaySeconds=0)
            await define(engine, "w", simple("a"))
            workflow_id = await start(engine, "w")
            view = await claim(engine, "a")
        async with engine_at(path, clock=clock, timers=False) as engine:
            await answer(engine, view, TaskStatus.IN_PROGRESS, extend_lease=True, worker="old")
            others = await engine.poll("a", worker="other", count=1, timeout_ms=0)
            held = await engine.execution(workflow_id)
            clock.pass_s(10)
            await _tick(engine)

            assert [] == others
            assert ("old", TaskStatus.IN_PROGRESS) == (held.tasks[0].worker, held.tasks[0].status)
            assert [TaskStatus.TIMED_OUT, TaskStatus.SCHEDULED] == [
                status for _, _, status in await _statuses(engine, workflow_id)
            ]
            await answer(engine, view, TaskStatus.IN_PROGRESS, extend_lease=True)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("policy", "task", "workflow"),
    [
        ("RETRY", TaskStatus.TIMED_OUT, WorkflowStatus.RUNNING),
        ("TIME_OUT_WF", TaskStatus.TIMED_OUT, WorkflowStatus.TIMED_OUT),
        ("ALERT_ONLY", TaskStatus.IN_PROGRESS, WorkflowStatus.RUNNING),
    ],
)
def test_run_time_of_an_attempt(
    tmp_path: Path, policy: str, task: TaskStatus, workflow: WorkflowStatus
) -> None:
    """timeoutSeconds counts from the first poll and acts by its policy; signs of life are no help."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(
            engine, "a", timeoutSeconds=20, responseTimeoutSeconds=15, timeoutPolicy=policy
        )
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        clock.pass_s(10)
        engine.extend(id_of(view))
        clock.pass_s(10)
        await _tick(engine)
        await _tick(engine)
        execution = await engine.execution(workflow_id)

        assert (task, workflow) == (execution.tasks[0].status, execution.workflow.status)

    _by_hand(tmp_path, body)


def test_poll_timeout_counts_only_while_nobody_has_the_task(tmp_path: Path) -> None:
    """A task that a worker holds has been polled."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(engine, "a", pollTimeoutSeconds=5, timeoutPolicy="TIME_OUT_WF")
        await define(engine, "w", simple("a"))
        held = await start(engine, "w")
        await claim(engine, "a")
        lonely = await start(engine, "w")
        clock.pass_s(5)
        next_ms = await _tick(engine)

        assert WorkflowStatus.RUNNING is (await engine.workflow(held)).status
        timed_out = await engine.workflow(lonely)
        assert WorkflowStatus.TIMED_OUT is timed_out.status
        assert (
            "Task poll timed out after 5 seconds. Poll timeout configured as 5 seconds. "
            "Timeout policy configured to TIME_OUT_WF"
        ) == timed_out.reason
        assert 0 == next_ms

    _by_hand(tmp_path, body)


def test_total_timeout_spans_all_attempts(tmp_path: Path) -> None:
    """The budget begins with the first scheduling and ends retries that are left."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(
            engine, "a", totalTimeoutSeconds=30, retryCount=9, retryDelaySeconds=0,
            timeoutPolicy="RETRY",
        )  # fmt: skip
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        clock.pass_s(20)
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="x")
        clock.pass_s(10)
        await _tick(engine)
        workflow = await engine.workflow(workflow_id)

        assert WorkflowStatus.TIMED_OUT is workflow.status
        assert "exceeded total timeout of 30 seconds" in (workflow.reason or "")

    _by_hand(tmp_path, body)


def test_workflow_timeout(tmp_path: Path) -> None:
    """TIME_OUT_WF ends the execution and cancels what is open; ALERT_ONLY never ends it."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define(engine, "strict", simple("a"), timeoutSeconds=60, timeoutPolicy="TIME_OUT_WF")
        await define(engine, "mild", simple("a"), timeoutSeconds=60)
        strict, mild = await start(engine, "strict"), await start(engine, "mild")
        clock.pass_s(60)
        await _tick(engine)
        workflow = await engine.workflow(strict)

        assert (
            "Workflow timed out after 60 seconds. Timeout configured as 60 seconds. "
            "Timeout policy configured to TIME_OUT_WF"
        ) == workflow.reason
        assert [("a", 0, TaskStatus.CANCELED)] == await _statuses(engine, strict)
        assert WorkflowStatus.RUNNING is (await engine.workflow(mild)).status

    _by_hand(tmp_path, body)


def test_in_a_pause_nobody_is_timed_out(tmp_path: Path) -> None:
    """Not the silent worker, not the task that nobody polls; after it both are, at once."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(engine, "a", responseTimeoutSeconds=10, retryCount=0)
        await define_task(engine, "b", pollTimeoutSeconds=10, timeoutPolicy="TIME_OUT_WF")
        await define(engine, "silent", simple("a"))
        await define(engine, "lonely", simple("b"))
        silent, lonely = await start(engine, "silent"), await start(engine, "lonely")
        await claim(engine, "a")
        for workflow_id in (silent, lonely):
            await engine.pause(workflow_id)
        for _ in range(3):
            clock.pass_s(20)
            await _tick(engine)
        during = [await _statuses(engine, workflow_id) for workflow_id in (silent, lonely)]
        for workflow_id in (silent, lonely):
            await engine.resume(workflow_id)
        clock.pass_s(1)
        await _tick(engine)

        assert [[("a", 0, TaskStatus.IN_PROGRESS)], [("b", 0, TaskStatus.SCHEDULED)]] == during
        assert WorkflowStatus.TIMED_OUT is (await engine.workflow(silent)).status
        assert WorkflowStatus.TIMED_OUT is (await engine.workflow(lonely)).status

    _by_hand(tmp_path, body)


def test_a_wait_ends_in_a_pause(tmp_path: Path) -> None:
    """What follows it waits for the resume."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        wait = {
            "name": "z", "taskReferenceName": "z", "type": "WAIT",
            "inputParameters": {"duration": "10 s"},
        }  # fmt: skip
        await define(engine, "w", wait, simple("a"))
        workflow_id = await start(engine, "w")
        await engine.pause(workflow_id)
        clock.pass_s(10)
        await _tick(engine)
        during = await _statuses(engine, workflow_id)
        await engine.resume(workflow_id)

        assert [("z", 0, TaskStatus.COMPLETED)] == during
        assert "a" == (await claim(engine, "a")).task.ref

    _by_hand(tmp_path, body)


def test_retry_delays_hide_the_attempt(tmp_path: Path) -> None:
    """The new attempt is in the list at once and in the queue after its delay."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(engine, "a", retryCount=2, retryDelaySeconds=10)
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="bad")
        now = await _statuses(engine, workflow_id)
        clock.pass_s(9)
        await _tick(engine)
        early = await engine.poll("a", worker="w", count=1, timeout_ms=0)
        clock.pass_s(1)
        await _tick(engine)
        view = await claim(engine, "a")

        assert [("a", 0, TaskStatus.FAILED), ("a", 1, TaskStatus.SCHEDULED)] == now
        assert [] == early
        assert ("bad", 10) == (view.task.reason, view.task.start_delay_s)

    _by_hand(tmp_path, body)


def test_timers_survive_a_restart(tmp_path: Path) -> None:
    """A WAIT that became due while the daemon was down fires once at the start, then never."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        clock = ManualClock()
        wait = {
            "name": "z", "taskReferenceName": "z", "type": "WAIT",
            "inputParameters": {"duration": "1 hour"},
        }  # fmt: skip
        async with engine_at(path, clock=clock, timers=False) as engine:
            await define(engine, "w", wait, simple("a"))
            workflow_id = await start(engine, "w")
        clock.pass_s(7_200)
        async with engine_at(path, clock=clock, timers=False) as engine:
            assert 0 == await _tick(engine)
            statuses = await _statuses(engine, workflow_id)

            assert [("z", 0, TaskStatus.COMPLETED), ("a", 0, TaskStatus.SCHEDULED)] == statuses

    asyncio.run(main())


def _waiting(name: str, **parameters: str) -> dict[str, Any]:
    return {
        "name": name, "taskReferenceName": name, "type": "WAIT", "inputParameters": parameters,
    }  # fmt: skip


def test_a_jump_forward_ends_no_wait(tmp_path: Path) -> None:
    """What shall last an hour lasts one, also over a restart; what waits for a moment has it."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        clock = ManualClock()
        async with engine_at(path, clock=clock, timers=False) as engine:
            await define(engine, "hour", _waiting("z", duration="1 hour"))
            await define(engine, "until", _waiting("z", until="2024-01-01 00:00"))
            hour, until = await start(engine, "hour"), await start(engine, "until")
            clock.pass_s(600)
            clock.jump_s(365 * 86_400)
            await _tick(engine)
            after = [(await engine.workflow(one)).status for one in (hour, until)]
        async with engine_at(path, clock=clock, timers=False) as engine:
            clock.pass_s(2_999)
            next_ms = await _tick(engine)
            before_its_end = (await engine.workflow(hour)).status
            clock.pass_s(1)
            await _tick(engine)

            assert [WorkflowStatus.RUNNING, WorkflowStatus.COMPLETED] == after
            assert WorkflowStatus.RUNNING is before_its_end
            assert clock.now_ms() == next_ms
            assert WorkflowStatus.COMPLETED is (await engine.workflow(hour)).status

    asyncio.run(main())


def test_a_jump_forward_uses_up_no_limit(tmp_path: Path) -> None:
    """Neither of a task nor of a workflow; each is used up when its time has passed."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        limits = {
            "polled": {"pollTimeoutSeconds": 100},
            "timed": {"timeoutSeconds": 100},
            "whole": {"totalTimeoutSeconds": 100},
        }
        for name, limit in limits.items():
            await define_task(engine, name, timeoutPolicy="TIME_OUT_WF", **limit)
            await define(engine, name, simple(name))
        await define(engine, "flow", simple("a"), timeoutSeconds=100, timeoutPolicy="TIME_OUT_WF")
        started = {name: await start(engine, name) for name in (*limits, "flow")}
        await claim(engine, "timed")

        async def running() -> set[str]:
            statuses = {name: (await engine.workflow(id_)).status for name, id_ in started.items()}
            return {name for name, status in statuses.items() if not status.terminal}

        clock.pass_s(50)
        clock.jump_s(86_400)
        await _tick(engine)
        clock.pass_s(49)
        await _tick(engine)
        before = await running()
        clock.pass_s(1)
        await _tick(engine)
        await _tick(engine)

        assert {*limits, "flow"} == before
        assert set() == await running()
        reason = (await engine.workflow(started["flow"])).reason or ""
        assert reason.startswith("Workflow timed out after 100 seconds.")

    _by_hand(tmp_path, body)


def test_a_jump_forward_does_not_shorten_a_retry_delay(tmp_path: Path) -> None:
    """Neither while the task waits in memory, nor when its queue is filled again."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        clock = ManualClock()

        async def waits(engine: Engine) -> bool:
            await _tick(engine)
            return [] == await engine.poll("a", worker="w", count=1, timeout_ms=0)

        async with engine_at(path, clock=clock, timers=False) as engine:
            await define_task(engine, "a", retryCount=2, retryDelaySeconds=10)
            await define(engine, "w", simple("a"))
            await start(engine, "w")
            await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="bad")
            clock.pass_s(2)
            clock.jump_s(86_400)
            first = await waits(engine)
        async with engine_at(path, clock=clock, timers=False) as engine:
            clock.pass_s(7)
            second = await waits(engine)
            clock.pass_s(1)
            await _tick(engine)

            assert first and second
            assert 1 == (await claim(engine, "a")).task.attempt

    asyncio.run(main())


def test_a_jump_is_written_while_something_waits(tmp_path: Path) -> None:
    """The power may fail before anything else is."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        timekeeper = Timekeeper(engine)
        await timekeeper._round()
        clock.jump_s(86_400)
        await timekeeper._round()
        noted = await engine.database.read(facts.next_boot)

        assert clock.jumps == noted.time.jumps
        assert clock.jumps

    _by_hand(tmp_path, body)


def test_a_jump_that_is_found_at_the_start_is_written(tmp_path: Path) -> None:
    """The clock was set while the program was down: the database does not say so yet."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        clock.jump_s(86_400)
        await Timekeeper(engine)._round()
        noted = await engine.database.read(facts.next_boot)

        assert clock.jumps == noted.time.jumps
        assert clock.jumps

    _by_hand(tmp_path, body)


def test_an_earlier_timer_wakes_the_timekeeper(tmp_path: Path) -> None:
    """A short WAIT that starts while the timekeeper sleeps for a long one is not late."""

    async def body(engine: Engine) -> None:
        for name, duration in (("long", "1 hour"), ("short", "1 sec")):
            await define(
                engine,
                name,
                {
                    "name": "z", "taskReferenceName": "z", "type": "WAIT",
                    "inputParameters": {"duration": duration},
                },
            )  # fmt: skip
        await start(engine, "long")

        assert WorkflowStatus.COMPLETED is await ended(engine, await start(engine, "short"), 5)

    run(tmp_path, body)


def test_with_nothing_waiting_the_timekeeper_sleeps(tmp_path: Path) -> None:
    """No deadline, no wake-up."""

    async def body(engine: Engine) -> None:
        timekeeper = Timekeeper(engine)

        assert await timekeeper._round() is None

    run(tmp_path, body, timers=False)


def test_a_disk_that_refuses_postpones_timers(tmp_path: Path) -> None:
    """The loop outlives storage trouble and tries again."""

    async def body(engine: Engine) -> None:
        timekeeper = Timekeeper(engine)
        rounds = 0

        async def refuse() -> float | None:
            nonlocal rounds
            rounds += 1
            timekeeper.wake()
            if rounds < 3:
                raise StorageUnavailable("full")
            raise asyncio.CancelledError

        timekeeper._round = refuse  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await timekeeper.run()

        assert 3 == rounds

    run(tmp_path, body, timers=False)
