"""What people ask of the scheduler: save, pause, stop, find anew; and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import Conflict, NotFound
from edge.model.tags import Tag
from edge.schedules import MAX_SCHEDULES, Schedules
from edge.store import schedules as store
from edge.store.schedules import ScheduleQuery, Timed
from tests.unit.edge.engine_house import define, engine_at, simple
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.schedule_house import (
    NOON_MS,
    booted,
    by_hand,
    pass_s,
    schedule,
    ticks,
)


def test_a_paused_schedule_has_no_ticks(tmp_path: Path) -> None:
    """What comes due meanwhile is never run, not even by one that catches up."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule(runCatchupScheduleInstances=True))
        await pass_s(schedules, clock, 1)
        await schedules.pause("s", "holidays")
        paused = await schedules.get("s")
        await pass_s(schedules, clock, 30)
        await schedules.resume("s")
        await schedules.resume("s")
        resumed = await schedules.get("s")
        await pass_s(schedules, clock, 10)

        assert (True, "holidays", None) == (
            paused.schedule.paused, paused.schedule.paused_reason, paused.next_ms,
        )  # fmt: skip
        assert (False, None) == (resumed.schedule.paused, resumed.schedule.paused_reason)
        assert [0, 40] == await ticks(schedules)

    by_hand(tmp_path, body)


def test_saving_again(tmp_path: Path) -> None:
    """Who made it and its tags stay; ticks that wait stay unless their moments are changed."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        caught: dict[str, Any] = {"runCatchupScheduleInstances": True}
        first = await schedules.put(schedule(createdBy="ada", tags=[{"key": "k"}], **caught))
        clock.pass_s(35)
        same = await schedules.put(schedule(createdBy="bob", description="new", **caught))
        moved = await schedules.put(schedule(cron="*/20 * * * * *", **caught))
        paused = await schedules.put(schedule(paused=True, pausedReason="why"))

        assert (NOON_MS - 500, NOON_MS - 500, "ada") == (
            first.schedule.create_time, first.schedule.updated_time, first.schedule.created_by,
        )  # fmt: skip
        assert (NOON_MS - 500, NOON_MS + 34_500, "ada", "new", [Tag("k")]) == (
            same.schedule.create_time, same.schedule.updated_time, same.schedule.created_by,
            same.schedule.description, same.schedule.tags,
        )  # fmt: skip
        assert (NOON_MS, NOON_MS, NOON_MS + 40_000, None) == (
            first.next_ms, same.next_ms, moved.next_ms, paused.next_ms,
        )  # fmt: skip

    by_hand(tmp_path, body)


def test_the_scheduler_can_be_stopped_as_a_whole(tmp_path: Path) -> None:
    """Over a restart, too; to each schedule it is like a downtime."""
    clock = ManualClock(NOON_MS - 500)

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db", clock=clock, timers=False) as engine:
            await define(engine, "flow", simple("work"))
            schedules = await booted(engine)
            await schedules.put(schedule("drops"))
            await schedules.put(schedule("catches", runCatchupScheduleInstances=True))
            await schedules.pause_all(paused=True)
            await pass_s(schedules, clock, 11)
        async with engine_at(tmp_path / "baton.db", clock=clock, timers=False) as engine:
            schedules = await booted(engine)
            await pass_s(schedules, clock, 11)
            before = await ticks(schedules, "drops"), await ticks(schedules, "catches")
            await schedules.pause_all(paused=False)
            await pass_s(schedules, clock, 9)

            assert ([], []) == before
            assert [30] == await ticks(schedules, "drops")
            assert [0, 10, 20, 30] == await ticks(schedules, "catches")

    asyncio.run(main())


def test_a_drain_makes_way_for_what_is_asked(tmp_path: Path) -> None:
    """Stopping the scheduler while it catches up stops it after the transaction that is under way."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        await schedules.put(schedule(cron="* * * * * *", runCatchupScheduleInstances=True))
        await schedules._round()
        clock.jump_s(100)
        turn = schedules._turn

        async def and_stop(awake_ms: int) -> None:
            await turn(awake_ms)
            await schedules.pause_all(paused=True)

        schedules._turn = and_stop  # type: ignore[method-assign]
        await schedules._round()
        schedules._turn = turn  # type: ignore[method-assign]
        assert await schedules._round() is None
        stopped = await ticks(schedules)
        await schedules.pause_all(paused=False)
        await schedules._round()

        assert [float(second) for second in range(10)] == stopped
        assert [float(second) for second in range(100)] == await ticks(schedules)

    by_hand(tmp_path, body)


def test_moments_are_found_anew(tmp_path: Path) -> None:
    """A tick that was found under other rules of its zone moves; one that is due stays."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        saved = await schedules.put(schedule())
        for name, next_ms in (("early", NOON_MS + 1), ("due", NOON_MS - 900), ("never", None)):
            timed = Timed(schedule(name), next_ms)
            await engine.request(lambda t, one=timed: store.put(t.connection, one))  # type: ignore[misc]
        await schedules.put(schedule("paused", paused=True))
        odd = msgspec.structs.replace(schedule("odd"), zone_id="Mars/Olympus")
        await engine.request(lambda t: store.put(t.connection, Timed(odd, NOON_MS)))

        assert 2 == await schedules.requeue()
        assert {
            "s": saved.next_ms, "early": NOON_MS, "due": NOON_MS - 900, "never": NOON_MS,
            "paused": None, "odd": NOON_MS,
        } == {one.schedule.name: one.next_ms for one in await schedules.all()}  # fmt: skip

    by_hand(tmp_path, body)


def test_unknown_schedules(tmp_path: Path) -> None:
    """Whatever is asked of one that does not exist is refused, by its name."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        for asked in (
            schedules.get("x"),
            schedules.pause("x"),
            schedules.resume("x"),
            schedules.remove("x"),
            schedules.set_tags("x", lambda tags: tags),
        ):
            with pytest.raises(NotFound, match="Schedule 'x' not found"):
                await asked

    by_hand(tmp_path, body)


def test_a_device_holds_so_many_schedules(tmp_path: Path) -> None:
    """One more is refused; one that exists may still be replaced."""

    async def body(engine: Engine, schedules: Schedules, clock: ManualClock) -> None:
        def fill(transaction: Any) -> None:
            for number in range(MAX_SCHEDULES):
                store.put(transaction.connection, Timed(schedule(f"s{number}")))

        await engine.request(fill)
        with pytest.raises(Conflict, match="holds 1000 schedules"):
            await schedules.put(schedule("more"))
        await schedules.put(schedule("s7", description="new"))
        total, found = await schedules.search(ScheduleQuery(text='"new"'))

        assert (1, "s7") == (total, found[0].schedule.name)

    by_hand(tmp_path, body)
