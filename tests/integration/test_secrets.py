"""Secrets through a real daemon: used, and found in no file, log or record afterwards."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, Refused

pytestmark = pytest.mark.timeout(120)

SECRET = "s3cr3t-bytes-that-nobody-may-find-8f31"
SECOND = "0ther-s3cret-bytes-d2a9"


@pytest.fixture
def echo() -> Iterator[tuple[str, list[str]]]:
    """A server that shows in its answer what it was sent, and the headers that it saw."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Shows what it was sent."""

        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            body = json.dumps({"headers": dict(self.headers)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join(5)


def _flow(uri: str) -> dict[str, Any]:
    def step(ref: str, kind: str, **parameters: Any) -> dict[str, Any]:
        return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": parameters}

    token = "${workflow.secrets.TOKEN}"
    headers = {"Authorization": "${build.output.result}"}
    uri = f"{uri}/?t={token}"
    return {
        "name": "discreet",
        "tasks": [
            step("build", "INLINE", expression="'Bearer ' + $.token", token=token),
            step("send", "HTTP", http_request={"uri": uri, "method": "GET", "headers": headers}),
            step("bad", "HTTP", uri=f"http://127.0.0.1:1/{token}", method="GET") | {"optional": True},
            step("keep", "UPDATE_SECRET", _secrets={"secretKey": "COPY", "secretValue": token}),
            step("work", "SIMPLE", token=token),
        ],
        "outputParameters": {"token": token, "sent": "${send.output}"},
    }  # fmt: skip


def _polled(daemon: Daemon) -> dict[str, Any]:
    for _ in range(200):
        tasks = daemon.call("GET", "/tasks/poll/batch/work?workerid=w&timeout=500")
        if tasks:
            return dict(tasks[0])
    raise AssertionError("the workflow did not come to its worker")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_secret_is_used_and_found_nowhere(tmp_path: Path, echo: tuple[str, list[str]]) -> None:
    """Scripts, HTTP tasks, a worker and UPDATE_SECRET have it; database, WAL, logs, history do not.

    History is recorded, as for a control plane; its rows lie in the same file until they are taken.
    The daemon is killed, so that nothing is tidied up before the files are read.
    """
    uri, seen = echo
    config = '[sync]\nbroker = "mqtt://127.0.0.1:1"\n[daemon]\nlog_level = "debug"\n'
    with Daemon(tmp_path / "data", config=config) as daemon:
        daemon.call("PUT", "/secrets/TOKEN", SECRET)
        daemon.call("PUT", "/secrets/GONE", SECOND)
        daemon.call("DELETE", "/secrets/GONE")
        daemon.call("POST", "/metadata/workflow", _flow(uri))
        workflow_id = daemon.call("POST", "/workflow", {"name": "discreet"})
        task = _polled(daemon)
        result = {
            "workflowInstanceId": workflow_id,
            "taskId": task["taskId"],
            "status": "COMPLETED",
        }
        daemon.call("POST", "/tasks", {**result, "outputData": {"length": len(SECRET)}})
        run = daemon.ended(workflow_id)

        assert SECRET == task["inputData"]["token"]
        assert [f"Bearer {SECRET}"] == seen
        assert "COMPLETED" == run["status"], run
        assert SECRET == daemon.call("GET", "/secrets/COPY")
        sent = run["output"]["sent"]["response"]["body"]["headers"]["Authorization"]
        assert "Bearer ${workflow.secrets.TOKEN}" == sent
        assert SECRET not in json.dumps(run)
        daemon.kill()

    found = [
        str(path)
        for path in _files(tmp_path)
        for secret in (SECRET, SECOND)
        if secret.encode() in path.read_bytes()
    ]
    assert [] == found
    # The search finds what is there: history was recorded, and holds the task.
    assert any(b"discreet" in path.read_bytes() for path in _files(tmp_path / "data"))


def test_a_lost_key_stops_nothing_else(tmp_path: Path) -> None:
    """The daemon starts, says which secret it is and what to do, and works again with the key."""
    data = tmp_path / "data"
    with Daemon(data) as daemon:
        daemon.call("PUT", "/secrets/TOKEN", SECRET)
        daemon.kill()
    key = data / "secret.key"
    assert 0o600 == key.stat().st_mode & 0o777
    key.rename(tmp_path / "away")
    with Daemon(data) as daemon:
        assert ["TOKEN"] == daemon.call("GET", "/secrets")
        with pytest.raises(Refused) as refused:
            daemon.call("GET", "/secrets/TOKEN")
        assert "put it back" in json.loads(refused.value.text)["message"]
        (tmp_path / "away").rename(key)
        assert SECRET == daemon.call("GET", "/secrets/TOKEN")
        assert 0 == daemon.stop()


def test_secrets_and_variables_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a daemon is started with stands in for what nobody stored, as in Conductor."""
    monkeypatch.setenv("CONDUCTOR_SECRET_TOKEN", SECRET)
    monkeypatch.setenv("CONDUCTOR_ENV_REGION", "north")
    step = {
        "name": "work",
        "taskReferenceName": "work",
        "inputParameters": {
            "token": "${workflow.secrets.TOKEN}", "region": "${workflow.env.REGION}"
        },
    }  # fmt: skip
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("POST", "/metadata/workflow", {"name": "w", "tasks": [step]})
        daemon.call("POST", "/workflow", {"name": "w"})

        assert {"token": SECRET, "region": "north"} == _polled(daemon)["inputData"]
        assert ["TOKEN"] == daemon.call("GET", "/secrets")
