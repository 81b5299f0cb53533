"""Large payloads through a real daemon that is killed: what was acknowledged is whole, and no file more."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(180)

CONFIG = "[payloads]\ntask_file_kb = 4\nworkflow_file_kb = 4\n"
FLOW = {
    "name": "bulky",
    "tasks": [
        {
            "name": "work",
            "taskReferenceName": "work",
            "inputParameters": {"text": "${workflow.input.text}"},
        }
    ],
    "outputParameters": {"size": "${work.output.text.length()}"},
}
ROUNDS = 6


def _text(number: int) -> str:
    return f"{number}-" + hashlib.sha256(str(number).encode()).hexdigest() * 400


def _files(data: Path) -> set[str]:
    folder = data / "payloads"
    return {path.name.split(".")[0] for path in folder.glob("??/??/*.json*")}


def _needed(data: Path) -> set[str]:
    connection = sqlite3.connect(data / "baton.db")
    try:
        return {row[0].hex() for row in connection.execute("SELECT digest FROM payload")}
    finally:
        connection.close()


def _burst(daemon: Daemon, acknowledged: dict[str, int], first: int, chance: random.Random) -> None:
    """Starts and answers, and a kill while one more start is under way."""
    last = first + chance.randint(3, 12)
    for number in range(first, last):
        started = daemon.call("POST", "/workflow/bulky", {"text": _text(number)})
        acknowledged[started] = number
        for task in daemon.call("GET", "/tasks/poll/batch/work?count=1&timeout=0"):
            result = {
                "workflowInstanceId": task["workflowInstanceId"],
                "taskId": task["taskId"],
                "status": "COMPLETED",
                "outputData": {"text": task["inputData"]["text"] + "!"},
            }
            daemon.call("POST", "/tasks", result)

    def one_more() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            started = daemon.call("POST", "/workflow/bulky", {"text": _text(last)})
            acknowledged[started] = last

    thread = threading.Thread(target=one_more)
    thread.start()
    time.sleep(chance.uniform(0, 0.02))
    daemon.kill()
    thread.join(20)


def test_what_was_acknowledged_is_whole_after_kills(tmp_path: Path) -> None:
    """No record refers to a file that is not there; the sweep at the next start takes the rest."""
    data, chance = tmp_path / "data", random.Random(20_240_601)
    acknowledged: dict[str, int] = {}
    for number in range(ROUNDS):
        with Daemon(data, config=CONFIG) as daemon:
            if number == 0:
                daemon.call("POST", "/metadata/workflow", FLOW)
            _burst(daemon, acknowledged, number * 1_000, chance)
        assert _needed(data) <= _files(data)
    # An orphan, as a power cut between the file and the COMMIT leaves one.
    orphan = data / "payloads" / "ab" / "cd"
    orphan.mkdir(parents=True, exist_ok=True)
    (orphan / f"abcd{'0' * 60}.json").write_text("{}")

    with Daemon(data, config=CONFIG) as last:
        assert acknowledged
        for workflow_id, number in acknowledged.items():
            shown = last.call("GET", f"/workflow/{workflow_id}")
            assert _text(number) == shown["input"]["text"]
            assert _text(number) == shown["tasks"][0]["inputData"]["text"]
            if shown["status"] == "COMPLETED":
                assert _text(number) + "!" == shown["tasks"][0]["outputData"]["text"]
        for _ in range(100):
            if _files(data) == _needed(data):
                break
            time.sleep(0.1)
        assert _files(data) == _needed(data)
        for workflow_id in acknowledged:
            last.call("DELETE", f"/workflow/{workflow_id}/remove?archiveWorkflow=false")
        assert 0 == last.stop()


def test_conductors_own_sizes(tmp_path: Path) -> None:
    """Four megabytes go into a file; eleven fail the task, with Conductor's words."""
    with Daemon(tmp_path / "data") as daemon:
        daemon.call("POST", "/metadata/workflow", FLOW)
        started = daemon.call("POST", "/workflow/bulky", {"text": "x" * 4_000_000})
        (task,) = daemon.call("GET", "/tasks/poll/batch/work?count=1&timeout=1000")
        assert "x" * 4_000_000 == task["inputData"]["text"]
        assert 1 == len(_files(tmp_path / "data"))
        result = {"workflowInstanceId": started, "taskId": task["taskId"], "status": "COMPLETED"}
        daemon.call("POST", "/tasks", {**result, "outputData": {"text": "y" * 11_000_000}})
        (ended,) = daemon.call("GET", f"/workflow/{started}")["tasks"]

        assert "FAILED_WITH_TERMINAL_ERROR" == ended["status"]
        assert (
            "is greater than the permissible limit: 10485760 bytes"
            in (ended["reasonForIncompletion"])
        )
