"""What is due is decided on, and a decision that waits for a slow script holds up no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge import moments
from edge.engine import Engine
from edge.group_commit import Ticket
from edge.model.errors import StorageUnavailable
from edge.model.executions import TaskStatus, WorkflowStatus, workflow_uuid
from edge.store.slots import TaskId
from edge.timekeeper import Timekeeper
from tests.unit.edge.engine_house import (
    claim,
    define,
    define_task,
    ended,
    id_of,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock

_TAKES_LONG = "const end = Date.now() + 500; while (Date.now() < end); 'late'"


def _by_hand(tmp_path: Path, body: Any) -> None:
    """Run ``body(engine, clock)`` with a clock that stands still and no timekeeper."""
    clock = ManualClock()

    async def with_clock(engine: Engine) -> None:
        await body(engine, clock)

    run(tmp_path, with_clock, clock=clock, timers=False)


def _wait(ref: str, seconds: int) -> dict[str, Any]:
    return {
        "name": ref, "taskReferenceName": ref, "type": "WAIT",
        "inputParameters": {"duration": f"{seconds}s"},
    }  # fmt: skip


def _slow(ref: str) -> dict[str, Any]:
    return {
        "name": ref, "taskReferenceName": ref, "type": "INLINE",
        "inputParameters": {"expression": _TAKES_LONG},
    }  # fmt: skip


async def _status(engine: Engine, workflow_id: str) -> WorkflowStatus:
    return (await engine.workflow(workflow_id)).status


def test_timers_do_not_wait_for_each_others_scripts(tmp_path: Path) -> None:
    """What is due with a slow script, or after it, fires meanwhile; what is parked fires once."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define(engine, "slow", _wait("w", 5), _slow("s"))
        await define(engine, "quick", _wait("w", 5))
        await define(engine, "later", _wait("w", 6))
        slow, quick, later = [await start(engine, name) for name in ("slow", "quick", "later")]
        clock.pass_s(5)
        next_ms = await engine.moments.fire_due()
        first = [await _status(engine, one) for one in (slow, quick, later)]
        clock.pass_s(1)
        await engine.moments.fire_due()
        second = [await _status(engine, one) for one in (slow, quick, later)]
        fired = engine.counters()["timers"]
        last = await ended(engine, slow)

        running, done = WorkflowStatus.RUNNING, WorkflowStatus.COMPLETED
        assert [running, done, running] == first
        assert [running, done, done] == second
        assert done == last
        assert 3 == fired
        # One that is parked is still due: the others are looked at in a moment.
        assert clock.now_ms() - 1_000 < next_ms <= clock.now_ms()
        assert 0 == await engine.moments.fire_due()

    _by_hand(tmp_path, body)


def test_leases_do_not_wait_for_each_others_scripts(tmp_path: Path) -> None:
    """A silent worker's task leads to a slow script; the next silent worker is noticed meanwhile."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        for name in ("a", "b"):
            await define_task(engine, name, responseTimeoutSeconds=10, retryCount=0)
        await define(engine, "slow", simple("a", optional=True), _slow("s"))
        await define(engine, "quick", simple("b"))
        slow, quick = await start(engine, "slow"), await start(engine, "quick")
        held = [await claim(engine, "a"), await claim(engine, "b")]
        clock.pass_s(10)
        await engine.moments.expire_leases()
        meanwhile = [await _status(engine, one) for one in (slow, quick)]
        last = await ended(engine, slow)

        assert [WorkflowStatus.RUNNING, WorkflowStatus.TIMED_OUT] == meanwhile
        assert WorkflowStatus.COMPLETED == last
        assert 2 == len({id_of(view) for view in held})
        assert {} == engine.hand_over.leases.all()

    _by_hand(tmp_path, body)


def _read_only(connection: Any, *, on: bool) -> None:
    connection.execute(f"PRAGMA query_only = {'ON' if on else 'OFF'}")


def test_a_disk_that_refuses_loses_no_moment(tmp_path: Path) -> None:
    """Timers are due still, and leases are looked at again."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define_task(engine, "a", responseTimeoutSeconds=10, retryCount=0)
        await define(engine, "w", simple("a"))
        await define(engine, "t", _wait("w", 10))
        ids = [await start(engine, name) for name in ("w", "w", "t", "t")]
        for _ in range(2):
            await claim(engine, "a")
        clock.pass_s(10)
        await engine.database.hop(lambda c: _read_only(c, on=True))
        for act in (engine.moments.expire_leases, engine.moments.fire_due):
            with pytest.raises(StorageUnavailable):
                await act()
        await engine.database.hop(lambda c: _read_only(c, on=False))
        clock.pass_s(1)
        await engine.moments.expire_leases()
        await engine.moments.fire_due()

        assert [WorkflowStatus.TIMED_OUT] * 2 + [WorkflowStatus.COMPLETED] * 2 == [
            await _status(engine, one) for one in ids
        ]

    _by_hand(tmp_path, body)


