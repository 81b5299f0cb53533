"""Waiting for an execution: who waits hears of what he waits for, and is left alone otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.engine import Engine
from edge.model.executions import WorkflowStatus
from edge.model.requests import StartRequest
from edge.steering import Steering
from tests.unit.edge.engine_house import answer, claim, define, run, simple

_WITHIN_S = 4.0
"""Less than the pause after which whoever waits looks again, whatever he has heard."""


async def _serve(engine: Engine, *queues: str) -> None:
    for queue in queues:
        await answer(engine, await claim(engine, queue, timeout_ms=20_000))


async def _waited(engine: Engine, *queues: str, refs: tuple[str, ...] = ()) -> Any:
    """What an execution of ``w`` has come to, whose tasks workers do meanwhile."""
    serving = asyncio.ensure_future(_serve(engine, *queues))
    blocked = await Steering(engine).start_and_wait(
        StartRequest("w"), refs=list(refs), timeout_s=_WITHIN_S
    )
    await serving
    return blocked


def test_workers_tasks_are_not_looked_at_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the beginning and at the end is enough, however many there are."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", *(simple(ref) for ref in "abcd"))
        looks, look = 0, engine.database.look

        async def counted(function: Callable[[Any], Any]) -> Any:
            nonlocal looks
            looks += 1
            return await look(function)

        monkeypatch.setattr(engine.database, "look", counted)
        blocked = await _waited(engine, *"abcd")

        assert WorkflowStatus.COMPLETED is blocked.view.workflow.status
        assert looks <= 2

    run(tmp_path, body)


@pytest.mark.parametrize("kind", ["WAIT", "YIELD"])
def test_a_wait_that_begins_is_heard_of(tmp_path: Path, kind: str) -> None:
    """Only somebody else can end it: nobody waits on."""

    async def body(engine: Engine) -> None:
        wait = {"name": "x", "taskReferenceName": "x", "type": kind}
        await define(engine, "w", simple("a"), wait)
        blocked = await _waited(engine, "a")

        assert ("x", False) == (blocked.task.ref, blocked.timed_out)

    run(tmp_path, body)


def test_a_wait_inside_it_is_heard_of(tmp_path: Path) -> None:
    """An execution that begins later is listened to as well."""

    async def body(engine: Engine) -> None:
        inside = {
            "name": "c", "taskReferenceName": "c", "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": "child"},
        }  # fmt: skip
        wait = {"name": "x", "taskReferenceName": "x", "type": "WAIT"}
        await define(engine, "child", simple("b"), wait)
        await define(engine, "w", simple("a"), inside)
        blocked = await _waited(engine, "a", "b")

        assert ("child", "x") == (blocked.holder.workflow.name, blocked.task.ref)

    run(tmp_path, body)


def test_the_end_of_a_named_task_is_heard_of(tmp_path: Path) -> None:
    """Although it is a worker's."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        blocked = await _waited(engine, "a", refs=("a",))

        assert ("a", False) == (blocked.task.ref, blocked.timed_out)

    run(tmp_path, body)
