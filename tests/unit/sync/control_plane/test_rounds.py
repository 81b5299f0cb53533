"""What is done by the clock goes on when the database was away, and when something failed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from sync.control_plane import rounds
from sync.control_plane.campaigns import GIVEN_AT_ONCE
from sync.control_plane.ledger import LedgerUnavailable
from tests.unit.sync.control_plane.api_world import World, in_world, workflow

MANY = GIVEN_AT_ONCE + 30


def test_only_cancellation_ends_a_round() -> None:
    """A database that is away is waited for; a defect is told with its trace, and the rest goes on."""
    done: list[int] = []
    enough = asyncio.Event()

    async def step() -> None:
        done.append(len(done))
        if len(done) < 3:
            raise LedgerUnavailable("away")
        if len(done) in (5, 6):
            raise ZeroDivisionError
        if len(done) == 8:
            enough.set()

    async def main() -> None:
        running = asyncio.create_task(rounds.every(0, step, "test"))
        await enough.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with structlog.testing.capture_logs() as logs:
        asyncio.run(main())

    assert list(range(8)) == done[:8]
    told = [(line["event"], line["round"], line.get("exc_info", False)) for line in logs]
    missed, failed = ("round_missed", "test", False), ("round_failed", "test", True)
    assert [missed, failed, failed] == told


def test_a_round_that_keeps_failing_is_tried_less_and_less_often() -> None:
    """Once a minute at least, and never more often than one that works."""
    waits = [1.0]
    while len(waits) < 9:
        waits.append(rounds.longer(waits[-1], 1.0))

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == waits
    assert 86_400 == rounds.longer(86_400, 86_400)


def test_segments_are_looked_at_at_once(tmp_path: Path) -> None:
    """The first look does not wait for a day."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1"))
        await world.ledger.write(
            lambda c: c.execute("UPDATE segment SET payload = substr(payload, 1, 40)")
        )
        running = asyncio.create_task(rounds.segments_are_looked_at(world.ledger))
        while not (await world.ledger.summary()).quarantined:
            await asyncio.sleep(0)
        running.cancel()

    in_world(tmp_path / "ledger.db", play)


def test_orders_of_campaigns_are_given(tmp_path: Path) -> None:
    """More of them than one step gives."""

    async def play(world: World) -> None:
        for number in range(MANY):
            await world.connect(f"d{number}")
        body = {"kind": "start", "body": {"name": "scan"}, "target": {"query": ""},
                "perMinute": 100_000}  # fmt: skip
        made = await world.ask("POST", "/api/v1/campaigns", body, status=201)
        assert MANY - 1 == made["progress"]["waiting"]
        world.ledger._now_ms = lambda: world.now_ms + 1_000
        async with asyncio.TaskGroup() as group:
            running = group.create_task(rounds.campaigns(world.ledger))
            path, waiting = f"/api/v1/campaigns/{made['id']}", 1
            while waiting:
                waiting = (await world.ask("GET", path))["progress"]["waiting"]
            running.cancel()

        assert MANY == (await world.ask("GET", path))["progress"]["queued"]

    in_world(tmp_path / "ledger.db", play)
