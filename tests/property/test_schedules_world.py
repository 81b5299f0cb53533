"""Schedules in a world of waits, jumps, restarts and full disks: no tick twice, none lost.

A model beside the real scheduler says which ticks must have been run; it knows the promises and
nothing of how they are kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, note, settings
from hypothesis import strategies as st

from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.schedules import Schedules
from tests.unit.edge.engine_house import define, engine_at, everything
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.schedule_house import NOON_MS, booted, pass_s, schedule, ticks

_EVERY_S = 5
_NAMES = ("catches", "drops")

Step = tuple[str, int]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "busy", "jump", "off", "back", "pause", "stop", "full"]),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=8,
)


class _Model:
    """Which ticks must have been run, in seconds after noon; the clock reads a half each time."""

    def __init__(self) -> None:
        self.now = -1
        """Whole seconds of the clock."""
        self.until = -1
        """The latest second that the clock has ever shown."""
        self.expected: dict[str, list[int]] = {name: [] for name in _NAMES}

    def go(self, seconds: int, *, drops_missed: bool = False, runs: bool = True) -> None:
        """Let time go on.

        Args:
            seconds: so many.
            drops_missed: nobody was there meanwhile, for those who mind.
            runs: False: nobody wants what comes due meanwhile.
        """
        self.now += seconds
        for tick in range(self.until + 1, self.now + 1):
            if tick % _EVERY_S or not runs:
                continue
            self.expected["catches"].append(tick)
            # What is not a second old yet is in time.
            if not drops_missed or tick == self.now:
                self.expected["drops"].append(tick)
        self.until = max(self.until, self.now)


async def _live(folder: Path, steps: list[Step]) -> None:
    clock, model = ManualClock(NOON_MS - 500), _Model()
    waiting = list(steps)
    first = True
    while first or waiting:
        async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:
            if first:
                step = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE"}
                await define(engine, "flow", step)
            schedules = await booted(engine)
            if first:
                for name in _NAMES:
                    cron = f"*/{_EVERY_S} * * * * *"
                    caught = name == "catches"
                    await schedules.put(schedule(name, cron, runCatchupScheduleInstances=caught))
            first = False
            while waiting:
                kind, seconds = waiting.pop(0)
                if kind in ("off", "back"):
                    clock = _while_it_is_off(clock, model, kind, seconds)
                    break
                await _step(engine, schedules, clock, model, (kind, seconds))
            else:
                await _compare(engine, schedules, model)
                return
    # The last step was a restart: what follows from it is seen after one more.
    async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:
        await _compare(engine, await booted(engine), model)


def _while_it_is_off(clock: ManualClock, model: _Model, kind: str, seconds: int) -> ManualClock:
    """Time goes on while the daemon is down, or its clock is found to have been set back."""
    seconds = seconds if kind == "off" else -seconds
    model.go(seconds, drops_missed=True)
    return ManualClock(clock.now_ms() + seconds * 1000)


async def _step(
    engine: Engine, schedules: Schedules, clock: ManualClock, model: _Model, step: Step
) -> None:
    kind, seconds = step
    match kind:
        case "wait":
            await pass_s(schedules, clock, seconds)
            model.go(seconds)
        case "busy":
            clock.pass_s(seconds)
            model.go(seconds)
        case "jump":
            clock.jump_s(seconds)
            model.go(seconds, drops_missed=True)
        case "pause":
            for name in _NAMES:
                await schedules.pause(name)
            await pass_s(schedules, clock, seconds)
            for name in _NAMES:
                await schedules.resume(name)
            model.go(seconds, runs=False)
        case "stop":
            await schedules.pause_all(paused=True)
            await pass_s(schedules, clock, seconds)
            await schedules.pause_all(paused=False)
            model.go(seconds, drops_missed=True)
        case "full":
            await _with_a_full_disk(engine, schedules, clock, seconds)
            model.go(seconds)
    await schedules._round()


async def _with_a_full_disk(
    engine: Engine, schedules: Schedules, clock: ManualClock, seconds: int
) -> None:
    await engine.database.hop(lambda c: c.execute("PRAGMA max_page_count = 1"))
    for _ in range(seconds):
        clock.pass_s(1)
        try:
            await schedules._round()
        except StorageUnavailable:
            continue
    await engine.database.hop(lambda c: c.execute("PRAGMA max_page_count = 1000000"))


async def _compare(engine: Engine, schedules: Schedules, model: _Model) -> None:
    """What was run is what had to be run, and each record has its execution."""
    executions = [one for one in await everything(engine) if one.name == "flow"]
    for name in _NAMES:
        found = [round(tick) for tick in await ticks(schedules, name)]
        assert model.expected[name] == found, name
    started = [msgspec.json.decode(one.input)["_scheduledTime"] for one in executions]
    due = [tick for name in _NAMES for tick in model.expected[name]]
    assert sorted(NOON_MS + tick * 1000 for tick in due) == sorted(started)


@settings(max_examples=40)
@given(_STEPS)
def test_no_tick_is_lost_and_none_is_run_twice(steps: list[Step]) -> None:
    """Whatever happens to the device and its clocks, in whatever order."""
    note(str(steps))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live(Path(folder), steps))
