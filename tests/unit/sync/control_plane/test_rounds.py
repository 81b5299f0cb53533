"""What is done by the clock goes on when the database was away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sync.control_plane import rounds
from sync.control_plane.campaigns import GIVEN_AT_ONCE
from sync.control_plane.ledger import LedgerUnavailable
from tests.unit.sync.control_plane.api_world import World, in_world

MANY = GIVEN_AT_ONCE + 30


def test_a_database_that_is_away_is_waited_for() -> None:
    """The same step again, until cancelled; a defect of ours is no trouble of the database."""
    done: list[int] = []

    async def step() -> None:
        done.append(len(done))
        if len(done) < 3:
            raise LedgerUnavailable("away")
        if len(done) == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(rounds.every(0, step, "test"))
    assert [0, 1, 2, 3, 4] == done


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
