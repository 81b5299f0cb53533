"""Ticks on the disk thread: each starts its workflow once or says why not, and none holds up others."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.model.executions import WorkflowStatus
from edge.schedules import Schedules
from edge.scripts import Evaluators
from edge.store import schedules as store
from edge.store.schedules import Timed
from tests.unit.edge.engine_house import define, simple
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.schedule_house import (
    NOON_MS,
    booted,
    by_hand,
    pass_s,
    records,
    schedule,
    started,
    ticks,
)


def test_a_tick_starts_its_workflow(tmp_path: Path) -> None:
    """At its moment, once; the execution knows where it comes from."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        saved = await schedules.put(schedule(createdBy="ada"))
        await pass_s(schedules, clock, 0.499)
        before = await started(engine)
        await pass_s(schedules, clock, 0.003)
        await pass_s(schedules, clock, 5)
        (record,) = await records(schedules)
        assert record.workflow_id is not None
        execution = await engine.execution(record.workflow_id)

        assert NOON_MS == saved.next_ms
        assert (0, 1) == (before, await started(engine))
        assert ("EXECUTED", "flow", NOON_MS, NOON_MS + 2, "UTC") == (
            record.state, record.workflow, record.scheduled_ms, record.executed_ms, record.zone_id,
        )  # fmt: skip
        assert {
            "_startedByScheduler": "s",
            "_scheduledTime": NOON_MS,
            "_executedTime": NOON_MS + 2,
            "_executionId": record.id,
            "_schedulerCron": "*/10 * * * * * UTC",
        } == msgspec.json.decode(execution.workflow.input)
        assert "ada" == execution.workflow.created_by
        timed = await schedules.get("s")
        assert (NOON_MS + 10_000, NOON_MS, 1) == (timed.next_ms, timed.settled_ms, timed.ticks)
        assert {"executed": 1, "failed": 0, "dropped": 0} == schedules.counters()

    by_hand(tmp_path, body)


def test_a_tick_that_fails_is_recorded_and_the_schedule_goes_on(tmp_path: Path) -> None:
    """An unknown workflow, and an idempotency key that is in use."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule("unknown", startWorkflowRequest={"name": "nobody"}))
        busy = {"name": "flow", "idempotencyKey": "k", "idempotencyStrategy": "FAIL_ON_RUNNING"}
        await schedules.put(schedule("busy", startWorkflowRequest=busy))
        await pass_s(schedules, clock, 11)
        unknown, busy_records = (
            await records(schedules, "unknown"),
            await records(schedules, "busy"),
        )
        await define(engine, "nobody", simple("work"))
        await pass_s(schedules, clock, 10)

        assert ["FAILED", "FAILED"] == [one.state for one in unknown]
        assert "No such workflow defined. name=nobody" in (unknown[0].reason or "")
        assert unknown[0].workflow_id is None
        assert ["EXECUTED", "FAILED"] == [one.state for one in busy_records]
        assert "idempotency key k" in (busy_records[1].reason or "")
        assert "EXECUTED" == (await records(schedules, "unknown"))[-1].state
        assert 4 == schedules.counters()["failed"]

    by_hand(tmp_path, body)


def test_a_fault_of_ours_is_one_tick_that_fails(tmp_path: Path) -> None:
    """It must not end the device, nor keep other schedules from their ticks."""

    class Broken(Evaluators):
        """Scripts that fail in a way that nobody foresaw."""

        def question(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("a fault of ours")

    async def main() -> None:
        clock = ManualClock(NOON_MS - 500)
        engine = await Engine.open(tmp_path / "baton.db", scripts=Broken(), clock=clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.run())
            script = {"evaluatorType": "javascript", "expression": "1"}
            await define(
                engine, "flow", simple("i", type="INLINE", inputParameters=script),
            )  # fmt: skip
            await define(engine, "sound", simple("work"))
            schedules = await booted(engine)
            await schedules.put(schedule("broken"))
            await schedules.put(schedule("sound", startWorkflowRequest={"name": "sound"}))
            await pass_s(schedules, clock, 11)

            broken = await records(schedules, "broken")
            assert ["FAILED", "FAILED"] == [one.state for one in broken]
            assert "ZeroDivisionError: a fault of ours" == broken[0].reason
            assert [0, 10] == await ticks(schedules, "sound")
            assert 2 == sum((await engine.status_counts()).values())
            await engine.close()

    # To show the faults with all that was at hand takes longer than to get over them.
    with structlog.testing.capture_logs():
        asyncio.run(main())


def test_what_is_in_time_goes_before_what_catches_up(tmp_path: Path) -> None:
    """A transaction holds a few ticks of each schedule, those that came due last first."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        for number in range(8):
            await schedules.put(
                schedule(f"old{number}", "* * * * * *", runCatchupScheduleInstances=True)
            )
        await schedules.put(schedule("punctual", "0 1 * * * *"))
        clock.pass_s(60.5)
        turns = 0
        while 0 < schedules._next_ms <= clock.now_ms() or not turns:
            turns += 1
            schedules._next_ms = schedules._next_ms or 1
            await schedules._turn(clock.now_ms() - 1_000)
            if turns == 1:
                first = await ticks(schedules, "punctual")
                portions = [len(await records(schedules, f"old{number}")) for number in range(8)]

        assert [60] == first
        assert (9, 10) == (min(one for one in portions if one), max(portions))
        assert 49 == sum(portions)
        for number in range(8):
            assert [float(second) for second in range(61)] == await ticks(schedules, f"old{number}")
        assert 10 <= turns < 20

    by_hand(tmp_path, body)


