"""Very many workers that wait in long polls while there is nothing to do.

Run as a program it is the workers.
"""

from __future__ import annotations

import asyncio

from tests.bench.client import Connection
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, Run
from tests.bench.footprint import rest
from tests.bench.window import rss_mb
from tests.bench.workload import run_as_the_daemon
from tests.daemon import Daemon

_POLLS = 2_000
_QUEUES = 20
_POLL_MS = 5_000
"""The longest that the API allows, as Conductor's does: each poll comes again after it."""
_WATCH_S = 20
_SETTLE_S = 1.0


async def _wait(port: int, number: int) -> None:
    connection = await Connection.open(port)
    path = (
        f"/api/tasks/poll/batch/idle{number % _QUEUES}"
        f"?workerid=w{number}&count=1&timeout={_POLL_MS}"
    )
    while True:
        await connection.ask("GET", path)


async def _measure(port: int, pid: int, polls: int, watch_s: int) -> Run:
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(_wait(port, number)) for number in range(polls)]
        await asyncio.sleep(_SETTLE_S)
        measured = await asyncio.to_thread(rest, pid, idle_s=watch_s)
        measured["rss_mb"] = rss_mb(pid)
        for worker in workers:
            # A worker that is done has been refused: its error is raised by the group.
            worker.cancel()
    return measured


def measure(port: int, pid: int, polls: int, watch_s: int) -> Run:
    """Wait in long polls and watch the daemon.

    Args:
        port: of the loopback.
        pid: of the daemon.
        polls: workers, each with a connection of its own.
        watch_s: how long the daemon is watched.
    """
    return run_as_the_daemon(_measure(port, pid, polls, watch_s))


def run(bench: Bench) -> list[Figure]:
    """Two thousand idle long polls on twenty queues."""
    polls = bench.many(_POLLS, least=20)

    def once() -> Run:
        with Daemon(bench.new_folder("polls")) as daemon:
            task = {
                "port": daemon.port,
                "pid": daemon.pid,
                "polls": polls,
                "watch_s": bench.many(_WATCH_S, least=1),
            }
            return bench.child("tests.bench.polls", task, environment={})

    cases = bench.alternate({"polls": (f"{polls:,} idle long polls", once)}, counted=True)
    case = cases["polls"]
    return [
        case.figure("share", "CPU", "% of a core"),
        case.figure("wakeups_a_s", "wake-ups", "a second"),
        case.figure("rss_mb", "memory", "MiB RSS"),
    ]


if __name__ == "__main__":
    serve_child(measure)
