"""Workload W inside one process, against DBOS with SQLite, which is a library like that, too.

Run as a program it is the measured process.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from edge.engine import Engine
from edge.model.executions import TaskStatus, task_uuid
from edge.model.requests import StartRequest, TaskResult
from tests.bench import baseline
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Case, Figure, Run
from tests.bench.peers import dbos
from tests.bench.window import Window, quantile, syncs
from tests.bench.workload import PAYLOAD, STEPS, engine_of, run_as_the_daemon, workload_w

WORKFLOWS = {1: 600, 100: 5_000, 400: 5_000}
"""Workflows of one run at full length, by concurrency."""

_WARM_UP = 50
_WATCHED = 20
"""Lone workflows whose syncs are counted one by one."""


async def serve(engine: Engine, queue: str) -> None:
    """A worker as a coroutine: takes tasks of a queue and completes them."""
    while True:
        for view in await engine.poll(queue, worker="bench", count=1, timeout_ms=10_000):
            task_id = task_uuid(view.workflow.id, view.task.ordinal)
            await engine.update(TaskResult("", task_id, TaskStatus.COMPLETED, PAYLOAD))


async def drive(engine: Engine, name: str, workflows: int, concurrency: int) -> list[float]:
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
            workflow_id = await engine.start(StartRequest(name, input=PAYLOAD))
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


async def _measure(path: Path, workflows: int, concurrency: int) -> Run:
    async with engine_of(path, workload_w()) as engine, asyncio.TaskGroup() as group:
        workers = [
            group.create_task(serve(engine, name))
            for name in STEPS
            for _ in range(max(1, concurrency // 3))
        ]
        await drive(engine, "W", min(_WARM_UP, workflows), concurrency)
        window = Window()
        latencies = await drive(engine, "W", workflows, concurrency)
        measured = window.close()
        if concurrency == 1 and syncs() is not None:
            measured["syncs_on_the_way"] = await _syncs_on_the_way(engine)
        for worker in workers:
            worker.cancel()
    return per_task(measured, workflows, latencies)


async def _syncs_on_the_way(engine: Engine) -> float:
    """Syncs that a lone workflow waits for, from its start to its end: the median of some.

    Those of a checkpoint come now and then only, and are none of them.
    """
    counts = []
    for _ in range(_WATCHED):
        before = syncs() or 0
        await drive(engine, "W", 1, 1)
        counts.append((syncs() or 0) - before)
    return float(statistics.median(counts))


def per_task(measured: Run, workflows: int, latencies: list[float]) -> Run:
    """What a window saw of workload W, told by the task.

    Args:
        measured: what the window saw.
        workflows: that ended in it.
        latencies: seconds that each took.
    """
    tasks = workflows * len(STEPS)
    found = measured | {
        "tasks_per_cpu_s": tasks / measured["cpu_s"],
        "tasks_per_s": tasks / measured["wall_s"],
        "p50_ms": quantile(latencies, 0.50) * 1000,
        "p99_ms": quantile(latencies, 0.99) * 1000,
        "written_a_task": measured["written_bytes"] / tasks,
    }
    if "syncs" in measured:
        found["syncs_a_task"] = measured["syncs"] / tasks
        found["syncs_a_workflow"] = measured["syncs"] / workflows
    return found


def measure(folder: str, workflows: int, concurrency: int) -> Run:
    """Run W in this process.

    Args:
        folder: where its database is made.
        workflows, concurrency: how many, and how many at once.
    """
    path = Path(folder) / "w.db"
    measured = run_as_the_daemon(_measure(path, workflows, concurrency))
    # Closing has folded the log into the file.
    run_in_all = (
        workflows + min(_WARM_UP, workflows) + (_WATCHED if "syncs_on_the_way" in measured else 0)
    )
    return measured | {"stored_a_workflow": path.stat().st_size / run_in_all}


def ours(bench: Bench, concurrency: int, *, at_least_ms: float = 0.0, share: float = 1.0) -> Run:
    """One run of W in a process of Baton.

    Args:
        bench: where and how long.
        concurrency: workflows at once.
        at_least_ms: how long a sync takes at least.
        share: of the full length.
    """
    full = WORKFLOWS.get(concurrency, 5_000) * share
    task = {
        "folder": str(bench.new_folder("w")),
        "workflows": bench.many(round(full), least=20),
        "concurrency": concurrency,
    }
    return bench.child("tests.bench.inprocess", task, at_least_ms=at_least_ms)


_FIGURES = (
    ("tasks_per_cpu_s", "tasks", "per CPU-second"),
    ("tasks_per_s", "tasks", "per second"),
    ("p50_ms", "p50", "ms"),
    ("p99_ms", "p99", "ms"),
    ("syncs_a_task", "syncs", "a task"),
    ("written_a_task", "written", "bytes a task"),
    ("stored_a_workflow", "stored", "bytes a workflow"),
    ("peak_mb", "memory, peak", "MiB RSS"),
)


def figures_of(case: Case, against: Case | None) -> list[Figure]:
    """The figures of one case of W, each held against the same of another."""
    return [
        case.figure(field, what, unit, against=against)
        for field, what, unit in _FIGURES
        if case.values(field) or field == "tasks_per_cpu_s"
    ]


def run(bench: Bench) -> list[Figure]:
    """W in the process at every concurrency, DBOS in the same minutes."""
    found = [baseline.figure(bench)]
    for concurrency in bench.concurrency:
        cases = bench.alternate(
            {
                f"inprocess.c{concurrency}": (
                    f"W in process, {concurrency} at once",
                    partial(ours, bench, concurrency),
                ),
                f"dbos.c{concurrency}": (
                    f"DBOS + SQLite, {concurrency} at once",
                    partial(dbos.run, bench, concurrency),
                ),
            }
        )
        own, peer = cases.values()
        found += figures_of(own, peer)
        if concurrency == 1:
            found.append(own.figure("syncs_on_the_way", "syncs it waits for", "a workflow"))
        found += figures_of(peer, None)
    return found


if __name__ == "__main__":
    serve_child(measure)
