"""Handlers that no task asks for are told; nothing else happens to them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import structlog

from edge import idle_handlers
from edge.engine import Engine
from edge.model.definitions import TaskDefinition
from edge.model.errors import StorageUnavailable
from tests.unit.edge.engine_house import define, run, simple

EVENT = "handler_without_task"


def test_a_handler_that_no_task_asks_for_is_told(tmp_path: Path) -> None:
    """With the name that is near and has no handler; task definitions and steps count alike."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("look"), simple("tell"))
        await engine.put_task_definitions([TaskDefinition("measure")])
        with structlog.testing.capture_logs() as lines:
            await idle_handlers.tell(engine, ["look", "tel", "measure", "zebra"], workflow="w")
            await idle_handlers.tell(engine, ["measure"], workflow="w")
        told = [(one["handler"], one["advice"]) for one in lines if one["event"] == EVENT]

        assert [
            ("tel", "did you mean 'tell'?"),
            ("zebra", "it does nothing until a task has this name"),
        ] == told
        assert {"w"} == {one["workflow"] for one in lines}

    run(tmp_path, body)


def test_a_disk_that_cannot_be_read_is_no_matter_of_handlers() -> None:
    """It is told by others; here it is said that nothing was compared."""

    class Unreadable:
        """An engine whose disk has failed."""

        async def task_definitions(self) -> Any:
            raise StorageUnavailable("the disk has failed")

    async def body() -> list[str]:
        with structlog.testing.capture_logs() as lines:
            await idle_handlers.tell(Unreadable(), ["look"], workflow="w")  # type: ignore[arg-type]
        return [one["event"] for one in lines]

    assert ["handlers_not_compared"] == asyncio.run(body())
