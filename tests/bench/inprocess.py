"""Workload W inside one process: three sequential tasks, each completion durable before the next.

About 200 bytes go into and come out of each task.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.model.definitions import WorkflowDefinition
from edge.model.executions import TaskStatus, task_uuid
from edge.model.requests import StartRequest, TaskResult
from tests.bench.measure import Figure, lone_commits_per_cpu_s, written_bytes
from tests.evaluators import EVALUATORS

PAYLOAD = msgspec.json.encode({"a": "x" * 180})
STEPS = ("w1", "w2", "w3")


def workload_w() -> dict[str, Any]:
    """The definition of W as JSON."""
    return {
        "name": "W",
        "ownerEmail": "bench@example.invalid",
        "tasks": [
            {
                "name": name,
                "taskReferenceName": name,
                "type": "SIMPLE",
                "inputParameters": {"a": "${workflow.input.a}"},
            }
            for name in STEPS
        ],
    }


async def _serve(engine: Engine, queue: str) -> None:
    while True:
        for view in await engine.poll(queue, worker="bench", count=1, timeout_ms=10_000):
            task_id = task_uuid(view.workflow.id, view.task.ordinal)
            await engine.update(TaskResult("", task_id, TaskStatus.COMPLETED, PAYLOAD))


async def _drive(engine: Engine, workflows: int, concurrency: int) -> list[float]:
    """Keep ``concurrency`` workflows under way until all are done; seconds that each took."""
    waiting: dict[str, asyncio.Event] = {}
    early: set[str] = set()

    def ended(change: Any) -> None:
        if change.status.terminal:
            event = waiting.get(change.workflow_id)
            if event is None:
                early.add(change.workflow_id)
            else:
                event.set()

    unsubscribe = engine.subscribe(ended)
    latencies: list[float] = []
    left = iter(range(workflows))

    async def one_after_the_other() -> None:
        for _ in left:
            began = time.perf_counter()
            workflow_id = await engine.start(StartRequest("W", input=PAYLOAD))
            event = waiting[workflow_id] = asyncio.Event()
            if workflow_id not in early:
                await event.wait()
            early.discard(workflow_id)
            del waiting[workflow_id]
            latencies.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one_after_the_other())
    unsubscribe()
    return latencies


async def _measure(folder: Path, workflows: int, concurrency: int) -> list[Figure]:
    path = folder / f"w{concurrency}.db"
    engine = await Engine.open(path, scripts=EVALUATORS)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        await engine.put_workflow_definition(
            msgspec.convert(workload_w(), WorkflowDefinition), overwrite=True
        )
        workers = [
            group.create_task(_serve(engine, name))
            for name in STEPS
            for _ in range(max(1, concurrency // 3))
        ]
        await _drive(engine, min(50, workflows), concurrency)
        written, cpu, wall = written_bytes(os.getpid()), time.process_time(), time.perf_counter()
        latencies = await _drive(engine, workflows, concurrency)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        written = written_bytes(os.getpid()) - written
        for worker in workers:
            worker.cancel()
        await engine.close()
    tasks = workflows * len(STEPS)
    stored = path.stat().st_size / (workflows + min(50, workflows))
    name = f"W in process, concurrency {concurrency}"
    quantiles = statistics.quantiles(latencies, n=100)
    return [
        Figure(f"{name}: tasks", tasks / cpu, "per CPU-second"),
        Figure(f"{name}: tasks", tasks / wall, "per second"),
        Figure(f"{name}: p50", quantiles[49] * 1000, "ms"),
        Figure(f"{name}: p99", quantiles[98] * 1000, "ms"),
        Figure(f"{name}: written", written / tasks, "bytes a task"),
        Figure(f"{name}: stored", stored, "bytes a workflow"),
    ]


def run(folder: Path, *, scale: float) -> list[Figure]:
    """Measure at concurrency 1 and 100.

    Args:
        folder: where databases may be made.
        scale: 1.0 for the full length.
    """
    baseline = lone_commits_per_cpu_s(folder)
    figures = [Figure("bare SQLite, one row a commit", baseline, "per CPU-second", "baseline")]
    for concurrency, workflows in ((1, 300), (100, 4_000)):
        found = asyncio.run(_measure(folder, max(20, int(workflows * scale)), concurrency))
        ratio = found[0].value / baseline
        figures.append(msgspec.structs.replace(found[0], note=f"{ratio:.2f} x the baseline"))
        figures += found[1:]
    return figures
