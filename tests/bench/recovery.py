"""Ready again after SIGKILL with ten thousand executions under way, and everything is there.

Run as a program it is the client that starts them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from pathlib import Path

import msgspec

from tests.bench.client import Connection
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, NotMeasured, Run
from tests.bench.load import START, report
from tests.bench.window import cpu_s, rss_mb
from tests.bench.workload import run_as_the_daemon, workload_w
from tests.daemon import Daemon

_RUNNING = 10_000
_CONNECTIONS = 100
_SHARE_MOVED = 0.5
"""Of the executions, how many have their first task behind them: records of both kinds."""


async def _fill(port: int, count: int) -> Run:
    connection = await Connection.open(port)
    await connection.ask("PUT", "/api/metadata/workflow", json.dumps([workload_w()]).encode())
    connection.close()
    left, moved = iter(range(count)), iter(range(round(count * _SHARE_MOVED)))

    async def start() -> None:
        connection = await Connection.open(port)
        for _ in left:
            await connection.ask("POST", "/api/workflow", START)
        connection.close()

    async def move() -> None:
        connection = await Connection.open(port)
        poll = "/api/tasks/poll/w1?workerid=bench"
        for _ in moved:
            answer = await connection.ask("GET", poll)
            await connection.ask("POST", "/api/tasks", report(msgspec.json.decode(answer)))
        connection.close()

    for step in (start, move):
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(step())
    return {}


def measure(port: int, count: int) -> Run:
    """Start executions and leave them under way.

    Args:
        port: of the loopback.
        count: of executions.
    """
    return run_as_the_daemon(_fill(port, count))


def _fill_and_kill(bench: Bench, count: int) -> Path:
    """A data directory as SIGKILL leaves it."""
    folder = bench.new_folder("recovery")
    with Daemon(folder / "data") as daemon:
        task = {"port": daemon.port, "count": count}
        bench.child("tests.bench.recovery", task, environment={})
        daemon.kill()
    return folder / "data"


def _restart(bench: Bench, killed: Path, count: int) -> Run:
    folder = bench.new_folder("restarted") / "data"
    shutil.copytree(killed, folder)
    with Daemon(folder) as daemon:
        measured = {
            "ready_ms": daemon.ready_after_s * 1000,
            "ready_cpu_ms": cpu_s(daemon.pid) * 1000,
            "rss_mb": rss_mb(daemon.pid),
        }
        with urllib.request.urlopen(f"{daemon.url}/api/tasks/queue/all", timeout=30) as answer:
            sizes = json.loads(answer.read())
    found = sum(sizes.get(step, 0) for step in ("w1", "w2", "w3"))
    if found != count:
        raise NotMeasured(f"{count:,} executions were under way, {found:,} are after the restart")
    return measured


def run(bench: Bench) -> list[Figure]:
    """Cold starts on copies of one data directory that a SIGKILL has left."""
    count = bench.many(_RUNNING, least=100)
    bench.say(f"starting {count:,} executions")
    killed = _fill_and_kill(bench, count)
    name = f"restart after SIGKILL, {count:,} running"
    cases = bench.alternate(
        {"recovery": (name, lambda: _restart(bench, killed, count))}, counted=True
    )
    case = cases["recovery"]
    return [
        case.figure("ready_ms", "to the ready line", "ms"),
        case.figure("ready_cpu_ms", "to the ready line", "CPU-ms"),
        case.figure("rss_mb", "memory", "MiB RSS"),
    ]


if __name__ == "__main__":
    serve_child(measure)
