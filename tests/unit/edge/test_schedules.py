"""The scheduler's loop: ticks in time, missed ones, jumps of the clock, restarts, trouble."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import Overloaded, StorageUnavailable
from edge.model.schedules import Schedule
from edge.schedules import Schedules
from tests.unit.edge.engine_house import define, engine_at, run, simple
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.schedule_house import (
    NOON_MS,
    booted,
    by_hand,
    pass_s,
    schedule,
    ticks,
)

# In time.


def test_the_loop_sleeps_until_the_next_tick(tmp_path: Path) -> None:
    """A millisecond beyond it, a second at most, and without end when no tick is ahead."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        idle = await schedules._round()
        await schedules.put(schedule())
        near = await schedules._round()
        await pass_s(schedules, clock, 0.5)
        far = await schedules._round()
        await schedules.put(schedule("over", scheduleEndTime=NOON_MS + 10_000))
        await schedules.remove("s")
        await pass_s(schedules, clock, 11)
        over = await schedules._round()

        assert (None, 0.501, 1.0, None) == (idle, near, far, over)
        assert [10] == await ticks(schedules, "over")
        assert (await schedules.get("over")).next_ms is None

    by_hand(tmp_path, body)


def test_a_busy_device_runs_its_ticks_late(tmp_path: Path) -> None:
    """What came due while the loop did not get its turn has not been missed."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule())
        await schedules._round()
        clock.pass_s(25)
        await schedules._round()

        assert [0, 10, 20] == await ticks(schedules)

    by_hand(tmp_path, body)


# Missed.


def _off(folder: Path, seconds: float, schedule: Schedule) -> tuple[list[float], dict[str, int]]:
    """Ticks of a schedule whose device is off for a while after its first tick, and the counts."""
    clock = ManualClock(NOON_MS - 500)

    async def main() -> tuple[list[float], dict[str, int]]:
        async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:
            await define(engine, "flow", simple("work"))
            schedules = await booted(engine)
            await schedules.put(schedule)
            await pass_s(schedules, clock, 1)
        clock.pass_s(seconds)
        async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:
            schedules = await booted(engine)
            await pass_s(schedules, clock, 10)
            return await ticks(schedules), dict(schedules.counters())

    return asyncio.run(main())


def test_ticks_that_were_missed_are_dropped(tmp_path: Path) -> None:
    """The schedule goes on with the next one, and how many are gone is counted."""
    ticks, counts = _off(tmp_path, 33, schedule())

    assert [0, 40] == ticks
    assert 3 == counts["dropped"]


def test_ticks_that_were_missed_are_caught_up_with(tmp_path: Path) -> None:
    """Each of them once, the oldest first."""
    ticks, counts = _off(tmp_path, 33, schedule(runCatchupScheduleInstances=True))

    assert [0, 10, 20, 30, 40] == ticks
    assert (4, 0) == (counts["executed"], counts["dropped"])


def test_catching_up_takes_more_than_one_transaction(tmp_path: Path) -> None:
    """Many missed ticks run in portions, none twice and none left out."""
    every_second = schedule(cron="* * * * * *", runCatchupScheduleInstances=True)
    ticks, _ = _off(tmp_path, 133, every_second)

    assert [float(second) for second in range(144)] == ticks


def test_a_clock_that_jumps_forward(tmp_path: Path) -> None:
    """What was jumped over was missed; the next tick after the jump is in time."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule("drops"))
        await schedules.put(schedule("catches", runCatchupScheduleInstances=True))
        await pass_s(schedules, clock, 1)
        clock.jump_s(3_602)
        await pass_s(schedules, clock, 1)
        after_the_jump = await ticks(schedules, "drops")
        await pass_s(schedules, clock, 7)

        assert [0] == after_the_jump
        assert [0, 3_610] == await ticks(schedules, "drops")
        assert [float(second) for second in range(0, 3_611, 10)] == await ticks(
            schedules, "catches"
        )
        assert 360 == schedules.counters()["dropped"]

    by_hand(tmp_path, body)


def test_a_clock_that_is_slewed_has_not_jumped(tmp_path: Path) -> None:
    """Time that goes a little faster than it should costs no tick."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule(cron="* * * * * *"))
        for _ in range(10):
            clock.jump_s(0.4)
            await pass_s(schedules, clock, 0.6)

        assert [float(second) for second in range(10)] == await ticks(schedules)

    by_hand(tmp_path, body)


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """No tick is run again, even when the daemon starts anew in the past."""

    async def main() -> None:
        clock = ManualClock(NOON_MS - 500)
        async with engine_at(tmp_path / "baton.db", clock=clock, timers=False) as engine:
            await define(engine, "flow", simple("work"))
            schedules = await booted(engine)
            await schedules.put(schedule(runCatchupScheduleInstances=True))
            await pass_s(schedules, clock, 31)
        clock = ManualClock(NOON_MS - 500)
        async with engine_at(tmp_path / "baton.db", clock=clock, timers=False) as engine:
            schedules = await booted(engine)
            await pass_s(schedules, clock, 20)
            # Saved or paused and resumed in the past, it does not begin anew there either.
            await schedules.put(schedule(cron="*/5 * * * * *", runCatchupScheduleInstances=True))
            await schedules.pause("s")
            await schedules.resume("s")
            await pass_s(schedules, clock, 21)

            assert [0, 10, 20, 30, 35, 40] == await ticks(schedules)

    asyncio.run(main())


# Trouble.


@pytest.mark.parametrize("error", [StorageUnavailable("full"), Overloaded("busy")])
def test_the_loop_outlives_trouble(tmp_path: Path, error: Exception) -> None:
    """It tries again."""

    async def body(engine: Engine) -> None:
        schedules = Schedules(engine)
        rounds = 0

        async def refuse() -> float | None:
            nonlocal rounds
            rounds += 1
            schedules._look_again()
            if rounds < 3:
                raise error
            raise asyncio.CancelledError

        schedules._round = refuse  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await schedules.run()

        assert 3 == rounds

    run(tmp_path, body, timers=False)


def test_the_loop_runs_by_the_real_clock(tmp_path: Path) -> None:
    """A schedule that is saved while the loop sleeps wakes it, and ticks on whole seconds."""

    async def body(engine: Engine) -> None:
        await define(engine, "flow", simple("work"))
        schedules = Schedules(engine)
        started = asyncio.Queue[str]()
        engine.subscribe(lambda change: started.put_nowait(change.workflow_id))
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(schedules.run())
            await asyncio.sleep(0)
            # With catch-up: a machine that stalls makes a tick late, and drops none.
            every_second = schedule(cron="* * * * * *", runCatchupScheduleInstances=True)
            await schedules.put(every_second)
            async with asyncio.timeout(25):
                ids = [await started.get(), await started.get()]
            loop.cancel()
        views = [await engine.execution(workflow_id) for workflow_id in ids]
        times = [msgspec.json.decode(view.workflow.input)["_scheduledTime"] for view in views]

        assert [0, 0] == [moment_ms % 1000 for moment_ms in times]
        assert times[1] - times[0] == 1_000
        assert all(view.workflow.created_ms >= at for view, at in zip(views, times, strict=True))

    run(tmp_path, body, timers=False)
