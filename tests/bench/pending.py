"""Very many executions that wait: for a timer, or for a worker that does not come.

What they cost in memory, on the disk and at a restart. Run as a program it is the measured process.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from edge.engine import Engine
from edge.model.requests import StartRequest
from edge.timekeeper import Timekeeper
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, Run
from tests.bench.window import Window, fine_cpu_s, quantile, rss_mb
from tests.bench.workload import PAYLOAD, engine_of, run_as_the_daemon, workload_w

_PENDING = 100_000
_AT_ONCE = 500
_IDLE_S = 2.0
_TIMERS, _TIMER_S = 500, 1
"""Short timers among the many long ones: how late they fire is what a wait is worth."""


def _wait(name: str, duration: str) -> dict[str, Any]:
    task = {
        "name": "wait",
        "taskReferenceName": "wait",
        "type": "WAIT",
        "inputParameters": {"duration": duration},
    }
    return {"name": name, "tasks": [task]}


_DEFINITIONS = {"waits": _wait("waits", "30 days"), "queued": workload_w("queued")}


async def _fill(engine: Engine, name: str, count: int) -> None:
    left = iter(range(count))

    async def start() -> None:
        for _ in left:
            await engine.start(StartRequest(name, input=PAYLOAD))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(start())


async def _late_ms(engine: Engine, timers: int) -> list[float]:
    """How many milliseconds after its time each short timer's execution had ended."""
    began: dict[str, float] = {}
    ended: dict[str, float] = {}

    def watch(change: Any) -> None:
        if change.status.terminal:
            ended[change.workflow_id] = time.perf_counter()

    unsubscribe = engine.subscribe(watch)
    for _ in range(timers):
        # From the start's commit, a little before the answer: so the lateness is rather less here
        # than it is, by the way of one answer.
        workflow_id = await engine.start(StartRequest("short", input=PAYLOAD))
        began[workflow_id] = time.perf_counter()
    while len(ended) < timers:
        await asyncio.sleep(0.05)
    unsubscribe()
    return [(ended[one] - began[one] - _TIMER_S) * 1000 for one in began]


async def _measure(path: Path, kind: str, count: int) -> Run:
    short = _wait("short", f"{_TIMER_S} seconds")
    async with engine_of(path, _DEFINITIONS[kind], short) as engine, asyncio.TaskGroup() as group:
        timekeeper = group.create_task(Timekeeper(engine).run())
        empty_mb, window = rss_mb(os.getpid()), Window()
        await _fill(engine, kind, count)
        measured = window.close()
        measured["rss_mb"] = rss_mb(os.getpid())
        cpu = fine_cpu_s(os.getpid())
        await asyncio.sleep(_IDLE_S)
        measured["idle_share"] = (fine_cpu_s(os.getpid()) - cpu) / _IDLE_S * 100
        if kind == "waits":
            late = await _late_ms(engine, min(_TIMERS, count))
            measured["late_p50_ms"] = quantile(late, 0.50)
            measured["late_p99_ms"] = quantile(late, 0.99)
        timekeeper.cancel()
    return measured | {
        "starts_per_cpu_s": count / measured["cpu_s"],
        "bytes_each": (measured["rss_mb"] - empty_mb) * 2**20 / count,
    }


async def _reopen(path: Path) -> Run:
    """A second process on the same database: what a restart costs."""
    began, cpu = time.perf_counter(), time.process_time()
    async with engine_of(path) as engine, asyncio.TaskGroup() as group:
        timekeeper = group.create_task(Timekeeper(engine).run())
        await engine.request(lambda transaction: None)
        opened_s, opened_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        timekeeper.cancel()
        memory = rss_mb(os.getpid())
    return {
        "reopened_rss_mb": memory,
        "reopened_ms": opened_s * 1000,
        "reopened_cpu_ms": opened_cpu_s * 1000,
    }


def measure(folder: str, kind: str, count: int, *, reopen: bool = False) -> Run:
    """Start executions that wait, or open a database that is full of them.

    Args:
        folder: of the database.
        kind: ``waits`` for a timer, ``queued`` for a worker.
        count: of executions.
        reopen: whether they are there already.
    """
    path = Path(folder) / "pending.db"
    if reopen:
        return run_as_the_daemon(_reopen(path))
    measured = run_as_the_daemon(_measure(path, kind, count))
    return measured | {"stored_each": path.stat().st_size / count}


def _once(bench: Bench, kind: str) -> Run:
    count = bench.many(_PENDING, least=200)
    task = {"folder": str(bench.new_folder(kind)), "kind": kind, "count": count}
    measured = bench.child("tests.bench.pending", task)
    again = bench.child("tests.bench.pending", task | {"reopen": True})
    return measured | again | {"count": float(count)}


_FIGURES = (
    ("rss_mb", "memory", "MiB RSS"),
    ("bytes_each", "memory", "bytes each"),
    ("stored_each", "stored", "bytes each"),
    ("starts_per_cpu_s", "starts", "per CPU-second"),
    ("idle_share", "at rest", "% of a core"),
    ("reopened_ms", "opened again in", "ms"),
    ("reopened_cpu_ms", "opened again in", "CPU-ms"),
    ("reopened_rss_mb", "opened again, memory", "MiB RSS"),
    ("late_p50_ms", "other timers late, p50", "ms"),
    ("late_p99_ms", "other timers late, p99", "ms"),
)


def run(bench: Bench) -> list[Figure]:
    """A hundred thousand WAITs, then as many executions whose first task nobody takes."""
    count = bench.many(_PENDING, least=200)
    cases = bench.alternate(
        {
            "waits": (f"{count:,} pending WAITs", lambda: _once(bench, "waits")),
            "queued": (f"{count:,} pending workflows", lambda: _once(bench, "queued")),
        },
        counted=True,
    )
    return [
        case.figure(field, what, unit)
        for case in cases.values()
        for field, what, unit in _FIGURES
        if case.values(field) or field == "rss_mb"
    ]


if __name__ == "__main__":
    serve_child(measure)
