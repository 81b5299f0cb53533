"""Cold start, memory and wake-ups of a daemon that has nothing to do, beside its peers.

No load runs here.
"""

from __future__ import annotations

import time

from tests.bench.context import Bench
from tests.bench.figures import Figure, Run
from tests.bench.peers import dbos, restate
from tests.bench.window import Window, cpu_s, fine_cpu_s, rss_mb, switches
from tests.daemon import Daemon

_IDLE_S = 20
_SETTLE_S = 8.0
"""After its start a daemon writes a page or two once; then it rests."""


def _cold(bench: Bench) -> Run:
    """A daemon on an empty folder, from the start of its process to the ready line."""
    with Daemon(bench.new_folder("cold")) as daemon:
        return {
            "ready_ms": daemon.ready_after_s * 1000,
            "ready_cpu_ms": cpu_s(daemon.pid) * 1000,
            "rss_mb": rss_mb(daemon.pid),
        }


def _idle(bench: Bench) -> Run:
    """A daemon left alone."""
    idle_s = bench.many(_IDLE_S, least=1)
    with Daemon(bench.new_folder("idle")) as daemon:
        time.sleep(_SETTLE_S)
        return rest(daemon.pid, idle_s=idle_s) | {"rss_mb": rss_mb(daemon.pid)}


def rest(*pids: int, idle_s: float) -> Run:
    """What process trees do while nobody asks anything of them.

    Args:
        pids: their roots.
        idle_s: how long they are watched.
    """
    window, awake, cpu = Window(*pids), switches(*pids), fine_cpu_s(*pids)
    time.sleep(idle_s)
    awake, cpu = switches(*pids) - awake, fine_cpu_s(*pids) - cpu
    measured = window.close()
    return {
        "foreign": measured["foreign"],
        "share": cpu / measured["wall_s"] * 100,
        "wakeups_a_s": awake / measured["wall_s"],
        "written_an_hour": measured["written_bytes"] / measured["wall_s"] * 3_600,
    }


def _restate_at_rest(bench: Bench) -> Run:
    idle_s = bench.many(_IDLE_S, least=1)
    with restate.running(bench) as peer:
        time.sleep(_SETTLE_S)
        found = rest(*peer.pids, idle_s=idle_s)
        return found | {"ready_ms": peer.ready_s * 1000, "rss_mb": rss_mb(*peer.pids)}


def _dbos_at_rest(bench: Bench) -> Run:
    measured = dbos.run(bench, 1, share=0.1)
    return {"ready_ms": measured["ready_ms"], "rss_mb": measured["idle_mb"]}


def run(bench: Bench) -> list[Figure]:
    """Start and rest: the daemon, Restate, DBOS."""
    cases = bench.alternate(
        {
            "cold": ("cold start", lambda: _cold(bench)),
            "idle": ("idle daemon", lambda: _idle(bench)),
            "rest.restate": ("idle Restate with its handler", lambda: _restate_at_rest(bench)),
            "rest.dbos": ("idle DBOS, a library", lambda: _dbos_at_rest(bench)),
        }
    )
    cold, idle, peer, library = cases.values()
    found = [
        cold.figure("ready_ms", "to the ready line", "ms", against=peer),
        cold.figure("ready_cpu_ms", "to the ready line", "CPU-ms"),
        idle.figure("rss_mb", "memory", "MiB RSS", against=peer),
        idle.figure("share", "CPU", "% of a core", against=peer),
        idle.figure("wakeups_a_s", "wake-ups", "a second", against=peer),
        idle.figure("written_an_hour", "written", "bytes an hour", against=peer),
        peer.figure("ready_ms", "to its first answer", "ms"),
        peer.figure("rss_mb", "memory", "MiB RSS"),
        library.figure("ready_ms", "to its launch", "ms"),
        library.figure("rss_mb", "memory", "MiB RSS"),
    ]
    if peer.runs:
        found += [
            peer.figure("share", "CPU", "% of a core"),
            peer.figure("wakeups_a_s", "wake-ups", "a second"),
            peer.figure("written_an_hour", "written", "bytes an hour"),
        ]
    return found
