"""The load on a daemon: starts W over HTTP and does its tasks, in a process of its own.

Run as a program it is the client; what the server used is measured elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

import msgspec

from tests.bench.client import Connection
from tests.bench.context import serve_child
from tests.bench.figures import Run
from tests.bench.inprocess import per_task
from tests.bench.window import Window, cpu_s
from tests.bench.workload import PAYLOAD, STEPS, run_as_the_daemon, workload_w

_BATCH = 10
"""Tasks that a worker asks for at a time, when more than one workflow is under way."""

_LIST = 50
"""The same for one that reports them together."""

_WARM_UP = 50

START = msgspec.json.encode({"name": "W", "input": msgspec.Raw(PAYLOAD)})


class _Progress:
    """How far a run is.

    Args:
        total: workflows to run.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.started = 0
        self.ended = 0
        self.began_s: dict[str, float] = {}
        self.ended_s: dict[str, float] = {}
        self.changed = asyncio.Event()
        self.done = asyncio.Event()
        """All of them have ended."""

    def end(self, workflow_id: str) -> None:
        """The last task of a workflow has been acknowledged."""
        self.ended += 1
        self.ended_s[workflow_id] = time.perf_counter()
        self.changed.set()
        if self.ended == self.total:
            self.done.set()

    def latencies(self) -> list[float]:
        """Seconds from the request of a start to the acknowledgement of its last task."""
        return [self.ended_s[one] - began for one, began in self.began_s.items()]


def report(task: dict[str, str]) -> bytes:
    """The report that a task is done."""
    return msgspec.json.encode(
        {
            "workflowInstanceId": task["workflowInstanceId"],
            "taskId": task["taskId"],
            "status": "COMPLETED",
            "workerId": "bench",
            "outputData": msgspec.Raw(PAYLOAD),
        }
    )


async def _work_in_lists(port: int, step: str, progress: _Progress, *, batch: int) -> None:
    """A worker that reports all the tasks of a poll in one request."""
    connection = await Connection.open(port)
    poll = f"/api/tasks/poll/batch/{step}?workerid=bench&count={batch}&timeout=1000"
    last = step == STEPS[-1]
    try:
        while True:
            tasks = msgspec.json.decode(await connection.ask("GET", poll))
            if tasks:
                body = b"[%b]" % b",".join(map(report, tasks))
                answer = msgspec.json.decode(await connection.ask("POST", "/api/tasks/bulk", body))
                assert not answer["bulkErrorResults"], answer
            for task in tasks if last else ():
                progress.end(task["workflowInstanceId"])
    finally:
        connection.close()


async def _work(port: int, step: str, progress: _Progress, *, batch: int, chained: bool) -> None:
    """A worker: polls and reports until it is cancelled; chained, a report brings the next task.

    With the end of the last workflow most are in the midst of a poll, and what that waits for is no
    part of the load.
    """
    connection = await Connection.open(port)
    poll = f"/api/tasks/poll/batch/{step}?workerid=bench&count={batch}&timeout=1000"
    path = "/api/tasks/update-v2" if chained else "/api/tasks"
    last = step == STEPS[-1]
    try:
        while True:
            for first in msgspec.json.decode(await connection.ask("GET", poll)):
                task = first
                while task:
                    answer = await connection.ask("POST", path, report(task))
                    if last:
                        progress.end(task["workflowInstanceId"])
                    task = msgspec.json.decode(answer) if chained and answer else None
    finally:
        connection.close()


async def _start(port: int, progress: _Progress, concurrency: int) -> None:
    """Keep so many workflows under way."""
    connection = await Connection.open(port)
    while progress.started < progress.total:
        if progress.started - progress.ended >= concurrency:
            progress.changed.clear()
            await progress.changed.wait()
            continue
        progress.started += 1
        began = time.perf_counter()
        workflow_id = (await connection.ask("POST", "/api/workflow", START)).decode()
        progress.began_s[workflow_id] = began
    connection.close()


async def drive(
    port: int, workflows: int, concurrency: int, *, chained: bool, lists: bool = False
) -> _Progress:
    """Run workflows, so many at once; shows how long each took.

    Args:
        port: of the daemon.
        workflows, concurrency: how many, and how many at once.
        chained: whether a report brings the next task along.
        lists: whether the tasks of a poll are reported together.
    """
    progress = _Progress(workflows)
    async with asyncio.TaskGroup() as group:
        # Whoever wants a workflow waits for nobody else's: as with the peers.
        for _ in range(concurrency):
            group.create_task(_start(port, progress, concurrency))
        # One that is chained holds one task at a time: others would wait in its hands for as long
        # as its reports bring more.
        batch = 1 if chained else min(_BATCH, concurrency)
        workers = [
            group.create_task(
                _work_in_lists(port, step, progress, batch=_LIST)
                if lists
                else _work(port, step, progress, batch=batch, chained=chained)
            )
            for step in STEPS
            for _ in range(max(1, concurrency // (6 if chained else 12)))
        ]
        await progress.done.wait()
        for worker in workers:
            worker.cancel()
    return progress


async def _measure(
    port: int, pids: list[int], workflows: int, concurrency: int, *, chained: bool, lists: bool
) -> Run:
    connection = await Connection.open(port)
    await connection.ask("PUT", "/api/metadata/workflow", json.dumps([workload_w()]).encode())
    connection.close()
    await drive(port, min(_WARM_UP, workflows), concurrency, chained=chained, lists=lists)
    window, own = Window(*pids), cpu_s(os.getpid())
    progress = await drive(port, workflows, concurrency, chained=chained, lists=lists)
    return over_http(window, cpu_s(os.getpid()) - own, workflows, progress.latencies())


def over_http(window: Window, client_cpu_s: float, workflows: int, latencies: list[float]) -> Run:
    """What W came to, the server alone and all processes together.

    Args:
        window: of the server, still open.
        client_cpu_s: CPU seconds of this process in it.
        workflows: that ended in it.
        latencies: seconds that each took.
    """
    server = per_task(window.close(), workflows, latencies)
    tasks = workflows * len(STEPS)
    return server | {
        "tasks_per_server_cpu_s": server["tasks_per_cpu_s"],
        "tasks_per_cpu_s": tasks / (server["cpu_s"] + client_cpu_s),
        "foreign": max(0.0, server["foreign"] - client_cpu_s / server["wall_s"]),
    }


def measure(
    port: int,
    pids: list[int],
    workflows: int,
    concurrency: int,
    *,
    chained: bool = False,
    lists: bool = False,
) -> Run:
    """Load the daemon at a port until all workflows have ended.

    Args:
        port: of the loopback.
        pids: of the server.
        workflows, concurrency: how many, and how many at once.
        chained: whether a report brings the next task along (update-v2).
        lists: whether the tasks of a poll are reported together.
    """
    running = _measure(port, pids, workflows, concurrency, chained=chained, lists=lists)
    return run_as_the_daemon(running)


if __name__ == "__main__":
    serve_child(measure)
