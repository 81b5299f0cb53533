"""``baton start``, ``show``, ``tail`` and ``logs``, against a real daemon."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from edge.cli.client import Client
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import Type


def test_start_and_wait(type_: Type) -> None:
    """The output is printed, and the exit status is that of the execution."""
    done = type_("start", "hello", "--input", "name=Ada", "--wait")

    assert 0 == done.exit_code
    assert "COMPLETED" in done.output
    assert '{"said": "Hello Ada"}' in done.output


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (['{"name": "Ada"}'], "Hello Ada"),
        (["name=Ada", "name=Bob"], "Hello Bob"),
        (["name=3"], "Hello 3"),
    ],
)
def test_inputs(type_: Type, inputs: list[str], said: str) -> None:
    """JSON, or keys with values; later ones win."""
    words = [word for text in inputs for word in ("--input", text)]
    done = type_("start", "hello", *words, "--wait", "--json")

    assert {"said": said} == json.loads(done.output)["output"]


def test_input_from_a_file(type_: Type, tmp_path: Path) -> None:
    """``@FILE`` holds a JSON object."""
    (tmp_path / "in.json").write_text('{"name": "file"}')
    done = type_("start", "hello", "--input", f"@{tmp_path / 'in.json'}", "--wait", "--json")

    assert {"said": "Hello file"} == json.loads(done.output)["output"]


@pytest.mark.parametrize("text", ["nonsense", "{broken", "@/no/such/file", "@/dev/null"])
def test_inputs_that_are_none(type_: Type, text: str) -> None:
    """The usage error names the option."""
    done = type_("start", "hello", "--input", text)

    assert 2 == done.exit_code
    assert "--input" in done.output


def test_a_second_start_with_the_same_key(type_: Type) -> None:
    """It is the first one, unless it shall fail."""
    words = ("start", "waiting", "--idempotency-key", "key 7")
    first, second = type_(*words).stdout.strip(), type_(*words).stdout.strip()
    refused = type_(*words, "--on-conflict", "FAIL")

    assert first == second
    assert 1 == refused.exit_code
    type_("terminate", first)


def test_tasks_go_to_the_workers_of_a_domain(type_: Type) -> None:
    """As the start says; a pair that is none is a wrong command line."""
    workflow_id = type_("start", "waiting", "--domain", "nobody=line-3").stdout.strip()
    shown = json.loads(type_("show", workflow_id, "--json").stdout)
    wrong = type_("start", "waiting", "--domain", "line-3")

    assert {"nobody": "line-3"} == shown["taskToDomain"]
    assert 2 == wrong.exit_code
    assert "is not KEY=VALUE" in wrong.stderr
    type_("terminate", workflow_id)


def test_an_unknown_workflow(type_: Type) -> None:
    """What the daemon says is what is shown."""
    done = type_("start", "nope")

    assert 1 == done.exit_code
    assert "No such workflow defined" in done.output


def test_a_failed_execution_is_an_exit_status(type_: Type) -> None:
    """Scripts notice."""
    workflow_id = type_("start", "waiting").output.strip()
    type_("terminate", workflow_id, "--reason", "enough")
    shown = type_("show", workflow_id)

    assert "reason: enough" in shown.output


def test_an_input_in_a_file_is_not_shown_as_empty(type_: Type, daemon: Daemon) -> None:
    """Of a payload that a client has uploaded the API gives the name alone."""
    asked = {"operation": "WRITE", "payloadType": "WORKFLOW_INPUT"}
    with httpx.Client(base_url=daemon.url, trust_env=False) as http:
        place = http.get("/api/workflow/externalstoragelocation", params=asked).json()
        http.put(place["uri"], content=b'{"name": "Ada"}').raise_for_status()
        body = {"name": "hello", "externalInputPayloadStoragePath": place["path"]}
        workflow_id = http.post("/api/workflow", json=body).text
    type_("show", workflow_id, "--follow")
    shown = type_("show", workflow_id)

    assert f"input:  in the file {place['path']}" in shown.output
    assert "Hello Ada" in shown.output


def test_a_tail_tells_each_change_with_its_time(type_: Type) -> None:
    """Of one execution until it ends, as lines and as JSON; one or all has to be said."""
    done = type_("start", "hello", "--input", "name=Ada", "--wait", "--json")
    workflow_id = json.loads(done.output)["workflowId"]
    lines = type_("tail", workflow_id).stdout.splitlines()
    last = json.loads(type_("tail", workflow_id, "--json").stdout.splitlines()[-1])
    unknown = type_("tail", "nobody")

    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} greet COMPLETED", lines[0])
    assert lines[-1].endswith(f"hello {workflow_id} COMPLETED")
    assert ("COMPLETED", None, workflow_id) == (
        last["status"], last["task"], last["workflowId"],
    )  # fmt: skip
    assert 1 == unknown.exit_code
    assert "`baton search` finds executions" in unknown.stderr
    assert 2 == type_("tail").exit_code
    assert 2 == type_("tail", workflow_id, "--all").exit_code


def test_logs_of_a_task_and_of_all(type_: Type, daemon: Daemon) -> None:
    """By either id, in the order of time; an id of nothing is refused."""
    workflow_id = type_("start", "waiting").output.strip()
    execution = json.loads(type_("show", workflow_id, "--json").output)
    task_id = execution["tasks"][0]["taskId"]
    client = Client(daemon.url)
    client.call("POST", "tasks", task_id, "log", body="first words")
    client.call("POST", "tasks", task_id, "log", body="last words")
    of_all, of_one = type_("logs", workflow_id), type_("logs", task_id, "--json")

    assert ["first words", "last words"] == [line["log"] for line in json.loads(of_one.stdout)]
    assert ["lonely first words", "lonely last words"] == [
        line.split(maxsplit=2)[2] for line in of_all.stdout.splitlines()
    ]
    assert 1 == type_("logs", "nobody").exit_code
    type_("terminate", workflow_id)


def test_progress_is_drawn_on_a_terminal(daemon: Daemon, type_: Type) -> None:
    """A real terminal gets the table that moves, and the end below it."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "edge.cli", "start", "hello", "-i", "name=Ada", "--wait"]
    process = subprocess.Popen(
        [*command, "--url", daemon.url],
        stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    # The other end is closed when the command ends.
    with contextlib.suppress(OSError), os.fdopen(ours, "rb", buffering=0) as screen:
        while chunk := screen.read(4096):
            seen += chunk

    assert 0 == process.wait(10)
    text = seen.decode()
    assert "\x1b[" in text
    assert "✔" in text
    assert '{"said": "Hello Ada"}' in text


_HEARS_CTRL_C = ["env", "--default-signal=INT", sys.executable, "-m", "edge.cli"]
"""Shells have what they start in the background, such as these tests, ignore it."""


def test_a_tail_of_all_is_ended_quietly(daemon: Daemon) -> None:
    """By Ctrl-C, which is how it ends: no word of it, and the status that shells give."""
    command = [*_HEARS_CTRL_C, "tail", "--all", "--json", "--url", daemon.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    client = Client(daemon.url)
    deadline = time.monotonic() + 20
    # Nothing says that it listens but the first change that it tells of.
    while not select.select([process.stdout], [], [], 0.3)[0] and time.monotonic() < deadline:
        client.call("POST", "workflow", body={"name": "hello", "input": {"name": "Ada"}})
    process.send_signal(signal.SIGINT)
    told, complained = process.communicate(timeout=20)

    assert b"hello" in told
    assert b"" == complained
    assert 130 == process.returncode


def test_who_stops_waiting_is_told_the_id(daemon: Daemon, type_: Type) -> None:
    """The execution goes on; without its id nobody would find it again."""
    command = [*_HEARS_CTRL_C, "start", "waiting", "--wait", "--url", daemon.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    # The task is told as soon as it is scheduled: from then on it is waited for.
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    found = re.search(r"`baton show (\S+) --follow` follows it", said.decode())

    assert b"lonely SCHEDULED" in first
    assert 130 == process.returncode
    assert found is not None, said
    workflow_id = found[1]
    assert "RUNNING" == json.loads(type_("show", workflow_id, "--json").output)["status"]
    type_("terminate", workflow_id)
