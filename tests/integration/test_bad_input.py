"""Bad input against a real daemon: a clear refusal or a failed task, and nothing else notices."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(120)

_OPEN = ("RUNNING", "PAUSED")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all of it: what breaks it for one breaks it for all."""
    with Daemon(tmp_path_factory.mktemp("bad")) as running:
        register(running, "plain", simple("a"))
        yield running
        assert httpx.get(f"{running.url}/health", timeout=30).json()["healthy"]
        assert "Traceback" not in running.errors()
        # Nothing of all this is left lying about.
        names = {path.name for path in running.data_dir.iterdir()}
        assert not [name for name in names if "core" in name or name.endswith(".tmp")]


def call(daemon: Daemon, method: str, path: str, **options: Any) -> httpx.Response:
    """One request under ``/api``."""
    return httpx.request(method, f"{daemon.url}/api{path}", timeout=60, **options)


def simple(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    """A step whose name is its reference."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def register(daemon: Daemon, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
    """Register a workflow."""
    body = {"name": name, "tasks": list(tasks), **fields}
    answer = call(daemon, "POST", "/metadata/workflow?overwrite=true", json=body)
    assert answer.status_code == 200, answer.text


def start(daemon: Daemon, name: str, **values: Any) -> str:
    """Start a workflow."""
    answer = call(daemon, "POST", f"/workflow/{name}", json=values)
    assert answer.status_code == 200, answer.text
    return answer.text


def ended(daemon: Daemon, workflow_id: str, within_s: float = 30) -> dict[str, Any]:
    """The execution once it has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found: dict[str, Any] = call(daemon, "GET", f"/workflow/{workflow_id}").json()
        if found["status"] not in _OPEN:
            return found
        time.sleep(0.05)
    raise AssertionError("it does not end")


DEEP = b'{"name":"plain","input":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
LISTS = b'{"name":"plain","input":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"", {400}),
        (b"{", {400}),
        (b"not json", {400}),
        (b'{"name": "plain", "input": NaN}', {400}),
        (b'{"name": "plain", "input": {"x": Infinity}}', {400}),
        (b'{"name": "plain", "input": {"x": "\xff"}}', {400}),
        (b'{"name": "plain", "input": {"x": "\\ud800"}}', {400}),
        (b'{"name": "plain", "priority": 100}', {400}),
        (b'{"name": "plain", "priority": "high"}', {400}),
        (b'{"name": "plain", "input": []}', {400}),
        (b'{"name": 5}', {404}),
        (b'{"name": [5]}', {400}),
        (b'{"name": "nobody"}', {404}),
        (b'{"name": "plain", "idempotencyKey": "k", "idempotencyStrategy": "MAYBE"}', {400}),
        (b'{"name": "plain", "version": 1e400}', {400}),
        (b'{"name": "plain", "version": 99999999999999999999}', {400, 404}),
        (DEEP, {400}),
        (LISTS, {400}),
        (b'"' + b"x" * 1_000_000 + b'"', {400}),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_cannot_be_started(daemon: Daemon, body: bytes, statuses: set[int]) -> None:
    """The answer is JSON with a message; a start that is accepted is an execution that can end."""
    headers = {"content-type": "application/json"}
    answer = call(daemon, "POST", "/workflow", content=body, headers=headers)

    assert answer.status_code in statuses, answer.text
    if answer.status_code == 200:
        assert call(daemon, "DELETE", f"/workflow/{answer.text}").status_code == 200
    else:
        assert answer.json()["message"]
        assert answer.json()["status"] == answer.status_code


def test_a_body_of_64_megabytes_is_refused_unread(daemon: Daemon) -> None:
    """By its announced size, or as soon as it has passed the limit."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as line:
        line.sendall(b"POST /api/workflow HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n")
        assert b" 413 " in line.recv(4_096)

    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 1_048_576

    try:
        answer = call(daemon, "POST", "/workflow", content=chunks())
    except (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError):
        # The connection was closed while we were still writing, which is an answer as well.
        return
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"timeoutPolicy": "NEVER"}, "timeoutPolicy"),
        ({"tasks": [simple("a", retryCount="many")]}, "retryCount"),
        ({"tasks": [simple("a"), simple("a")]}, "taskReferenceName"),
        ({"tasks": []}, "tasks"),
        ({"schemaVersion": 1}, "schemaVersion"),
        ({"tasks": [simple("f", "FORK_JOIN", forkTasks=[[]])]}, "forkTasks"),
        ({"tasks": [simple("w", "WAIT", inputParameters={"duration": "soon"})]}, "tasks"),
        ({"tasks": [simple("a", inputParameters={"x": "${b.output"})], "version": -1}, "version"),
    ],
)
def test_definitions_that_break_rules(daemon: Daemon, fields: dict[str, Any], field: str) -> None:
    """The refusal names the field, and nothing is registered."""
    body = {"name": "broken", "tasks": [simple("a")], **fields}
    answer = call(daemon, "POST", "/metadata/workflow", json=body)

    assert answer.status_code == 400
    assert field in answer.text
    assert call(daemon, "GET", "/metadata/workflow/broken").status_code == 404


def test_a_definition_nested_without_end(daemon: Daemon) -> None:
    """It is refused, not followed."""
    inner: list[dict[str, Any]] = [simple("leaf")]
    for number in range(200):
        inner = [
            simple(f"s{number}", "SWITCH", evaluatorType="value-param", expression="x",
                   decisionCases={"a": inner})
        ]  # fmt: skip
    answer = call(daemon, "POST", "/metadata/workflow", json={"name": "deep", "tasks": inner})

    assert answer.status_code == 400
    assert "deep" in answer.text


def test_workflows_that_start_themselves_end(daemon: Daemon) -> None:
    """Alone, in a circle, and in two branches at once; all of it fails, in bounded number."""

    def child(ref: str, name: str, **fields: Any) -> dict[str, Any]:
        return simple(ref, "SUB_WORKFLOW", subWorkflowParam={"name": name}, **fields)

    register(daemon, "itself", child("c", "itself"))
    register(daemon, "ping", child("c", "pong"))
    register(daemon, "pong", child("c", "ping"))
    register(
        daemon, "twice",
        simple("f", "FORK_JOIN", forkTasks=[[child("a", "twice")], [child("b", "twice")]]),
        simple("j", "JOIN", joinOn=["a", "b"]),
    )  # fmt: skip
    for name in ("itself", "ping", "twice"):
        assert ended(daemon, start(daemon, name))["status"] == "FAILED"
    found = call(daemon, "GET", "/workflow/search?query=workflowType=twice&size=1").json()
    assert found["totalHits"] < 200


@pytest.mark.parametrize(
    ("expression", "evaluator"),
    [
        ("while (true) {}", "javascript"),
        ("let a = []; while (true) a.push(new Array(10000).fill(7))", "javascript"),
        ("/^(a+)+$/.test('a'.repeat(40) + 'b')", "javascript"),
        ("(function f() { return f() })()", "javascript"),
        ("'x'.repeat(2 ** 29)", "javascript"),
        ("while True:\n  pass", "python"),
        ("return 'x' * (1 << 40)", "python"),
        ("return __import__('os').system('true')", "python"),
    ],
)
def test_scripts_that_misbehave_fail_their_task(
    daemon: Daemon, expression: str, evaluator: str
) -> None:
    """And a workflow beside them goes on while they run."""
    inputs = {"expression": expression, "evaluatorType": evaluator}
    register(daemon, "script", simple("i", "INLINE", inputParameters=inputs))
    with httpx.Client(timeout=60) as client:
        request = {"name": "script", "input": {"x": 1}}
        # The start answers when the script has been judged; others are not made to wait for it.
        workflow_id = client.post(f"{daemon.url}/api/workflow", json=request).text
    execution = ended(daemon, workflow_id)

    assert execution["status"] == "FAILED"
    assert execution["tasks"][0]["outputData"]["error"]
    beside = start(daemon, "plain")
    assert call(daemon, "DELETE", f"/workflow/{beside}").status_code == 200


def test_whatever_state_it_is_in_an_execution_can_be_ended(daemon: Daemon) -> None:
    """Pause, terminate and delete work on an endless loop, a poisoned expression and a deep value."""
    register(
        daemon, "endless",
        simple("l", "DO_WHILE", loopOver=[simple("n", "NOOP")], evaluatorType="value-param",
               loopCondition="go", inputParameters={"go": True, "keepLastN": 2}),
    )  # fmt: skip
    register(
        daemon, "poison",
        simple("h", "HUMAN", inputParameters={"x": "${workflow.input.list[?(@.s =~ /^(a+)+$/)].s}"}),
    )  # fmt: skip
    deep: Any = 1
    for _ in range(90):
        deep = {"a": deep}
    for name, values in (
        ("endless", {}),
        ("poison", {"list": [{"s": "a" * 60 + "b"}], "a": deep}),
        ("plain", {"a": deep}),
    ):
        one = start(daemon, name, **values)
        assert call(daemon, "PUT", f"/workflow/{one}/pause").status_code == 200
        assert call(daemon, "GET", f"/workflow/{one}").json()["status"] == "PAUSED"
        assert call(daemon, "PUT", f"/workflow/{one}/resume").status_code == 200
        assert call(daemon, "DELETE", f"/workflow/{one}").status_code == 200
        path = f"/workflow/{one}/remove?archiveWorkflow=false"
        assert call(daemon, "DELETE", path).status_code == 200
        assert call(daemon, "GET", f"/workflow/{one}").status_code == 404


def test_a_worker_that_answers_nonsense(daemon: Daemon) -> None:
    """Each answer is refused with its field; the task stays with its worker."""
    one = start(daemon, "plain")
    task = call(daemon, "GET", "/tasks/poll/a?workerid=w").json()
    good = {"workflowInstanceId": one, "taskId": task["taskId"], "status": "COMPLETED"}
    for change, status in (
        ({"status": "DONE"}, 400),
        ({"taskId": ""}, 400),
        ({"taskId": "nonsense"}, 404),
        ({"outputData": [1]}, 400),
        ({"callbackAfterSeconds": -1}, 400),
        ({"logs": "line"}, 400),
    ):
        answer = call(daemon, "POST", "/tasks", content=json.dumps(good | change))
        assert answer.status_code == status, answer.text
    assert call(daemon, "POST", "/tasks", json=good).status_code == 200
    assert ended(daemon, one)["status"] == "COMPLETED"
