"""Restate beside Baton: its server and a Node process with the handler, loaded over HTTP.

How it is installed stands in ``install.py``. Run as a program it is the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.client import Connection
from tests.bench.context import Bench, serve_child
from tests.bench.figures import NotMeasured, Run
from tests.bench.load import over_http
from tests.bench.peers.install import restate_server
from tests.bench.window import Window, cpu_s, rss_mb
from tests.bench.workload import PAYLOAD, STEPS, run_as_the_daemon

_WORKFLOWS = {1: 300, 100: 2_500, 400: 2_500}
"""Workflows of one run at full length, by concurrency."""

_WARM_UP = 50
_READY_WITHIN_S = 60.0
_HANDLERS = Path(__file__).with_name("restate_handlers.mjs")
_SYNC_CALLS = "fsync,fdatasync,sync_file_range,msync"


class Restate(NamedTuple):
    """Restate as it runs."""

    port: int
    """Where workflows are started."""
    pids: list[int]
    """The server, then the process of the handler."""
    ready_s: float
    """From the start of the server until its first answer with a result."""
    idle_mb: float
    """Resident memory of both after that answer, MiB."""


@contextlib.contextmanager
def running(bench: Bench) -> Iterator[Restate]:
    """Restate on a fresh folder, listening on the loopback only.

    Raises:
        NotMeasured: it is not here, or does not get ready.
    """
    home = bench.peer().restate()
    folder = bench.new_folder("restate")
    shutil.copy(_HANDLERS, home)
    ingress, admin, node, handlers = _free_ports(4)
    environment = {
        **os.environ,
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
    }
    server = [
        str(restate_server(home)), "--no-logo", "--node-name", "bench", "--listen-mode", "tcp",
        "--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1", "--base-dir", str(folder),
    ]  # fmt: skip
    worker = ["node", _HANDLERS.name, str(handlers)]
    began = time.perf_counter()
    with (
        _process(server, folder, environment) as first,
        _process(worker, home, {**os.environ}) as second,
    ):
        _register(admin, handlers)
        _until_it_answers(ingress)
        ready_s = time.perf_counter() - began
        pids = [first.pid, second.pid]
        yield Restate(ingress, pids, ready_s, rss_mb(*pids))


@contextlib.contextmanager
def _process(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens at now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _post(port: int, path: str, body: bytes) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
    return found


def _register(admin: int, handlers: int) -> None:
    """Tell the server where the handler is, as soon as both listen."""
    body = json.dumps({"uri": f"http://127.0.0.1:{handlers}"}).encode()
    _until(lambda: _post(admin, "/deployments", body))


def _until_it_answers(ingress: int) -> None:
    _until(lambda: _post(ingress, "/w/three", PAYLOAD))


def _until(once: Callable[[], bytes]) -> None:
    """Repeat a request until it is answered."""
    until = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            once()
        except OSError as error:
            if time.monotonic() > until:
                message = f"Restate was not ready within {_READY_WITHIN_S:.0f} s: {error}"
                raise NotMeasured(message) from error
            time.sleep(0.02)
        else:
            return


async def _drive(port: int, workflows: int, concurrency: int) -> list[float]:
    left = iter(range(workflows))
    latencies: list[float] = []

    async def one_after_the_other() -> None:
        connection = await Connection.open(port)
        for _ in left:
            began = time.perf_counter()
            await connection.ask("POST", "/w/three", PAYLOAD)
            latencies.append(time.perf_counter() - began)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one_after_the_other())
    return latencies


async def _measure(port: int, pids: list[int], workflows: int, concurrency: int) -> Run:
    await _drive(port, min(_WARM_UP, workflows), concurrency)
    window, own = Window(*pids), cpu_s(os.getpid())
    latencies = await _drive(port, workflows, concurrency)
    return over_http(window, cpu_s(os.getpid()) - own, workflows, latencies)


def measure(port: int, pids: list[int], workflows: int, concurrency: int) -> Run:
    """Load Restate at a port until all workflows have ended.

    Args:
        port: of the loopback.
        pids: of the server and of the handler's process.
        workflows, concurrency: how many, and how many at once.
    """
    return run_as_the_daemon(_measure(port, pids, workflows, concurrency))


def run(bench: Bench, concurrency: int) -> Run:
    """One run of W on a fresh Restate.

    Args:
        bench: where and how long.
        concurrency: callers at once.

    Raises:
        NotMeasured: Restate is not here, or failed.
    """
    full = _WORKFLOWS.get(concurrency, 2_500)
    with running(bench) as restate:
        task = {
            "port": restate.port,
            "pids": restate.pids,
            "workflows": bench.many(full, least=20),
            "concurrency": concurrency,
        }
        measured = bench.child("tests.bench.peers.restate", task, environment={})
    return measured | {"ready_ms": restate.ready_s * 1000, "idle_mb": restate.idle_mb}


def count_syncs(bench: Bench) -> Run:
    """Syncs of W one after the other, counted from outside: its server is linked statically.

    Raises:
        NotMeasured: Restate or strace is not here.
    """
    if shutil.which("strace") is None:
        raise NotMeasured("Restate's syncs are counted by strace: `sudo apt-get install strace`")
    workflows = bench.many(100, least=10)
    with running(bench) as restate:
        table = bench.folder / "restate-syncs"
        task = {
            "port": restate.port,
            "pids": restate.pids,
            "workflows": workflows,
            "concurrency": 1,
        }
        bench.child("tests.bench.peers.restate", task | {"workflows": 5}, environment={})
        command = ["strace", "-f", "-q", "-c", "-e", f"trace={_SYNC_CALLS}", "-o", str(table)]
        tracer = subprocess.Popen(
            [*command, "-p", str(restate.pids[0])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(0.5)
            bench.child("tests.bench.peers.restate", task, environment={})
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        calls = re.findall(
            r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*sync", table.read_text(), re.MULTILINE
        )
    # The client warms up, too.
    done = workflows + min(_WARM_UP, workflows)
    return {"syncs_a_task": sum(int(one) for one in calls) / (done * len(STEPS))}


if __name__ == "__main__":
    serve_child(measure)
