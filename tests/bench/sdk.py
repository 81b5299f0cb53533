"""Workload W over HTTP by workers of the stock Python SDK, as most users write them.

The workers themselves stand in ``sdk_worker.py``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import msgspec

from tests.bench.client import Connection
from tests.bench.context import Bench
from tests.bench.figures import Figure, NotMeasured, Run
from tests.bench.load import START
from tests.bench.workload import workload_w
from tests.daemon import Daemon

_SDK_WITHIN_S = 120.0


def run(bench: Bench) -> list[Figure]:
    """W done by the stock SDK."""
    name = "W over HTTP, stock Python SDK"
    case = bench.alternate({"sdk": (name, lambda: _sdk(bench))})["sdk"]
    note = "three processes of ten threads"
    return [case.figure("tasks_per_s", "tasks", "per second", note=note)]


def _sdk(bench: Bench) -> Run:
    """The stock Python SDK: a TaskHandler with one process a task type, ten threads each."""
    workflows = bench.many(400, least=20)
    with Daemon(bench.new_folder("sdk")) as daemon:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sdk_worker", f"{daemon.url}/api"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            if "ready" not in process.stdout.readline():
                raise NotMeasured("the SDK's workers did not start")
            time.sleep(2)
            wall_s = asyncio.run(_start_and_await(daemon.port, workflows))
        finally:
            process.stdin.close()
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)
            process.stdout.close()
    return {"tasks_per_s": workflows * 3 / wall_s}


async def _start_and_await(port: int, workflows: int) -> float:
    connection = await Connection.open(port)
    definition = msgspec.json.encode([workload_w()])
    await connection.ask("PUT", "/api/metadata/workflow", definition)
    began = time.perf_counter()
    for _ in range(workflows):
        await connection.ask("POST", "/api/workflow", START)
    query = "/api/workflow/search?size=1&query=workflowType%3DW%20AND%20status%3DRUNNING"
    while msgspec.json.decode(await connection.ask("GET", query))["totalHits"]:
        if time.perf_counter() > began + _SDK_WITHIN_S:
            raise NotMeasured(f"the SDK's workers were not done within {_SDK_WITHIN_S:.0f} s")
        await asyncio.sleep(0.05)
    connection.close()
    return time.perf_counter() - began
