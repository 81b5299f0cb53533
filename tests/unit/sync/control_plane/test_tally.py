"""The figures are those of a count, whatever happened to the executions on the way."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from sync.control_plane import tally
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.records import Body, ClockRecord
from tests.unit.sync.control_plane.api_world import NOW_MS, World, workflow

STATUSES = ("RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT")


def counted(connection: Connection) -> tuple[list[object], list[object]]:
    """The figures as they stand, without those that have come to nothing."""
    tallies = connection.execute(
        "SELECT tenant, hour_ms, name, status, executions FROM tally WHERE executions <> 0"
        " ORDER BY 1, 2, 3, 4"
    ).fetchall()
    hours = connection.execute(
        "SELECT * FROM device_hour WHERE executions <> 0 OR failures <> 0 ORDER BY 1, 2"
    ).fetchall()
    return [tuple(row) for row in tallies], [tuple(row) for row in hours]


def test_figures_are_those_of_a_count(where: Path | str) -> None:
    """Names, hours, statuses and clocks change, records come late and twice: it is kept."""

    async def run() -> None:
        rng = random.Random(5)
        ledger = await Ledger.open(where, now_ms=lambda: 1)
        world = World(ledger)
        for _ in range(12):
            bodies: list[Body] = [
                workflow(
                    f"w{rng.randrange(9)}",
                    rng.choice(STATUSES),
                    name=rng.choice("ab"),
                    created_ms=rng.randrange(3) * tally.HOUR_MS,
                    updated_ms=rng.randrange(50),
                )
                for _ in range(6)
            ]
            at_ms, offset_ms = (rng.randrange(3) * tally.HOUR_MS for _ in range(2))
            bodies.insert(rng.randrange(6), ClockRecord(at_ms, offset_ms, 5, []))
            await world.send(rng.choice(("roof", "cellar")), *bodies)
        kept = await ledger.read(counted)

        def again(connection: Connection) -> None:
            connection.execute("DELETE FROM device_hour")
            # As a release left it that counted by the devices' own clocks.
            connection.execute("UPDATE progress SET value = 1 WHERE name = 'tally'")
            tally.fill(connection)
            # What is counted is not counted twice.
            tally.fill(connection)

        await ledger.write(again)
        fresh = await ledger.read(counted)
        shown = await ledger.read(lambda c: tally.statuses(c, tenant=None))
        await world.client.aclose()
        await ledger.close()

        assert kept == fresh
        assert sum(shown.values()) == sum(row[4] for row in kept[0] if row[1] == tally.ALL_HOURS)  # type: ignore[index]

    asyncio.run(run())


def test_what_a_device_in_1970_does_counts_today(where: Path | str) -> None:
    """Whether its clock is measured, and before or after its history comes, or not at all."""

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: NOW_MS)
        world = World(ledger)
        clock = ClockRecord(90_000, NOW_MS - 90_000, 5, [])
        failed = workflow("w", "FAILED", name="a", created_ms=60_000, updated_ms=70_000)
        await world.send("never", failed)
        await world.send("before", clock, failed)
        await world.send("after", failed)
        await world.send("after", clock)
        hours = await ledger.read(
            lambda c: tally.hours(c, tenant="default", since_ms=NOW_MS - 2 * tally.HOUR_MS)
        )
        await world.client.aclose()
        await ledger.close()

        assert (3, 3) == (sum(one[1] for one in hours), sum(one[2] for one in hours))

    asyncio.run(run())
