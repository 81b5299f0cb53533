"""A workflow of three tasks whose handlers are functions in the process, from start to result.

Run as a program it is the measured process; over HTTP it is a daemon with a folder of workflows.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.model.requests import StartRequest
from edge.steering import Steering
from edge.workers import Workers
from tests.bench.client import Connection
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, Run
from tests.bench.inprocess import per_task
from tests.bench.window import Window
from tests.bench.workload import PAYLOAD, STEPS, engine_of, run_as_the_daemon, workload_w
from tests.daemon import Daemon
from workflows.evidence import EvidenceStore
from workflows.task import pure

_WARM_UP = 20

_HANDLERS = """\
from workflows.task import pure


def echo(task):
    return dict(task.input)


@pure
def pure_echo(task):
    return dict(task.input)


HANDLERS = {step: %s for step in ("w1", "w2", "w3")}
"""


def _echo(task: Any) -> dict[str, Any]:
    return dict(task.input)


@pure
def _pure_echo(task: Any) -> dict[str, Any]:
    return dict(task.input)


async def _one_after_the_other(engine: Engine, workflows: int) -> list[float]:
    """Start a workflow and wait for its result, as ``POST /api/workflow/execute`` does."""
    steering, latencies = Steering(engine), []
    for _ in range(workflows):
        began = time.perf_counter()
        blocked = await steering.start_and_wait(
            StartRequest("W", input=PAYLOAD), refs=[], timeout_s=30
        )
        latencies.append(time.perf_counter() - began)
        assert blocked.view.workflow.status.terminal
    return latencies


async def _measure(folder: Path, workflows: int, *, is_pure: bool) -> Run:
    async with engine_of(folder / "w.db", workload_w()) as engine:
        evidence = EvidenceStore(folder / "evidence", budget_bytes=1_000_000, max_age_s=60)
        workers = Workers(engine, evidence, lambda name: None)
        workers.add_handlers(dict.fromkeys(STEPS, _pure_echo if is_pure else _echo))
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(workers.run())
            await _one_after_the_other(engine, _WARM_UP)
            window = Window()
            latencies = await _one_after_the_other(engine, workflows)
            measured = window.close()
            loop.cancel()
    return per_task(measured, workflows, latencies)


def measure(folder: str, workflows: int, is_pure: bool) -> Run:
    """Run workflows in this process, their handlers on threads of it.

    Args:
        folder: where its database is made.
        workflows: how many, one after the other.
        is_pure: whether their handlers are marked as pure.
    """
    return run_as_the_daemon(_measure(Path(folder), workflows, is_pure=is_pure))


async def _execute(port: int, pid: int, workflows: int) -> Run:
    connection = await Connection.open(port)
    body = msgspec.json.encode({"name": "W", "version": 1, "input": msgspec.Raw(PAYLOAD)})
    latencies = []
    for number in range(workflows + _WARM_UP):
        if number == _WARM_UP:
            window = Window(pid)
        began = time.perf_counter()
        answer = await connection.ask("POST", "/api/workflow/execute/W/1?waitForSeconds=30", body)
        latencies.append(time.perf_counter() - began)
        assert b'"COMPLETED"' in answer
    connection.close()
    return per_task(window.close(), workflows, latencies[_WARM_UP:])


def _over_http(bench: Bench, workflows: int, *, is_pure: bool) -> Run:
    """The same on a daemon: a site's folder of a definition and its handlers."""
    folder = bench.new_folder("execute")
    site = folder / "site" / "three"
    site.mkdir(parents=True)
    (site / "workflow.json").write_text(json.dumps(workload_w() | {"version": 1}))
    (site / "tasks.json").write_text("[]")
    (site / "handlers.py").write_text(_HANDLERS % ("pure_echo" if is_pure else "echo"))
    config = f'[workflows]\nenable = []\nfolders = ["{site.parent.resolve()}"]\n'
    with Daemon(folder / "data", config=config, environment=bench.shim.environment()) as daemon:
        return run_as_the_daemon(_execute(daemon.port, daemon.pid, workflows))


def run(bench: Bench) -> list[Figure]:
    """Three handlers, one after the other, in the process and through the API."""
    workflows = bench.many(400, least=20)

    def in_process(*, is_pure: bool) -> Run:
        folder = str(bench.new_folder("handlers"))
        task = {"folder": folder, "workflows": workflows, "is_pure": is_pure}
        return bench.child("tests.bench.handlers", task)

    def over_http(*, is_pure: bool) -> Run:
        return _over_http(bench, workflows, is_pure=is_pure)

    cases = bench.alternate(
        {
            f"{key}{mark}": (f"three {word}handlers, {what}", partial(run_it, is_pure=is_pure))
            for mark, word, is_pure in (("", "", False), (".pure", "pure ", True))
            for key, what, run_it in (
                ("handlers", "synchronous", in_process),
                ("execute", "POST /workflow/execute", over_http),
            )
        }
    )
    found = []
    for case in cases.values():
        found += [
            case.figure("p50_ms", "p50", "ms"),
            case.figure("p99_ms", "p99", "ms"),
            case.figure("tasks_per_cpu_s", "tasks", "per CPU-second"),
        ]
        if case.values("syncs_a_workflow"):
            found.append(case.figure("syncs_a_workflow", "syncs", "a workflow"))
    return found


if __name__ == "__main__":
    serve_child(measure)
