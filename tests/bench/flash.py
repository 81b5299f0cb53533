"""Workload W on flash that is slow to sync: 3 ms as on good eMMC, 10 ms as on a poor card.

The delay is made by ``sync_shim.c``: every sync is made and takes at least that long. Its variance
and a slow write are not imitated.
"""

from __future__ import annotations

from functools import partial

from tests.bench import inprocess
from tests.bench.context import Bench
from tests.bench.figures import Figure, NotMeasured, Run
from tests.bench.peers import dbos

_DELAYS_MS = (3, 10)
_SHARE = 0.25
"""Of the full length: what is slow is not measured for longer."""


def run(bench: Bench) -> list[Figure]:
    """W at every concurrency, DBOS one after the other, on each kind of flash."""
    found = []
    for delay_ms in _DELAYS_MS:
        cases = {
            f"flash{delay_ms}.c{concurrency}": (
                f"W in process, {delay_ms} ms a sync, {concurrency} at once",
                partial(_slow, bench, concurrency, delay_ms),
            )
            for concurrency in bench.concurrency
        }
        cases[f"flash{delay_ms}.dbos"] = (
            f"DBOS + SQLite, {delay_ms} ms a sync, 1 at once",
            partial(_slow_dbos, bench, delay_ms),
        )
        measured = bench.alternate(cases)
        peer = measured[f"flash{delay_ms}.dbos"]
        for key, case in measured.items():
            against = peer if key.endswith(".c1") else None
            found += [
                case.figure("tasks_per_s", "tasks", "per second", against=against),
                case.figure("p50_ms", "p50", "ms", against=against),
                case.figure("p99_ms", "p99", "ms", against=against),
            ]
    return found


def _slow(bench: Bench, concurrency: int, delay_ms: int) -> Run:
    _require_shim(bench)
    return inprocess.ours(bench, concurrency, at_least_ms=delay_ms, share=_SHARE)


def _slow_dbos(bench: Bench, delay_ms: int) -> Run:
    _require_shim(bench)
    return dbos.run(bench, 1, at_least_ms=delay_ms, share=_SHARE)


def _require_shim(bench: Bench) -> None:
    if bench.shim.missing:
        raise NotMeasured(bench.shim.missing)
