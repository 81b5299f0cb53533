"""Triggers: one happening starts one workflow, however often it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from edge import triggers
from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.triggers import Trigger, Triggers
from tests.unit.edge.engine_house import define, run, simple
from tests.unit.edge.manual_clock import ManualClock


class _Motion(msgspec.Struct, frozen=True):
    event_id: str
    camera: str = "front"


class _Camera:
    """Tells its listeners from a thread of its own, as a driver does."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Any], None]] = []

    def watch(self, listener: Callable[[Any], None]) -> None:
        self._listeners.append(listener)

    def tell(self, *event_ids: str) -> None:
        def work() -> None:
            for event_id in event_ids:
                for listener in self._listeners:
                    listener(_Motion(event_id))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()


def _run(tmp_path: Path, trigger: Trigger, body: Any) -> None:
    async def with_triggers(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        house, camera = Triggers(engine), _Camera()
        house.attach(trigger, camera)
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(house.run())
            await body(engine, house, camera)
            loop.cancel()

    run(tmp_path, with_triggers)


async def _running(engine: Engine, count: int) -> list[dict[str, Any]]:
    """Inputs of the executions, once there are that many."""
    changed = asyncio.Event()
    end = engine.subscribe(lambda _: changed.set())
    async with asyncio.timeout(25):
        while len(ids := await engine.running("w", None)) < count:
            await changed.wait()
            changed.clear()
    end()
    return [msgspec.json.decode((await engine.workflow(i)).input) for i in ids]


def test_a_happening_starts_a_workflow(tmp_path: Path) -> None:
    """The input is the trigger's, with the fields of what happened laid over it."""

    async def body(engine: Engine, house: Triggers, camera: _Camera) -> None:
        camera.tell("e1")

        assert [{"detector": "demo", "event_id": "e1", "camera": "front"}] == await _running(
            engine, 1
        )
        assert 1 == house.started

    _run(tmp_path, Trigger("front", "w", input={"detector": "demo", "camera": "?"}), body)


def test_told_twice_started_once(tmp_path: Path) -> None:
    """The happening's id is the idempotency key."""

    async def body(engine: Engine, _: Triggers, camera: _Camera) -> None:
        camera.tell("e1", "e1", "e2")

        assert ["e1", "e2"] == [values["event_id"] for values in await _running(engine, 2)]

    _run(tmp_path, Trigger("front", "w"), body)


def test_cooldown(tmp_path: Path) -> None:
    """What follows within the cooldown starts nothing."""

    async def body(engine: Engine, house: Triggers, camera: _Camera) -> None:
        camera.tell("e1", "e2", "e3")
        await _running(engine, 1)
        while not house._arrived.empty():
            await asyncio.sleep(0)

        assert ["e1"] == [values["event_id"] for values in await _running(engine, 1)]

    _run(tmp_path, Trigger("front", "w", cooldown_s=3600), body)


def test_the_first_happening_after_the_machine_has_started(tmp_path: Path) -> None:
    """There was no start before it: it does not wait for a cooldown, however new the machine is."""

    async def body(engine: Engine, house: Triggers, camera: _Camera) -> None:
        # A second of the machine's time has passed.
        engine.clock = ManualClock()
        camera.tell("e1")

        await _running(engine, 1)
        assert 1 == house.started

    _run(tmp_path, Trigger("front", "w", cooldown_s=3600), body)


def test_a_device_that_reports_nothing(tmp_path: Path) -> None:
    """A trigger on a detector never fires, which is said; the daemon goes on."""

    async def body(engine: Engine, house: Triggers, _: _Camera) -> None:
        with structlog.testing.capture_logs() as lines:
            house.attach(Trigger("objects", "w"), object())

        assert ["trigger_never_fires"] == [line["event"] for line in lines]
        assert "objects" == lines[0]["device"]

    _run(tmp_path, Trigger("front", "w"), body)


def test_an_unknown_workflow_stops_nothing(tmp_path: Path) -> None:
    """The refusal is said, and the next happening is looked at."""

    async def body(engine: Engine, house: Triggers, camera: _Camera) -> None:
        camera.tell("e1")
        while not house._arrived.empty():
            await asyncio.sleep(0)
        await define(engine, "later", simple("a"))

        assert 0 == house.started

    _run(tmp_path, Trigger("front", "nope"), body)


def test_a_disk_that_refuses_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A happening waits for the disk."""
    monkeypatch.setattr(triggers, "_STORAGE_PAUSE_S", 0.01)

    async def body(engine: Engine, _: Triggers, camera: _Camera) -> None:
        start, calls = engine.start, []

        async def refusing(request: Any) -> str:
            calls.append(request)
            if len(calls) == 1:
                raise StorageUnavailable("full")
            return await start(request)

        engine.start = refusing  # type: ignore[method-assign]
        camera.tell("e1")

        assert 1 == len(await _running(engine, 1))
        assert 2 == len(calls)

    _run(tmp_path, Trigger("front", "w"), body)


def test_the_oldest_is_dropped_when_too_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded, and what is dropped is counted."""
    monkeypatch.setattr(triggers, "_WAITING", 2)

    async def body(engine: Engine) -> None:
        house, camera = Triggers(engine), _Camera()
        house.attach(Trigger("front", "w"), camera)
        camera.tell("e1", "e2", "e3")
        await asyncio.sleep(0)

        assert 1 == house.dropped
        assert "e2" == house._arrived.get_nowait()[1].event_id

    run(tmp_path, body)
