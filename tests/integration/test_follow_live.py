"""The command line beside a daemon that is killed, restarted and busy."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(120)

_CONFIG = "[workflows]\nenable = []\n"

_FLOW = {
    "name": "asks",
    "tasks": [
        {"name": "first", "taskReferenceName": "first", "type": "NOOP"},
        {"name": "person", "taskReferenceName": "person", "type": "HUMAN"},
    ],
}


@contextlib.contextmanager
def baton(daemon: Daemon, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command beside the daemon, its output in a pipe; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words, "--url", daemon.url],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(daemon: Daemon, *words: str) -> str:
    """All that a command says."""
    with baton(daemon, *words) as process:
        return process.communicate(timeout=30)[0].strip()


@contextlib.contextmanager
def traffic(daemon: Daemon) -> Iterator[None]:
    """Executions that are started one after the other: a stream may open after the first."""
    stop = threading.Event()

    def start() -> None:
        while not stop.wait(0.1):
            daemon.call("POST", "/workflow/asks", {})

    thread = threading.Thread(target=start)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line that holds these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def test_who_waits_survives_a_kill_of_the_daemon(tmp_path: Path) -> None:
    """The execution goes on where it was, and so does the one who waits for it."""
    with Daemon(tmp_path / "data", config=_CONFIG) as daemon:
        daemon.call("PUT", "/metadata/workflow", [_FLOW])
        words = ("start", "asks", "--wait", "--correlation-id", "mine")
        with baton(daemon, *words) as waiting:
            line_with(waiting, "person IN_PROGRESS")
            daemon.kill()
            with Daemon(daemon.data_dir, config=_CONFIG, port=daemon.port) as again:
                workflow_id = said(again, "search", "--correlation-id", "mine", "--ids")
                done = said(again, "complete-task", workflow_id, "person", "-o", "answer=42")
                line_with(waiting, "person COMPLETED")
                # Not communicate: what has been read ahead for the lines above would be missing.
                assert waiting.stdout is not None
                rest = waiting.stdout.read()
            status = waiting.wait(30)

    assert f"completed person of {workflow_id}" == done
    assert 0 == status
    assert '"answer": 42' in rest


def test_all_executions_are_followed(tmp_path: Path) -> None:
    """A line when one is first seen and one when its status changes, across a restart."""
    with Daemon(tmp_path / "data", config=_CONFIG) as daemon:
        daemon.call("PUT", "/metadata/workflow", [_FLOW])
        with baton(daemon, "tail", "--all", "--json") as tail:
            with traffic(daemon):
                first = json.loads(line_with(tail, '"RUNNING"'))["workflowId"]
            daemon.call("DELETE", f"/workflow/{first}?reason=enough")
            ended = json.loads(line_with(tail, '"TERMINATED"'))
            daemon.kill()
            with Daemon(daemon.data_dir, config=_CONFIG, port=daemon.port) as again:
                before = set(said(again, "search", "--size", "5000", "--ids").split())
                with traffic(again):
                    line = json.loads(line_with(tail, '"RUNNING"'))
                    while line["workflowId"] in before:
                        line = json.loads(line_with(tail, '"RUNNING"'))

    assert (first, "asks", "enough") == (ended["workflowId"], ended["name"], ended["reason"])
    assert "asks" == line["name"]
