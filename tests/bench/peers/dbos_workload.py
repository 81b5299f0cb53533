"""Workload W on DBOS with SQLite, with its defaults; run by DBOS's own Python.

Nothing of Baton's product is imported here.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from dbos import DBOS, DBOSConfig

from tests.bench.window import Window, age_s, quantile, rss_mb

_PAYLOAD = {"a": "x" * 180}
_STEPS = 3
_WARM_UP = 5


@DBOS.step()
def first(payload: dict[str, str]) -> dict[str, str]:
    """The first task."""
    return payload


@DBOS.step()
def second(payload: dict[str, str]) -> dict[str, str]:
    """The second task."""
    return payload


@DBOS.step()
def third(payload: dict[str, str]) -> dict[str, str]:
    """The third task."""
    return payload


@DBOS.workflow()
def three(payload: dict[str, str]) -> dict[str, str]:
    """The three of them, one after the other."""
    done: dict[str, str] = third(second(first(payload)))
    return done


def _drive(workflows: int, concurrency: int) -> list[float]:
    """Keep ``concurrency`` threads calling until all are done; seconds that each call took."""
    left = iter(range(workflows))
    lock = threading.Lock()
    latencies: list[float] = []

    def one_after_the_other() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            began = time.perf_counter()
            three(_PAYLOAD)
            latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one_after_the_other) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) != workflows:
        raise RuntimeError(f"{workflows - len(latencies)} workflows failed")
    return latencies


def main(folder: str, workflows: int, concurrency: int) -> None:
    """Run W and print what it took.

    Args:
        folder: where the database is made.
        workflows, concurrency: how many, and how many at once.
    """
    path = Path(folder) / "dbos.db"
    DBOS(config=DBOSConfig(name="bench", system_database_url=f"sqlite:///{path}"))
    DBOS.launch()
    ready_s = age_s()
    _drive(_WARM_UP, 1)
    idle_mb = rss_mb(os.getpid())
    window = Window()
    latencies = _drive(workflows, concurrency)
    measured = window.close()
    tasks = workflows * _STEPS
    measured |= {
        "tasks_per_cpu_s": tasks / measured["cpu_s"],
        "tasks_per_s": tasks / measured["wall_s"],
        "p50_ms": quantile(latencies, 0.50) * 1000,
        "p99_ms": quantile(latencies, 0.99) * 1000,
        "written_a_task": measured["written_bytes"] / tasks,
        "stored_a_workflow": path.stat().st_size / (workflows + _WARM_UP),
        "ready_ms": ready_s * 1000,
        "idle_mb": idle_mb,
    }
    if "syncs" in measured:
        measured["syncs_a_task"] = measured["syncs"] / tasks
    DBOS.destroy()
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
