"""HTTP tasks against a real server on the loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from edge.clock import RandomIds
from edge.model.definitions import WorkflowDefinition
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.requests import Answer, TaskView
from edge.system_tasks import HttpCalls


class _Server(BaseHTTPRequestHandler):
    """Answers by path; says what it was sent under /echo."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length).decode()
        bodies = {
            "/number": b"5",
            "/text": b"hello",
            "/quoted": b'"hi"',
            "/empty": b"",
            "/list": b"[1, 2]",
            "/true": b"true",
            "/large": b"x" * 4_000_000,
            "/missing": b"no such thing",
        }
        body = bodies.get(self.path)
        if body is None:
            body = msgspec.json.encode(
                {"body": sent, "type": self.headers.get("Content-Type"), "x": self.headers["X-A"]}
            )
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server that runs for one test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def _call(values: dict[str, Any], **step: Any) -> Answer:
    document = {
        "name": "w",
        "tasks": [{"name": "h", "taskReferenceName": "h", "type": "HTTP", **step}],
    }
    pinned = Pinned(1, msgspec.convert(document, WorkflowDefinition), b"")
    workflow = Workflow(1, RandomIds().workflow_id(1), "w", 1, 1, WorkflowStatus.RUNNING)
    task = Task(
        1, 1, "h", "HTTP", "HTTP", "h", TaskStatus.SCHEDULED, input=msgspec.json.encode(values)
    )

    async def main() -> Answer:
        calls = HttpCalls()
        answer = await calls(TaskView(workflow, pinned, task))
        await calls.close()
        return answer

    return asyncio.run(main())


def _request(uri: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
    return {"http_request": {"uri": uri, "method": method, **fields}}


def test_a_request_with_a_body(address: str) -> None:
    """JSON goes out as JSON, headers as text; the answer is parsed."""
    answer = _call(
        _request(f"{address}/echo", "POST", body={"a": 1}, headers={"X-A": 7, "X-B": None})
    )
    response = answer.output["response"]

    assert TaskStatus.COMPLETED is answer.status
    assert (200, "OK") == (response["statusCode"], response["reasonPhrase"])
    assert {"body": '{"a":1}', "type": "application/json", "x": "7"} == response["body"]
    assert isinstance(response["headers"]["content-length"], list)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("number", 5.0),
        ("text", "hello"),
        ("quoted", "hi"),
        ("empty", None),
        ("list", [1, 2]),
        ("true", "true"),
    ],
)
def test_bodies(address: str, path: str, body: Any) -> None:
    """Numbers are doubles, other scalars are text, nothing is null."""
    answer = _call({"uri": f"{address}/{path}", "method": "get"})

    assert body == answer.output["response"]["body"]
    assert type(body) is type(answer.output["response"]["body"])


def test_async_complete_stays_in_progress(address: str) -> None:
    """The other side will say when it is done."""
    answer = _call(_request(f"{address}/text"), asyncComplete=True)

    assert TaskStatus.IN_PROGRESS is answer.status


def test_other_statuses_fail(address: str) -> None:
    """The task may be tried again, and the reason shows what came back."""
    answer = _call(_request(f"{address}/missing"))

    assert TaskStatus.FAILED is answer.status
    assert (
        "Failed to invoke HTTP task due to: java.lang.Exception: 404 Not Found: no such thing"
        == answer.reason
    )
    assert isinstance(answer.output["response"], str)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "Missing HTTP URI."),
        ({"http_request": None}, "Missing HTTP URI."),
        (_request("http://x", ""), "No HTTP method specified"),
        (_request("http://x", "BREW"), "BREW is none of"),
        (_request("file:///etc/passwd"), "must begin with http"),
    ],
)
def test_requests_that_cannot_be_made(values: dict[str, Any], reason: str) -> None:
    """They are wrong for good, and say why."""
    answer = _call(values)

    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is answer.status
    assert reason in (answer.reason or "")


def test_nobody_answers() -> None:
    """A refused connection fails the attempt."""
    answer = _call(_request("http://127.0.0.1:1/", connectionTimeOut=500))

    assert TaskStatus.FAILED is answer.status
    assert "ConnectError" in (answer.reason or "")


def test_an_answer_that_is_too_large(address: str) -> None:
    """It is not read to its end."""
    answer = _call(_request(f"{address}/large"))

    assert TaskStatus.FAILED is answer.status
    assert "larger than" in (answer.reason or "")
