"""DBOS with SQLite beside Baton: one run of workload W in a process of its own.

How it is installed stands in ``install.py``.
"""

from __future__ import annotations

from tests.bench.context import Bench
from tests.bench.figures import Run

_WORKFLOWS = {1: 150, 100: 300, 400: 400}
"""Workflows of one run at full length, by concurrency; more callers gain it nothing."""


def run(bench: Bench, concurrency: int, *, at_least_ms: float = 0.0, share: float = 1.0) -> Run:
    """One run of W.

    Args:
        bench: where and how long.
        concurrency: callers at once.
        at_least_ms: how long a sync takes at least.
        share: of the full length.

    Raises:
        NotMeasured: DBOS is not here, or failed.
    """
    full = _WORKFLOWS.get(concurrency, 400) * share
    task = {
        "folder": str(bench.new_folder("dbos")),
        "workflows": bench.many(round(full), least=10),
        "concurrency": concurrency,
    }
    return bench.child(
        "tests.bench.peers.dbos_workload",
        task,
        python=bench.peer().dbos_python(),
        at_least_ms=at_least_ms,
    )
