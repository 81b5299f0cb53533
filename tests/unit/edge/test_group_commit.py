"""Group commit: bounded, in order, and finished before it closes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge import group_commit
from edge.engine import Engine
from edge.model.errors import Overloaded
from edge.transactions import Transaction
from tests.unit.edge.engine_house import run


def test_requests_are_carried_out_in_order(tmp_path: Path) -> None:
    """Whatever shares a commit happened in the order it was asked for."""

    async def body(engine: Engine) -> None:
        seen: list[int] = []

        def note(number: int) -> None:
            seen.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(engine.request(lambda _, n=number: note(n)))  # type: ignore[misc]

        assert list(range(200)) == seen

    run(tmp_path, body)


def test_too_many_waiting_requests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inbox is bounded; whoever comes too much is told to come again."""
    monkeypatch.setattr(group_commit, "_INBOX", 10)

    async def body(engine: Engine) -> None:
        waiting = [asyncio.ensure_future(engine.request(_nothing)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await engine.request(_nothing)
        for request in waiting:
            await request

        assert await engine.request(lambda _: True)

    run(tmp_path, body)


def _nothing(_: Transaction) -> None:
    return None


def test_a_caller_that_goes_away_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its request is carried out all the same, and nobody waits for it."""

    async def body(engine: Engine) -> None:
        gone = asyncio.ensure_future(engine.request(_nothing))
        stays = asyncio.ensure_future(engine.request(lambda _: "done"))
        await asyncio.sleep(0)
        gone.cancel()

        assert "done" == await stays

    run(tmp_path, body)
