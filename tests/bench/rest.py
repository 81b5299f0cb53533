"""Workload W over the REST API of a real daemon, against Restate.

The daemon, its client and everybody else share the machine.
"""

from __future__ import annotations

from functools import partial

from tests.bench.context import Bench
from tests.bench.figures import Case, Figure, Run
from tests.bench.peers import restate
from tests.daemon import Daemon

WORKFLOWS = {1: 400, 100: 3_000, 400: 3_000}
"""Workflows of one run at full length, by concurrency."""


def ours(bench: Bench, concurrency: int, *, chained: bool = False, lists: bool = False) -> Run:
    """One run of W over HTTP on a fresh daemon.

    Args:
        bench: where and how long.
        concurrency: workflows at once.
        chained: whether a report brings the next task along.
        lists: whether the tasks of a poll are reported together.
    """
    environment = bench.shim.environment()
    with Daemon(bench.new_folder("rest"), environment=environment) as daemon:
        task = {
            "port": daemon.port,
            "pids": [daemon.pid],
            "workflows": bench.many(WORKFLOWS.get(concurrency, 3_000), least=20),
            "concurrency": concurrency,
            "chained": chained,
            "lists": lists,
        }
        return bench.child("tests.bench.load", task, environment=environment)


_FIGURES = (
    ("tasks_per_cpu_s", "tasks, all processes", "per CPU-second"),
    ("tasks_per_server_cpu_s", "tasks, server only", "per CPU-second"),
    ("tasks_per_s", "tasks", "per second"),
    ("p50_ms", "p50", "ms"),
    ("p99_ms", "p99", "ms"),
    ("syncs_a_task", "syncs", "a task"),
    ("written_a_task", "written", "bytes a task"),
    ("peak_mb", "memory of the server, peak", "MiB RSS"),
)


def _figures(case: Case, against: Case | None) -> list[Figure]:
    return [
        case.figure(field, what, unit, against=against)
        for field, what, unit in _FIGURES
        if case.values(field) or field == "tasks_per_cpu_s"
    ]


def run(bench: Bench) -> list[Figure]:
    """W over HTTP at every concurrency, Restate in the same minutes."""
    found: list[Figure] = []
    for concurrency in bench.concurrency:
        at_once = f"{concurrency} at once"
        cases = {
            f"rest.c{concurrency}": (
                f"W over HTTP, {at_once}",
                partial(ours, bench, concurrency),
            ),
            f"chained.c{concurrency}": (
                f"W over HTTP, {at_once}, a report brings the next task",
                partial(ours, bench, concurrency, chained=True),
            ),
            f"lists.c{concurrency}": (
                f"W over HTTP, {at_once}, reports in lists",
                partial(ours, bench, concurrency, lists=True),
            ),
            f"restate.c{concurrency}": (
                f"Restate, {at_once}",
                partial(restate.run, bench, concurrency),
            ),
        }
        if concurrency == 1:
            # With one workflow there is no next task that a report could bring, and no list.
            del cases["chained.c1"], cases["lists.c1"]
        measured = bench.alternate(cases)
        peer = measured[f"restate.c{concurrency}"]
        for case in measured.values():
            found += _figures(case, None if case is peer else peer)
        if concurrency == 1 and peer.runs:
            found.append(_restate_syncs(bench))
    return found


def _restate_syncs(bench: Bench) -> Figure:
    name = "Restate, 1 at once"
    case = bench.alternate({"restate.c1": (name, lambda: restate.count_syncs(bench))})
    return case["restate.c1"].figure("syncs_a_task", "syncs", "a task", note="by strace")
