"""The floor under every durable engine on SQLite: a row of 200 bytes and one synced commit.

Nothing of Baton is measured here.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tests.bench.context import Bench, serve_child
from tests.bench.figures import Case, Figure, Run

_COMMITS = 1_000


def measure(folder: str, commits: int) -> Run:
    """Commit one row after the other in this process.

    Args:
        folder: where the database is made.
        commits: how many.
    """
    connection = sqlite3.connect(Path(folder) / "baseline.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(commits):
        connection.execute("INSERT INTO t (b) VALUES (?)", (b"x" * 200,))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    connection.close()
    return {"commits_per_cpu_s": commits / cpu, "ms": wall / commits * 1000}


def case(bench: Bench) -> Case:
    """The baseline, measured as often as everything else."""
    name = "bare SQLite, one row a commit"

    def once() -> Run:
        folder, commits = bench.new_folder("bare"), bench.many(_COMMITS, least=50)
        return bench.child("tests.bench.baseline", {"folder": str(folder), "commits": commits})

    return bench.alternate({"baseline": (name, once)})["baseline"]


def figure(bench: Bench) -> Figure:
    """What a lone durable commit costs here."""
    return case(bench).figure("commits_per_cpu_s", "commits", "per CPU-second")


if __name__ == "__main__":
    serve_child(measure)
