"""SIGKILL at any moment: what was acknowledged is there, and every workflow comes to its end."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(300)

_STEPS = ("k1", "k2", "k3")


class _Client:
    """Asks the daemon, whichever process that is at the moment, until it answers."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api"

    def once(self, method: str, path: str, body: Any = None) -> Any:
        """One request; None when nobody answered it."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error
        except OSError:
            return None
        except Exception as error:
            # A connection that broke in the middle of an answer is an answer that never came.
            if "IncompleteRead" in type(error).__name__ or "Remote" in type(error).__name__:
                return None
            raise
        return json.loads(text) if text[:1] in "[{" else text


def _work(client: _Client, step: str, stop: threading.Event, done: set[tuple[str, str]]) -> None:
    """A worker that notes what was acknowledged."""
    while not stop.is_set():
        tasks = client.once("GET", f"/tasks/poll/batch/{step}?count=5&timeout=100&workerid=w")
        if tasks is None:
            time.sleep(0.02)
        for task in tasks or []:
            result = {
                "workflowInstanceId": task["workflowInstanceId"],
                "taskId": task["taskId"],
                "status": "COMPLETED",
                "outputData": {"step": step},
            }
            if client.once("POST", "/tasks", result) is not None:
                done.add((task["workflowInstanceId"], task["referenceTaskName"]))


def ride(folder: Path, kills: int, seed: int) -> None:
    """Kill a busy daemon at random moments, then count everything."""
    chance = random.Random(seed)
    with _on_a_port_of_its_own(folder / "data") as daemon:
        client = _Client(daemon.port)
        steps = [{"name": s, "taskReferenceName": s, "type": "SIMPLE"} for s in _STEPS]
        client.once("PUT", "/metadata/workflow", [{"name": "kill", "tasks": steps}])
        stop, done, started = threading.Event(), set[tuple[str, str]](), list[str]()
        threads = [
            threading.Thread(target=_work, args=(client, step, stop, done), daemon=True)
            for step in _STEPS
        ]
        for thread in threads:
            thread.start()
        for number in range(kills):
            until = time.monotonic() + chance.uniform(0.05, 0.8)
            # Two at least, however slow the machine is.
            while time.monotonic() < until or len(started) < 2 * (number + 1):
                workflow_id = client.once("POST", "/workflow/kill", {"n": len(started)})
                if workflow_id is not None:
                    started.append(workflow_id)
            daemon.kill()
            daemon.start()
        executions = [_await_end(client, workflow_id) for workflow_id in started]
        stop.set()
        for thread in threads:
            thread.join(30)
        status = daemon.stop()

    assert kills < len(started)
    assert {"COMPLETED"} == {execution["status"] for execution in executions}
    for execution in executions:
        refs = [task["referenceTaskName"] for task in execution["tasks"]]
        assert list(_STEPS) == refs, "each step is there once"
    ends = {(e["workflowId"], t["referenceTaskName"]) for e in executions for t in e["tasks"]}
    assert done <= ends
    assert 0 == status


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Twenty-five kills in a row."""
    ride(tmp_path, kills=25, seed=11)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(20))
def test_nothing_acknowledged_is_lost_in_the_long_run(tmp_path: Path, seed: int) -> None:
    """A thousand kills in all."""
    ride(tmp_path, kills=50, seed=seed)


def _on_a_port_of_its_own(data_dir: Path) -> Daemon:
    """A daemon that takes the port of its first start for all the next ones."""
    with Daemon(data_dir) as first:
        port = first.port
    return Daemon(data_dir, port=port)


def _await_end(client: _Client, workflow_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        execution: dict[str, Any] | None = client.once("GET", f"/workflow/{workflow_id}")
        if execution and execution["status"] != "RUNNING":
            return execution
        time.sleep(0.02)
    raise AssertionError(f"{workflow_id} was acknowledged and never ended")
