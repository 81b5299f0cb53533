"""Workload W through the REST API of a real daemon: a lean client, then the stock Python SDK.

One worker process each; the daemon and its client share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from tests.bench.inprocess import PAYLOAD, STEPS, workload_w
from tests.bench.measure import Figure, cpu_s, rss_mb
from tests.daemon import Daemon

_BATCH = 10
_SDK_WITHIN_S = 120


class Connection:
    """One keep-alive connection, as lean as Python allows: the server is what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to the loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request and read its answer's body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 20" not in answer[:13]:
            raise RuntimeError(f"{method} {path}: {answer}")
        length = 0
        for line in answer.splitlines():
            if line.startswith("content-length:"):
                length = int(line.split(":")[1])
        return await self._reader.readexactly(length) if length else b""

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def _worker(port: int, task_type: str, state: dict[str, int]) -> None:
    connection = await Connection.open(port)
    path = f"/api/tasks/poll/batch/{task_type}?workerid=bench&count={_BATCH}&timeout=1000"
    while state["done"] < state["total"]:
        tasks = msgspec.json.decode(await connection.ask("GET", path))
        for task in tasks:
            result = {
                "workflowInstanceId": task["workflowInstanceId"],
                "taskId": task["taskId"],
                "status": "COMPLETED",
                "outputData": msgspec.Raw(PAYLOAD),
            }
            await connection.ask("POST", "/api/tasks", msgspec.json.encode(result))
            state["done"] += 1
    connection.close()


async def _starter(port: int, state: dict[str, int], ahead: int) -> None:
    connection = await Connection.open(port)
    body = msgspec.json.encode({"name": "W", "input": msgspec.Raw(PAYLOAD)})
    while state["started"] < state["total"] // 3:
        if state["started"] - state["done"] // 3 > ahead:
            await asyncio.sleep(0.002)
            continue
        state["started"] += 1
        await connection.ask("POST", "/api/workflow", body)
    connection.close()


async def _lean(port: int, workflows: int, concurrency: int) -> float:
    connection = await Connection.open(port)
    await connection.ask("PUT", "/api/metadata/workflow", json.dumps([workload_w()]).encode())
    connection.close()
    state = {"done": 0, "started": 0, "total": workflows * 3}
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(_starter(port, state, concurrency))
        for name in STEPS:
            for _ in range(max(1, concurrency // 12)):
                group.create_task(_worker(port, name, state))
    return time.perf_counter() - began


def _sdk(daemon: Daemon, workflows: int) -> float:
    """The stock Python SDK: a TaskHandler with one process a task type, ten threads each."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sdk_worker", f"{daemon.url}/api"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        if "ready" not in process.stdout.readline():
            raise RuntimeError("the SDK's workers did not start")
        time.sleep(2)
        return asyncio.run(_start_and_await(daemon.port, workflows))
    finally:
        process.stdin.close()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


async def _start_and_await(port: int, workflows: int) -> float:
    connection = await Connection.open(port)
    body = msgspec.json.encode({"name": "W", "input": msgspec.Raw(PAYLOAD)})
    began = time.perf_counter()
    for _ in range(workflows):
        await connection.ask("POST", "/api/workflow", body)
    deadline = began + _SDK_WITHIN_S
    query = "/api/workflow/search?size=1&query=workflowType%3DW%20AND%20status%3DRUNNING"
    while msgspec.json.decode(await connection.ask("GET", query))["totalHits"]:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"the SDK's workers were not done within {_SDK_WITHIN_S} s")
        await asyncio.sleep(0.05)
    connection.close()
    return time.perf_counter() - began


def run(folder: Path, *, scale: float) -> list[Figure]:
    """Measure single updates at concurrency 100, then the stock SDK.

    Args:
        folder: where databases may be made.
        scale: 1.0 for the full length.
    """
    figures = []
    workflows = max(50, int(3_000 * scale))
    with Daemon(folder / "rest") as daemon:
        idle = rss_mb(daemon.pid)
        asyncio.run(_lean(daemon.port, 50, 100))
        used = cpu_s(daemon.pid)
        wall = asyncio.run(_lean(daemon.port, workflows, 100))
        used = cpu_s(daemon.pid) - used
        tasks = workflows * 3
        figures += [
            Figure(
                "W over REST, lean client: tasks", tasks / used, "per CPU-second", "server only"
            ),
            Figure("W over REST, lean client: tasks", tasks / wall, "per second"),
            Figure("daemon, idle", idle, "MiB RSS"),
            Figure("daemon, after the run", rss_mb(daemon.pid), "MiB RSS"),
        ]
        few = max(30, int(400 * scale))
        wall = _sdk(daemon, few)
        figures.append(Figure("W over REST, stock Python SDK: tasks", few * 3 / wall, "per second"))
    return figures


def footprint(folder: Path, runs: int = 5) -> list[Figure]:
    """Cold start to the ready line, and memory at rest."""
    starts: list[float] = []
    memory = 0.0
    for number in range(runs):
        with Daemon(folder / f"cold{number}") as daemon:
            starts.append(daemon.ready_after_s)
            memory = rss_mb(daemon.pid)
    starts.sort()
    return [
        Figure("cold start to ready, median", starts[len(starts) // 2] * 1000, "ms"),
        Figure("idle, no device", memory, "MiB RSS"),
    ]