def test_a_schedule_that_this_release_cannot_read_is_set_aside(tmp_path: Path) -> None:
    """After a rollback others go on, and the reason stands in the schedule."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        zone = msgspec.structs.replace(schedule("zone"), zone_id="Mars/Olympus")
        cron = msgspec.structs.replace(schedule("cron"), cron_expression="@tomorrow")
        for one in (zone, cron):
            await engine.request(lambda t, s=one: store.put(t.connection, Timed(s, NOON_MS)))  # type: ignore[misc]
        await schedules.put(schedule())
        await pass_s(schedules, clock, 1)
        aside = [(await schedules.get(name)).schedule for name in ("zone", "cron")]

        assert [0] == await ticks(schedules)
        assert [True, True] == [one.paused for one in aside]
        assert "there is no time zone 'Mars/Olympus'" in (aside[0].paused_reason or "")
        assert "must consist of 6 fields" in (aside[1].paused_reason or "")

    by_hand(tmp_path, body)


def test_a_workflow_that_ends_at_once_is_started_by_each_tick(tmp_path: Path) -> None:
    """Its end belongs to the same transaction as the tick."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        value = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE"}
        await define(engine, "flow", value)
        await schedules.put(schedule())
        await pass_s(schedules, clock, 21)
        ids = [one.workflow_id or "" for one in await records(schedules)]
        ends = [(await engine.workflow(workflow_id)).status for workflow_id in ids]

        assert [WorkflowStatus.COMPLETED] * 3 == ends

    by_hand(tmp_path, body)


def test_what_the_disk_refuses_has_not_happened(tmp_path: Path) -> None:
    """The tick runs when the disk takes it: late, and once."""
    # No compression makes this fit.
    noise = random.Random(1).randbytes(25_000).hex()

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule(startWorkflowRequest={"name": "flow", "input": {"x": noise}}))
        await schedules._round()
        pages = await engine.database.hop(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await engine.database.hop(lambda c: c.execute(f"PRAGMA max_page_count = {pages}"))
        clock.pass_s(1)
        with pytest.raises(StorageUnavailable):
            await schedules._round()
        nothing = await ticks(schedules), await started(engine)
        clock.pass_s(3)
        await engine.database.hop(lambda c: c.execute("PRAGMA max_page_count = 100000"))
        await schedules._round()

        assert ([], 0) == nothing
        assert [0] == await ticks(schedules)
        assert 1 == await started(engine)

    by_hand(tmp_path, body)
