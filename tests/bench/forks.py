"""What a branch of a dynamic fork costs in wide forks, against the same in narrow ones.

If any step of the engine looks at all branches for each, the wide forks show it. Run as a program
it is the measured process.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.model.requests import StartRequest
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Case, Figure, Run
from tests.bench.inprocess import serve
from tests.bench.window import Window
from tests.bench.workload import engine_of, run_as_the_daemon

NARROW, WIDE, WIDEST = 100, 1_000, 10_000
_WORKERS = 100


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


async def _drive(engine: Engine, branches: int, times: int) -> Run:
    """Run forks one after the other; what one of them took."""
    ended = asyncio.Event()

    def watch(change: Any) -> None:
        if change.status.terminal:
            ended.set()

    unsubscribe = engine.subscribe(watch)
    items = msgspec.json.encode({"items": [{"a": n} for n in range(branches)]})
    window = Window()
    for _ in range(times):
        ended.clear()
        await engine.start(StartRequest("fork", input=items))
        await ended.wait()
    measured = window.close()
    unsubscribe()
    return measured | {
        "ms": measured["wall_s"] / times * 1000,
        "branches_per_cpu_s": branches * times / measured["cpu_s"],
        "written_a_branch": measured["written_bytes"] / (branches * times),
    }


async def _measure(path: Path, branches: int, times: int) -> Run:
    async with engine_of(path, _fork()) as engine, asyncio.TaskGroup() as group:
        workers = [group.create_task(serve(engine, "branch")) for _ in range(_WORKERS)]
        await _drive(engine, NARROW, 2)
        measured = await _drive(engine, branches, times)
        for worker in workers:
            worker.cancel()
    return measured


def measure(folder: str, branches: int, times: int) -> Run:
    """Run forks in this process.

    Args:
        folder: where its database is made.
        branches: of each fork.
        times: how many forks, one after the other.
    """
    return run_as_the_daemon(_measure(Path(folder) / "forks.db", branches, times))


def _once(bench: Bench, branches: int) -> Run:
    # As many branches in all cases, so that the runs are of one length.
    times = max(1, bench.many(WIDEST, least=branches) // branches)
    task = {"folder": str(bench.new_folder("forks")), "branches": branches, "times": times}
    return bench.child("tests.bench.forks", task)


def run(bench: Bench) -> list[Figure]:
    """Narrow, wide and widest forks, as many branches of each."""
    cases = bench.alternate(
        {
            f"fork.{branches}": (
                f"fork of {branches:,}",
                partial(_once, bench, branches),
            )
            for branches in (NARROW, WIDE, WIDEST)
        }
    )
    narrow = cases[f"fork.{NARROW}"]
    found = []
    for case in cases.values():
        against = None if case is narrow else narrow
        found += [
            case.figure("ms", "start to end", "ms"),
            case.figure("branches_per_cpu_s", "branches", "per CPU-second", against=against),
            case.figure("written_a_branch", "written", "bytes a branch", against=against),
            case.figure("peak_mb", "memory, peak", "MiB RSS"),
        ]
    found.append(_ratio(narrow, cases[f"fork.{WIDEST}"]))
    return found


def _ratio(narrow: Case, widest: Case) -> Figure:
    """How much more CPU a branch takes in the widest fork than in the narrow ones."""
    pairs = zip(
        narrow.values("branches_per_cpu_s"), widest.values("branches_per_cpu_s"), strict=False
    )
    runs = [{"ratio": few / many} for few, many in pairs]
    case = Case("forks", f"a branch of {WIDEST:,} against one of {NARROW}", runs)
    return case.figure("ratio", "CPU", "times")


if __name__ == "__main__":
    serve_child(measure)
