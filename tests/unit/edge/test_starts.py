"""Starts that are to be told are written at the hand-over; all others are not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import starts
from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.model.events import EventHandler
from edge.store import events as store
from edge.transactions import Transaction
from tests.unit.edge.engine_house import claim, define, run, simple, start


async def _listen(engine: Engine) -> None:
    action = {"action": "start_workflow", "start_workflow": {"name": "none"}}
    document = {"name": "h", "event": "conductor:w:begun", "active": True, "actions": [action]}
    handler = msgspec.convert(document, EventHandler)
    await engine.request(lambda t: store.add_handlers(t.connection, [handler]))


async def _told(engine: Engine) -> list[Any]:
    found = await engine.database.read(lambda c: store.waiting(c, 9))
    return [msgspec.json.decode(message.payload)["state"] for _, message in found]


def test_a_start_is_told_when_a_worker_holds_the_task(tmp_path: Path) -> None:
    """Once, also when the task is handed over again."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", onStateChange={"onStart": [{"type": "begun"}]}))
        await _listen(engine)
        await start(engine, "w")
        before = await _told(engine)
        view = await claim(engine, "a")
        after = await _told(engine)
        engine.give_back([f"{view.workflow.id.hex()[:24]}{view.task.ordinal:08x}"])
        await claim(engine, "a")

        assert ([], ["onStart"], ["onStart"]) == (before, after, await _told(engine))
        assert view.task.started_ms > 0

    run(tmp_path, body)


def test_other_starts_are_not_written(tmp_path: Path) -> None:
    """A poll costs no commit."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", onStateChange={"onSuccess": [{"type": "done"}]}))
        await start(engine, "w")
        commits = engine.counters()["commits"]
        await claim(engine, "a")

        assert commits == engine.counters()["commits"]

    run(tmp_path, body)


def test_a_disk_that_refuses_hands_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task waits for the next poll, and its start is told then."""

    def refuse(_: Transaction, __: Any) -> None:
        raise StorageUnavailable("full")

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", onStateChange={"onStart": [{"type": "begun"}]}))
        await _listen(engine)
        await start(engine, "w")
        with monkeypatch.context() as patch:
            patch.setattr(starts, "note", refuse)
            with pytest.raises(StorageUnavailable):
                await claim(engine, "a")
        await claim(engine, "a")

        assert ["onStart"] == await _told(engine)

    run(tmp_path, body)
