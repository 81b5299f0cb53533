"""What some processes and the machine used between two moments: time, CPU, memory, bytes, syncs.

Only the standard library is imported: a peer's own Python reads this file, too. No workload stands
here.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

SYNC_COUNT = "BENCH_SYNC_COUNT"
"""Environment: the file in which ``sync_shim.c`` counts; absent = nothing is counted."""


def tree(*pids: int) -> list[int]:
    """These processes and all that they have started and that still run."""
    found: list[int] = []
    for pid in pids:
        try:
            threads = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            # It has ended in this moment.
            continue
        # So may any thread of it have, which then has nothing to tell.
        lines = [line for t in threads for line in _lines(f"{t}/children")]
        found += [pid, *tree(*(int(child) for line in lines for child in line.split()))]
    return found


def _threads(*pids: int) -> list[str]:
    """The folders of all threads of process trees."""
    found = []
    for pid in tree(*pids):
        with contextlib.suppress(OSError):
            found += [str(thread) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return found


def cpu_s(*pids: int) -> float:
    """CPU seconds, user and system, of process trees, children that have ended included."""
    total = 0
    for pid in tree(*pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / _TICKS


def fine_cpu_s(*pids: int) -> float:
    """CPU seconds of process trees to the nanosecond; threads that have ended are left out.

    A tick of ``cpu_s`` in ten seconds would be a tenth of a percent: too coarse for what rests.
    """
    total = 0
    for thread in _threads(*pids):
        fields = _lines(f"{thread}/schedstat")
        total += int(fields[0].split()[0]) if fields else 0
    return total / 1e9


def rss_mb(*pids: int) -> float:
    """Resident memory of process trees in MiB; pages that they share are counted for each."""
    total = 0
    for pid in tree(*pids):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * _PAGE / 2**20


def peak_mb(*pids: int) -> float:
    """The most resident memory that each process ever had, added up, in MiB."""
    return sum(_field(f"/proc/{pid}/status", "VmHWM") for pid in tree(*pids)) / 1024


def switches(*pids: int) -> int:
    """How often the threads of process trees have gone to sleep: a wake-up each."""
    return sum(_field(f"{thread}/status", "voluntary_ctxt_switches") for thread in _threads(*pids))


def written_bytes(*pids: int) -> int:
    """Bytes that process trees have sent towards the disk."""
    total = 0
    for pid in tree(*pids):
        for line in _lines(f"/proc/{pid}/io"):
            if line.startswith("write_bytes"):
                total += int(line.split()[1])
    return total


def syncs() -> int | None:
    """Syncs of this process and its children so far; None when nobody counts."""
    name = os.environ.get(SYNC_COUNT)
    if name is None:
        return None
    return int(struct.unpack("q", Path(name).read_bytes()[:8])[0])


def busy_s() -> float:
    """CPU seconds that the whole machine has spent, those that its host took included."""
    fields = [int(field) for field in _lines("/proc/stat")[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, softly, stolen = fields
    return (user + nice + system + interrupts + softly + stolen) / _TICKS


def age_s() -> float:
    """Seconds since this process was started."""
    began = int(_lines("/proc/self/stat")[0].rpartition(")")[2].split()[19]) / _TICKS
    return float(_lines("/proc/uptime")[0].split()[0]) - began


def quantile(values: list[float], share: float) -> float:
    """The value that this share of all values does not exceed; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _field(path: str, field: str) -> int:
    for line in _lines(path):
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


class Window:
    """Measures from its making to ``close``.

    Args:
        pids: roots of the process trees that are meant; none = this process.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids or (os.getpid(),)
        self._syncs = syncs()
        self._written = written_bytes(*self._pids)
        self._busy = busy_s()
        self._cpu = cpu_s(*self._pids)
        self._wall = time.perf_counter()

    def close(self) -> dict[str, float]:
        """What was used.

        Returns:
            wall_s; cpu_s and written_bytes of the trees; peak_mb of their whole lives; foreign:
            cores that all others kept busy; syncs, where they are counted.
        """
        wall = time.perf_counter() - self._wall
        cpu = cpu_s(*self._pids) - self._cpu
        found = {
            "wall_s": wall,
            # Nothing is measured finer than a tick, and nobody does anything in none.
            "cpu_s": max(cpu, 1 / _TICKS),
            "foreign": max(0.0, busy_s() - self._busy - cpu) / wall,
            "written_bytes": float(written_bytes(*self._pids) - self._written),
            "peak_mb": peak_mb(*self._pids),
        }
        if self._syncs is not None:
            found["syncs"] = float((syncs() or 0) - self._syncs)
        return found
