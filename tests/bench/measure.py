"""What is measured and how: CPU seconds of process trees, wall time, memory, a SQLite baseline.

No workload stands here.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Figure(msgspec.Struct, frozen=True):
    """One line of the result."""

    name: str
    value: float
    unit: str
    note: str = ""


def cpu_s(*pids: int) -> float:
    """CPU seconds, user and system, that these processes and their children have used."""
    return sum(_cpu_of(pid) for pid in pids)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own_and_waited = sum(int(field) for field in fields[11:15]) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own_and_waited + sum(_cpu_of(int(child)) for child in children)


def rss_mb(pid: int) -> float:
    """Resident memory of one process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def written_bytes(pid: int) -> int:
    """Bytes that a process has sent towards the disk."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def lone_commits_per_cpu_s(folder: Path, commits: int = 1_000) -> float:
    """The baseline: rows of 200 bytes, one synchronous commit each, on bare SQLite."""
    path = folder / "baseline.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    began = time.process_time()
    for _ in range(commits):
        connection.execute("INSERT INTO t (b) VALUES (?)", (b"x" * 200,))
    used = time.process_time() - began
    connection.close()
    path.unlink()
    return commits / used


def table(figures: list[Figure]) -> str:
    """The figures as text."""
    width = max(len(figure.name) for figure in figures)
    return "\n".join(
        f"{figure.name:<{width}}  {figure.value:>12,.1f} {figure.unit:<18} {figure.note}".rstrip()
        for figure in figures
    )
