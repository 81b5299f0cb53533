"""Workload W: three sequential tasks, each completion durable before the next is scheduled.

About 200 bytes go into and come out of each task. How it is driven stands elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.cores import HOME
from edge.daemon import loop_factory, settle_memory
from edge.engine import Engine
from edge.model.definitions import WorkflowDefinition
from tests.evaluators import EVALUATORS

T = TypeVar("T")

PAYLOAD = msgspec.json.encode({"a": "x" * 180})
STEPS = ("w1", "w2", "w3")


def workload_w(name: str = "W") -> dict[str, Any]:
    """The definition of W as JSON."""
    return {
        "name": name,
        "ownerEmail": "bench@example.invalid",
        "tasks": [
            {
                "name": step,
                "taskReferenceName": step,
                "type": "SIMPLE",
                "inputParameters": {"a": "${workflow.input.a}"},
            }
            for step in STEPS
        ],
    }


def run_as_the_daemon(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop, and with the memory, that the daemon would take."""
    settle_memory()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


@asynccontextmanager
async def engine_of(
    path: Path, *definitions: dict[str, Any], syncing: bool = False
) -> AsyncIterator[Engine]:
    """An engine that runs, with definitions; closed in the end.

    Args:
        path: of its database.
        definitions: workflows as JSON.
        syncing: whether it keeps history for a control plane.
    """
    engine = await Engine.open(path, scripts=EVALUATORS, syncing=syncing)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        together = group.create_task(HOME.keep(engine.database.on_writer))
        for definition in definitions:
            await engine.put_workflow_definition(
                msgspec.convert(definition, WorkflowDefinition), overwrite=True
            )
        try:
            yield engine
        finally:
            together.cancel()
            await engine.close()
