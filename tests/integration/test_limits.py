"""Limits of a real daemon: its own HTTP calls, workers over REST, a kill in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(120)


class _Slow(ThreadingHTTPServer):
    """Answers after a while, and counts how many it is answering at once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.busy = 0
        self.most = 0
        self.times: list[float] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Slow

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
            self.server.times.append(time.monotonic())
        time.sleep(0.15)
        with self.server.lock:
            self.server.busy -= 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def slow() -> Iterator[_Slow]:
    """A server that takes its time."""
    server = _Slow()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def _poll(daemon: Daemon, kind: str, count: int = 20, timeout_ms: int = 0) -> list[dict[str, Any]]:
    path = f"/tasks/poll/batch/{kind}?count={count}&timeout={timeout_ms}&workerid=w"
    found: list[dict[str, Any]] = daemon.call("GET", path)
    return found


def _polled(daemon: Daemon, kind: str) -> list[dict[str, Any]]:
    """One task, from as many of the longest polls as it takes on a slow machine."""
    for _ in range(6):
        if found := _poll(daemon, kind, 1, 5_000):
            return found
    return []


def _complete(daemon: Daemon, task: dict[str, Any]) -> None:
    result = {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "status": "COMPLETED",
    }
    daemon.call("POST", "/tasks", result)


def _http_workflow(daemon: Daemon, slow: _Slow, calls: int) -> str:
    url = f"http://127.0.0.1:{slow.server_address[1]}/"
    refs = [f"call_{number}" for number in range(calls)]
    branches = [
        [
            {
                "name": "slow_call",
                "taskReferenceName": ref,
                "type": "HTTP",
                "inputParameters": {"uri": url, "method": "GET"},
            }
        ]
        for ref in refs
    ]
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": branches}
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": refs}
    daemon.call("PUT", "/metadata/workflow", [{"name": "calls", "tasks": [fork, join]}])
    workflow_id: str = daemon.call("POST", "/workflow/calls", {})
    return workflow_id


def test_calls_of_the_engine_are_limited_too(tmp_path: Path, slow: _Slow) -> None:
    """Eight calls, two at once: never three, always two, and no pause between them."""
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("POST", "/metadata/taskdefs", [{"name": "slow_call", "concurrentExecLimit": 2}])
        workflow_id = _http_workflow(daemon, slow, 8)

        assert "COMPLETED" == daemon.ended(workflow_id)["status"]
        assert 2 == slow.most
        assert 8 == len(slow.times)
        # Four rounds of 0.15 s; a slot that waits for a sweep would cost minutes.
        assert slow.times[-1] - slow.times[0] < 20


def test_calls_of_the_engine_keep_to_their_rate(tmp_path: Path, slow: _Slow) -> None:
    """Three a second: the seventh call is made after two seconds and not before."""
    limits = {
        "name": "slow_call",
        "rateLimitPerFrequency": 3,
        "rateLimitFrequencyInSeconds": 1,
    }
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("POST", "/metadata/taskdefs", [limits])
        workflow_id = _http_workflow(daemon, slow, 7)

        assert "COMPLETED" == daemon.ended(workflow_id)["status"]
        tasks = daemon.call("GET", f"/workflow/{workflow_id}")["tasks"]
        starts = sorted(task["startTime"] for task in tasks if task["taskType"] == "HTTP")
        gaps = [later - earlier for earlier, later in zip(starts, starts[3:], strict=False)]
        # The wall clock's milliseconds are compared, the monotonic clock's are counted. What had to
        # wait for a sweep would wait for a minute.
        assert [] == [gap for gap in gaps if not 995 <= gap < 10_000]
        assert 4 == len(gaps)


def test_a_kill_does_not_lift_a_limit(tmp_path: Path) -> None:
    """Before and after: at most two in hand, the oldest first, the rest counted as waiting."""
    definition = {"name": "w", "tasks": [{"name": "a", "taskReferenceName": "a"}]}
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("POST", "/metadata/taskdefs", [{"name": "a", "concurrentExecLimit": 2}])
        daemon.call("PUT", "/metadata/workflow", [definition])
        ids = [daemon.call("POST", "/workflow/w", {"n": number}) for number in range(5)]
        before = _poll(daemon, "a")
        waiting = daemon.call("GET", "/tasks/queue/sizes?taskType=a")
        daemon.kill()
        daemon.start()
        after = _poll(daemon, "a")
        hidden = _poll(daemon, "a")
        seen: list[list[dict[str, Any]]] = []
        thread = threading.Thread(target=lambda: seen.append(_polled(daemon, "a")))
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        _complete(daemon, after[0])
        thread.join(30)
        woken_after_s = time.monotonic() - began
        for task in [after[1], *seen[0]]:
            _complete(daemon, task)
        rest = [task for _ in range(2) for task in _poll(daemon, "a", 1)]
        for task in rest:
            _complete(daemon, task)

        assert ids[:2] == [task["workflowInstanceId"] for task in before]
        assert ids[:2] == [task["workflowInstanceId"] for task in after]
        assert {"a": 3} == waiting
        assert [] == hidden
        assert ids[2:] == [task["workflowInstanceId"] for task in [*seen[0], *rest]]
        assert woken_after_s < 10
        assert {"COMPLETED"} == {daemon.ended(one)["status"] for one in ids}


def test_a_line_of_executions_outlives_a_kill(tmp_path: Path) -> None:
    """One at a time for each key, in the order of the starts, before and after."""
    definition = {
        "name": "w",
        "tasks": [{"name": "a", "taskReferenceName": "a"}],
        "rateLimitConfig": {"rateLimitKey": "${workflow.input.user}", "concurrentExecLimit": 1},
    }
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("PUT", "/metadata/workflow", [definition])
        ids = [daemon.call("POST", "/workflow/w", {"user": "u"}) for _ in range(3)]
        other = daemon.call("POST", "/workflow/w", {"user": "v"})
        before = {task["workflowInstanceId"] for task in _poll(daemon, "a")}
        daemon.kill()
        daemon.start()
        waiting = daemon.call("GET", f"/workflow/{ids[1]}")
        order: list[str] = []
        for _ in range(4):
            (task,) = _polled(daemon, "a")
            order.append(task["workflowInstanceId"])
            _complete(daemon, task)

        assert {ids[0], other} == before
        assert ("RUNNING", True, "u", []) == (
            waiting["status"],
            waiting["rateLimited"],
            waiting["rateLimitKey"],
            waiting["tasks"],
        )
        assert ids == [one for one in order if one != other]
        assert {"COMPLETED"} == {daemon.ended(one)["status"] for one in [*ids, other]}


def test_an_output_is_used_again_after_a_kill(tmp_path: Path, slow: _Slow) -> None:
    """The call is made once, although the second execution runs in another process."""
    call = {
        "name": "fetch",
        "taskReferenceName": "fetch",
        "type": "HTTP",
        "inputParameters": {"uri": f"http://127.0.0.1:{slow.server_address[1]}/", "method": "GET"},
        "cacheConfig": {"key": "${uri}-${method}", "ttlInSecond": 600},
    }
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("PUT", "/metadata/workflow", [{"name": "w", "tasks": [call]}])
        first = daemon.call("POST", "/workflow/w", {})
        assert "COMPLETED" == daemon.ended(first)["status"]
        output = daemon.call("GET", f"/workflow/{first}")["output"]
        daemon.kill()
        daemon.start()
        second = daemon.call("GET", f"/workflow/{daemon.call('POST', '/workflow/w', {})}")

        assert ("COMPLETED", output) == (second["status"], second["output"])
        assert 1 == len(slow.times)
