"""HTTP and HTTP_POLL on a real daemon: a real server at the far end, and a SIGKILL in between."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(120)

_CONFIG = "[workflows]\nenable = []\n"


class FarEnd(BaseHTTPRequestHandler):
    """Counts what it is asked and answers the count."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer how often this path has been asked for."""
        self.asked.append(self.path)
        body = json.dumps({"count": self.asked.count(self.path)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def far_end() -> Iterator[tuple[str, list[str]]]:
    """Where it answers, and the paths that it was asked for."""
    asked: list[str] = []
    handler = type("Counting", (FarEnd,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def _waiting(daemon: Daemon, workflow_id: str) -> dict[str, Any]:
    """The first task, once it has been put back for a while."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        task: dict[str, Any] = daemon.call("GET", f"/workflow/{workflow_id}")["tasks"][0]
        if task["callbackAfterSeconds"] > 0:
            return task
        time.sleep(0.05)
    raise AssertionError(f"in vain: {task}")


def _define(daemon: Daemon, kind: str, **request: Any) -> str:
    step = {
        "name": "ask", "taskReferenceName": "ask", "type": kind,
        "inputParameters": {"http_request": {"method": "GET", **request}},
    }  # fmt: skip
    definition = {"name": kind.lower(), "tasks": [step], "outputParameters": {
        "count": "${ask.output.response.body.count}"}}  # fmt: skip
    daemon.call("POST", "/metadata/workflow?overwrite=true", definition)
    return str(daemon.call("POST", f"/workflow/{kind.lower()}", {}))


def test_a_request_and_its_answer(tmp_path: Path, far_end: tuple[str, list[str]]) -> None:
    """From the definition to the workflow's output."""
    url, asked = far_end
    with Daemon(tmp_path / "data", config=_CONFIG) as daemon:
        started = _define(daemon, "HTTP", uri=f"{url}/once")
        done = daemon.ended(started)

    assert ("COMPLETED", {"count": 1}) == (done["status"], done["output"])
    assert ["/once"] == asked


def test_a_poll_goes_on_after_a_kill(tmp_path: Path, far_end: tuple[str, list[str]]) -> None:
    """The wait is on the disk: the next daemon asks at its moment, and completes the workflow."""
    url, asked = far_end
    condition = "$.output.response.body.count >= 3"
    with Daemon(tmp_path / "data", config=_CONFIG) as first:
        started = _define(
            first, "HTTP_POLL", uri=f"{url}/poll", terminationCondition=condition, pollingInterval=2
        )
        waiting = _waiting(first, started)
        first.kill()
    before = len(asked)
    with Daemon(tmp_path / "data", config=_CONFIG) as second:
        done = second.ended(started)

    assert "SCHEDULED" == waiting["status"]
    assert 2 == waiting["callbackAfterSeconds"]
    assert before < 3
    assert ("COMPLETED", {"count": 3}) == (done["status"], done["output"])
    assert 3 == len(asked)
