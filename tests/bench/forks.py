"""What a branch of a dynamic fork costs in a wide fork, against the same in narrow ones.

If any step of the engine looks at all branches for each, the wide fork shows it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.model.definitions import WorkflowDefinition
from edge.model.executions import TaskStatus, task_uuid
from edge.model.requests import StartRequest, TaskResult
from tests.bench.inprocess import PAYLOAD
from tests.bench.measure import Figure
from tests.evaluators import EVALUATORS

NARROW, WIDE = 100, 1_000
WORKERS = 100


def _fork() -> dict[str, Any]:
    """A dynamic fork over the list ``items`` of the input, and its JOIN."""
    return {
        "name": "fork",
        "tasks": [
            {
                "name": "fork",
                "taskReferenceName": "fork",
                "type": "FORK_JOIN_DYNAMIC",
                "inputParameters": {
                    "forkTaskName": "branch",
                    "forkTaskInputs": "${workflow.input.items}",
                },
            },
            {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
        ],
    }


async def _serve(engine: Engine) -> None:
    while True:
        for view in await engine.poll("branch", worker="bench", count=1, timeout_ms=10_000):
            task_id = task_uuid(view.workflow.id, view.task.ordinal)
            await engine.update(TaskResult("", task_id, TaskStatus.COMPLETED, PAYLOAD))


async def _drive(engine: Engine, branches: int, times: int) -> tuple[float, float]:
    """Run forks one after the other; CPU seconds and seconds of one of them."""
    ended = asyncio.Event()

    def watch(change: Any) -> None:
        if change.status.terminal:
            ended.set()

    unsubscribe = engine.subscribe(watch)
    items = msgspec.json.encode({"items": [{"a": n} for n in range(branches)]})
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        ended.clear()
        await engine.start(StartRequest("fork", input=items))
        await ended.wait()
    unsubscribe()
    return (time.process_time() - cpu) / times, (time.perf_counter() - wall) / times


async def _measure(folder: Path, times: int) -> list[Figure]:
    engine = await Engine.open(folder / "forks.db", scripts=EVALUATORS)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        definition = msgspec.convert(_fork(), WorkflowDefinition)
        await engine.put_workflow_definition(definition, overwrite=True)
        workers = [group.create_task(_serve(engine)) for _ in range(WORKERS)]
        await _drive(engine, NARROW, 2)
        narrow_cpu, narrow = await _drive(engine, NARROW, times * WIDE // NARROW)
        wide_cpu, wide = await _drive(engine, WIDE, times)
        for worker in workers:
            worker.cancel()
        await engine.close()
    per_branch = (wide_cpu / WIDE) / (narrow_cpu / NARROW)
    return [
        Figure(f"fork of {NARROW}", narrow * 1000, "ms"),
        Figure(f"fork of {WIDE}", wide * 1000, "ms", f"{wide / narrow:.1f} x the fork of {NARROW}"),
        Figure(f"fork of {NARROW}: branches", NARROW / narrow_cpu, "per CPU-second", "baseline"),
        Figure(
            f"fork of {WIDE}: branches",
            WIDE / wide_cpu,
            "per CPU-second",
            f"a branch costs {per_branch:.2f} x",
        ),
    ]


def run(folder: Path, *, scale: float) -> list[Figure]:
    """Measure narrow and wide forks, as many branches of each.

    Args:
        folder: where databases may be made.
        scale: 1.0 for the full length.
    """
    return asyncio.run(_measure(folder, max(1, int(5 * scale))))
