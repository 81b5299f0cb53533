"""A scheduler that tests drive by hand, with a clock that stands still until they move it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from edge.engine import Engine
from edge.model.schedules import Schedule, ScheduleExecution, parse_schedule
from edge.schedules import Schedules
from edge.store.schedules import ExecutionQuery
from tests.unit.edge.engine_house import define, run, simple
from tests.unit.edge.manual_clock import ManualClock

NOON_MS = 1_700_049_600_000
"""2023-11-15 12:00 UTC."""

Body = Callable[[Engine, Schedules, ManualClock], Awaitable[None]]


def schedule(name: str = "s", cron: str = "*/10 * * * * *", **fields: Any) -> Schedule:
    """A schedule that ticks every ten seconds, unless told otherwise."""
    document = {
        "name": name, "cronExpression": cron, "startWorkflowRequest": {"name": "flow"}, **fields,
    }  # fmt: skip
    return parse_schedule(document)


def by_hand(folder: Path, body: Body, *, now_ms: int = NOON_MS - 500) -> None:
    """Run ``body`` with a clock that stands still half a second before noon, and no loop."""
    clock = ManualClock(now_ms)

    async def with_schedules(engine: Engine) -> None:
        await define(engine, "flow", simple("work"))
        await body(engine, await booted(engine), clock)

    run(folder, with_schedules, clock=clock, timers=False)


async def booted(engine: Engine) -> Schedules:
    """A scheduler as it is just after the start of the daemon."""
    schedules = Schedules(engine)
    schedules._looked_ms = engine.clock.monotonic_ms()
    await schedules._round()
    return schedules


async def pass_s(schedules: Schedules, clock: ManualClock, seconds: float) -> None:
    """Let time pass as the loop lets it: it looks every second at least."""
    while seconds > 0:
        clock.pass_s(min(seconds, 1))
        await schedules._round()
        seconds -= 1


async def records(schedules: Schedules, name: str = "s") -> list[ScheduleExecution]:
    """The records of ticks, in the order in which they were run."""
    query = ExecutionQuery(schedules=[name], sort=(("executionTime", True),), limit=5_000)
    _, found = await schedules.executions(query)
    return sorted(found, key=lambda record: (record.executed_ms, record.scheduled_ms))


async def ticks(schedules: Schedules, name: str = "s") -> list[float]:
    """Seconds after noon of the ticks that were run."""
    return [(one.scheduled_ms - NOON_MS) / 1000 for one in await records(schedules, name)]


async def started(engine: Engine) -> int:
    """How many executions there are that have not ended."""
    return (await engine.status_counts()).get("RUNNING", 0)
