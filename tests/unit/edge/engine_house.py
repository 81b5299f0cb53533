"""An engine with its loops on a database of its own, for tests that need the whole of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from edge.clock import Clock
from edge.engine import Engine
from edge.listeners import Listeners
from edge.lookups import Lookups
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.executions import EMPTY, TaskStatus, Workflow, WorkflowStatus, task_uuid
from edge.model.requests import StartRequest, TaskResult, TaskView
from edge.searches import Ask, Searches
from edge.timekeeper import Timekeeper
from tests.evaluators import EVALUATORS


@asynccontextmanager
async def engine_at(
    path: Path,
    *,
    clock: Clock | None = None,
    syncing: bool = False,
    timers: bool = True,
    lookups: Lookups | None = None,
    listeners: Listeners | None = None,
) -> AsyncIterator[Engine]:
    """An open engine whose loops run until the block ends."""
    engine = await Engine.open(
        path,
        scripts=EVALUATORS,
        clock=clock,
        syncing=syncing,
        lookups=lookups,
        listeners=listeners,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        timekeeper = group.create_task(Timekeeper(engine).run()) if timers else None
        try:
            yield engine
        finally:
            if timekeeper is not None:
                timekeeper.cancel()
            await engine.close()


def run(path: Path, body: Callable[[Engine], Awaitable[None]], **options: Any) -> None:
    """Run ``body(engine)`` on a database in ``path``."""

    async def main() -> None:
        async with engine_at(path / "baton.db", **options) as engine:
            await body(engine)

    asyncio.run(main())


def simple(ref: str, **fields: Any) -> dict[str, Any]:
    """A SIMPLE step whose task name is its reference."""
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", **fields}


async def define(engine: Engine, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
    """Register a workflow."""
    document = {"name": name, "tasks": list(tasks), **fields}
    definition = msgspec.convert(document, WorkflowDefinition)
    await engine.put_workflow_definition(definition, overwrite=True)


async def define_task(engine: Engine, name: str, **fields: Any) -> None:
    """Register a task definition."""
    document = {"name": name, **fields}
    await engine.put_task_definitions([msgspec.convert(document, TaskDefinition)])


async def start(engine: Engine, name: str, **fields: Any) -> str:
    """Start a workflow; ``input`` may be a map."""
    values = fields.pop("input", None)
    request = StartRequest(
        name, input=EMPTY if values is None else msgspec.json.encode(values), **fields
    )
    return await engine.start(request)


async def everything(engine: Engine) -> list[Workflow]:
    """Every execution, newest first."""
    searches = Searches(engine.database, engine.clock, engine.hand_over.as_held)
    return [found.workflow for found in (await searches.workflows(Ask(limit=5_000))).page]


async def claim(engine: Engine, queue: str, timeout_ms: int = 0) -> TaskView:
    """The one task that waits in a queue."""
    (view,) = await engine.poll(queue, worker="tester", count=1, timeout_ms=timeout_ms)
    return view


def behind(connection: sqlite3.Connection) -> tuple[int, int]:
    """Rows of redo, and of executions in their table."""
    redo = connection.execute("SELECT count(*) FROM redo").fetchone()[0]
    return redo, connection.execute("SELECT count(*) FROM workflow").fetchone()[0]


def id_of(view: TaskView) -> str:
    """A task's id."""
    return task_uuid(view.workflow.id, view.task.ordinal)


async def answer(
    engine: Engine,
    view: TaskView,
    status: TaskStatus = TaskStatus.COMPLETED,
    output: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Hand in a task's result."""
    payload = msgspec.json.encode(output) if output else EMPTY
    await engine.update(TaskResult("", id_of(view), status, payload, **fields))


async def ended(engine: Engine, workflow_id: str, within_s: float = 25) -> WorkflowStatus:
    """Wait until a workflow has ended; returns how."""
    changed = asyncio.Event()
    unsubscribe = engine.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(within_s):
            while True:
                changed.clear()
                status = (await engine.workflow(workflow_id)).status
                if status.terminal:
                    return status
                await changed.wait()
    finally:
        unsubscribe()