def test_an_execution_that_is_gone_is_passed_by(tmp_path: Path) -> None:
    """It was removed after it was seen to be due; the others fire."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define(engine, "t", _wait("w", 10))
        gone, stays = await start(engine, "t"), await start(engine, "t")
        clock.pass_s(10)
        read = engine.database.read

        async def outrun(function: Any) -> Any:
            found = await read(function)
            engine.database.read = read  # type: ignore[method-assign]
            await engine.remove(gone)
            return found

        engine.database.read = outrun  # type: ignore[method-assign]
        await engine.moments.fire_due()

        assert WorkflowStatus.COMPLETED == await _status(engine, stays)

    _by_hand(tmp_path, body)


def test_a_timer_whose_decision_is_refused_later_is_due_still(tmp_path: Path) -> None:
    """It was parked, and when its script had been worked out, the disk refused."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define(engine, "slow", _wait("w", 5), _slow("s"))
        workflow_id = await start(engine, "slow")
        clock.pass_s(5)
        await engine.moments.fire_due()
        await engine.database.hop(lambda c: _read_only(c, on=True))
        while engine.moments._parked:
            await asyncio.sleep(0.01)
        await engine.database.hop(lambda c: _read_only(c, on=False))
        await engine.moments.fire_due()

        assert WorkflowStatus.COMPLETED == await ended(engine, workflow_id)

    _by_hand(tmp_path, body)


def test_the_timekeeper_sleeps_while_a_timer_is_parked(tmp_path: Path) -> None:
    """It does not ask again and again for what is on its way."""

    async def body(engine: Engine) -> None:
        await define(engine, "slow", _wait("w", 0), _slow("s"))
        workflow_id = await start(engine, "slow")
        reads = 0
        read = engine.database.read

        async def counted(function: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(function)

        engine.database.read = counted  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(Timekeeper(engine).run())
            status = await ended(engine, workflow_id)
            loop.cancel()

        assert WorkflowStatus.COMPLETED == status
        assert reads < 100
        tasks = (await engine.execution(workflow_id)).tasks
        assert [TaskStatus.COMPLETED] * 2 == [task.status for task in tasks]

    run(tmp_path, body, timers=False)


def test_a_timer_whose_decision_breaks_stops_no_other(tmp_path: Path) -> None:
    """It is due still, and is tried again after a while, not at once and not never."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await define(engine, "t", _wait("w", 5))
        bad, good = await start(engine, "t"), await start(engine, "t")
        fire, tries = engine.moments._fire, 0

        def fragile(task_id: TaskId) -> Ticket[Any]:
            nonlocal tries
            if workflow_uuid(task_id[0]) != bad:
                return fire(task_id)
            tries += 1
            return engine.moments._commits.submit(lambda _: 1 // 0)

        engine.moments._fire = fragile  # type: ignore[method-assign]
        clock.pass_s(5)
        for _ in range(2):
            assert 0 < await engine.moments.fire_due()
        first = [tries, await _status(engine, bad), await _status(engine, good)]
        later = await start(engine, "t")
        clock.pass_s(moments._AFTER_FAULT_MS // 1_000)
        await engine.moments.fire_due()
        second = [tries, await _status(engine, later)]
        engine.moments._fire = fire  # type: ignore[method-assign]
        clock.pass_s(moments._AFTER_FAULT_MS // 1_000)

        assert [1, WorkflowStatus.RUNNING, WorkflowStatus.COMPLETED] == first
        assert [2, WorkflowStatus.COMPLETED] == second
        assert 0 == await engine.moments.fire_due()
        assert WorkflowStatus.COMPLETED == await _status(engine, bad)

    _by_hand(tmp_path, body)
