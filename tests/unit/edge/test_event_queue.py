"""The internal queue: order, restarts, and a message that is more than the house can stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import events, rounds
from edge.engine import Engine
from edge.event_queue import EventQueue
from edge.model.errors import StorageUnavailable
from edge.model.events import EventHandler, Message
from edge.store import events as store
from edge.transactions import Transaction
from tests.unit.edge.engine_house import define, ended, engine_at, everything, run, start

_EVENT = {"name": "e", "taskReferenceName": "e", "type": "EVENT", "sink": "conductor:door"}
_NOOP = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}


async def _listen(engine: Engine, event: str = "conductor:sender:door") -> None:
    action = {
        "action": "start_workflow",
        "start_workflow": {"name": "receiver", "input": {"n": "${n}"}},
    }
    document = {"name": "h", "event": event, "active": True, "actions": [action]}
    handler = msgspec.convert(document, EventHandler)
    await engine.request(lambda t: store.add_handlers(t.connection, [handler]))


async def _prepare(engine: Engine) -> None:
    parameters = {"n": "${workflow.input.n}"}
    await define(engine, "sender", {**_EVENT, "inputParameters": parameters})
    await define(engine, "receiver", _NOOP)
    await _listen(engine)


async def _received(engine: Engine) -> list[Any]:
    """What the receivers were started with, oldest first."""
    found = [one for one in await everything(engine) if one.name == "receiver"]
    return [msgspec.json.decode(one.input)["n"] for one in sorted(found, key=lambda w: w.key)]


@asynccontextmanager
async def _running(engine: Engine) -> AsyncIterator[EventQueue]:
    queue = EventQueue(engine)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        yield queue
        task.cancel()


async def _until_received(engine: Engine, count: int) -> list[Any]:
    changed = asyncio.Event()
    unsubscribe = engine.subscribe(lambda _: changed.set())
    async with asyncio.timeout(25):
        while True:
            # What changes while the look is taken counts for the next one.
            changed.clear()
            found = await _received(engine)
            if len(found) >= count:
                break
            await changed.wait()
    unsubscribe()
    return found


def test_a_message_reaches_its_handler(tmp_path: Path) -> None:
    """In the order in which the messages were sent."""

    async def body(engine: Engine) -> None:
        await _prepare(engine)
        async with _running(engine) as queue:
            for number in range(30):
                await start(engine, "sender", input={"n": number})
            found = await _until_received(engine, 30)

            assert list(range(30)) == found
            assert (30, 0) == (queue.handled, queue.rejected)

    run(tmp_path, body)


def test_what_was_waiting_is_handled_after_a_restart(tmp_path: Path) -> None:
    """A message is as durable as the task that sent it."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            await _prepare(engine)
            await ended(engine, await start(engine, "sender", input={"n": 1}))
        async with engine_at(tmp_path / "baton.db") as engine:
            before = await _received(engine)
            async with _running(engine):
                after = await _until_received(engine, 1)
        async with engine_at(tmp_path / "baton.db") as engine, _running(engine):
            await start(engine, "sender", input={"n": 2})
            assert [1, 2] == await _until_received(engine, 2)

        assert ([], [1]) == (before, after)

    asyncio.run(main())


def test_a_message_that_nobody_listens_to_is_not_kept(tmp_path: Path) -> None:
    """A handler that is registered later does not see it."""

    async def body(engine: Engine) -> None:
        await define(engine, "sender", _EVENT)
        await start(engine, "sender")
        await define(engine, "receiver", _NOOP)
        await _listen(engine)

        assert [] == await engine.database.read(lambda c: store.waiting(c, 9))

    run(tmp_path, body)


def test_a_message_that_breaks_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours concerns that message; those before and behind it are handled once."""
    whole = events.handle

    def fragile(transaction: Transaction, message: Message) -> int:
        if msgspec.json.decode(message.payload)["n"] == 2:
            raise ZeroDivisionError
        return whole(transaction, message)

    async def body(engine: Engine) -> None:
        await _prepare(engine)
        for number in range(5):
            await start(engine, "sender", input={"n": number})
        monkeypatch.setattr(events, "handle", fragile)
        async with _running(engine) as queue:
            found = await _until_received(engine, 4)
            kept = await engine.database.read(
                lambda c: store.read_messages(c, "conductor:sender:door", 0, 9)
            )

            assert [0, 1, 3, 4] == found
            assert 1 == queue.rejected
            assert ["ZeroDivisionError"] == [one.reason for one in kept if one.reason]

    run(tmp_path, body)


def test_a_disk_that_refuses_delays_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are handled when it writes again, and none is set aside for it."""
    monkeypatch.setattr(rounds, "_STORAGE_PAUSE_S", 0)
    refusals = iter([True, True])
    request = Engine.request

    async def refusing(self: Engine, function: Any) -> Any:
        if "_handle_waiting" in function.__code__.co_names and next(refusals, False):
            raise StorageUnavailable("full")
        return await request(self, function)

    async def body(engine: Engine) -> None:
        await _prepare(engine)
        await start(engine, "sender", input={"n": 1})
        monkeypatch.setattr(Engine, "request", refusing)
        async with _running(engine) as queue:
            assert [1] == await _until_received(engine, 1)
            assert 0 == queue.rejected

    run(tmp_path, body)
