"""The daemon as a process: ready line, clean stop, one at a time, messages instead of traces."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def daemon(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running daemon and its URL; killed in the end if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stdout:
            found = re.search(r" ready on (http://\S+) \(data: ", line)
            if found:
                yield process, found[1]
                break
        else:
            pytest.fail(process.stderr.read())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def refused(*arguments: str, status: int = 1) -> str:
    """What a daemon says that cannot start."""
    ended = subprocess.run(
        [sys.executable, "-m", "edge.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert status == ended.returncode
    return ended.stderr


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    """One request; the answer as JSON or text."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        content = answer.read()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return json.loads(content) if is_json else content.decode()


def test_a_device_lives_stops_and_comes_back(tmp_path: Path) -> None:
    """SIGTERM ends it with 0; what was acknowledged is there when it starts again."""
    options = ("run", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0")
    flow = {"name": "flow", "tasks": [{"name": "work", "taskReferenceName": "a"}]}
    with daemon(*options) as (process, url):
        ask(f"{url}/api/metadata/workflow", "POST", flow)
        workflow_id = ask(f"{url}/api/workflow/flow", "POST", {})
        (held,) = ask(f"{url}/api/tasks/poll/batch/work")
        assert ask(f"{url}/health")["healthy"]
        assert ask(f"{url}/").startswith("<!doctype html>")
        names = {one["name"] for one in ask(f"{url}/api/metadata/workflow")}
        assert {"flow", "video_analysis"} == names
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)

    with daemon(*options) as (process, url):
        (again,) = ask(f"{url}/api/tasks/poll/batch/work")
        assert (held["taskId"], workflow_id) == (again["taskId"], again["workflowInstanceId"])
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(20)


def test_a_stop_does_not_wait_for_open_streams(tmp_path: Path) -> None:
    """A console that listens and a worker that polls are let go."""
    with daemon("run", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0") as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with (
            socket.create_connection((host, int(port))) as stream,
            socket.create_connection((host, int(port))) as poll,
        ):
            stream.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            poll.sendall(b"GET /api/tasks/poll/batch/x?timeout=5000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"text/event-stream" in stream.recv(1000)
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(20)


def test_a_stop_does_not_wait_for_a_handler_that_hangs(tmp_path: Path) -> None:
    """It is left behind, and its task is handed out again after the next start."""
    flow = tmp_path / "site" / "flow"
    flow.mkdir(parents=True)
    step = {
        "name": "hang",
        "taskReferenceName": "a",
        "inputParameters": {"path": str(tmp_path / "begun")},
    }
    (flow / "workflow.json").write_text(json.dumps({"name": "flow", "tasks": [step]}))
    (flow / "tasks.json").write_text("[]")
    (flow / "handlers.py").write_text(
        "import threading\n"
        "def hang(task):\n"
        "    open(task.input['path'], 'w').close()\n"
        "    threading.Event().wait()\n"
        "HANDLERS = {'hang': hang}\n"
    )
    os.mkfifo(tmp_path / "begun")
    config = tmp_path / "baton.toml"
    config.write_text('[workflows]\nenable = []\nfolders = ["site"]\n')
    options = ("--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    with daemon("run", "--config", str(config), *options) as (process, url):
        ask(f"{url}/api/workflow/flow", "POST", {})
        # There is nothing to be read, but who opens a pipe waits for the one at its other end.
        assert b"" == (tmp_path / "begun").read_bytes()
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)
        assert process.stdout is not None
        assert "handlers_left_behind" in process.stdout.read()


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """On the same data directory, and on the same address."""
    with daemon("run", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0") as (_, url):
        same_data = refused("run", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0")
        same_port = refused(
            "run", "--data-dir", str(tmp_path / "b"), "--listen", url.removeprefix("http://")
        )

    assert "another daemon" in same_data
    assert "another program listens there" in same_port


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[engin]\n", "did you mean engine?"),
        ('[devices]\nfile = "missing.toml"\n', "missing.toml cannot be read"),
        ('[workflows]\nenable = ["nothing"]\n', "there is no workflow 'nothing'"),
        ('[workflows]\nfolders = ["nowhere"]\n', "there is no folder"),
        ('[[trigger]]\ndevice = "front"\nworkflow = "w"\n', "the inventory has no 'front'"),
        ('[sync]\ndevice = "a/b"\n', "'a/b' is not 1 to 64"),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, text: str, words: str) -> None:
    """One line that names the key or the file, exit status 1, no trace."""
    config = tmp_path / "baton.toml"
    config.write_text(text)

    said = refused(
        "run", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--config", str(config)
    )

    assert words in said
    assert "Traceback" not in said


def test_a_damaged_database_says_why(tmp_path: Path) -> None:
    """A file of another kind is not touched; 78 tells a supervisor to leave it at that."""
    content = b"not a database at all, but long enough to be one" * 40
    (tmp_path / "baton.db").write_bytes(content)
    options = ("--data-dir", str(tmp_path), "--listen", "127.0.0.1:0")

    said = refused("run", *options, status=78)

    assert f"baton storage check {tmp_path}" in said
    assert content == (tmp_path / "baton.db").read_bytes()


def test_a_broken_device_does_not_stop_the_daemon(tmp_path: Path) -> None:
    """It is shown with the reason; a site's own workflow is registered and run beside it."""
    site = tmp_path / "site" / "hello"
    site.mkdir(parents=True)
    (site / "workflow.json").write_text(
        json.dumps({"name": "hello", "tasks": [{"name": "greet", "taskReferenceName": "g"}]})
    )
    (site / "tasks.json").write_text('[{"name": "greet"}]')
    (site / "handlers.py").write_text(
        "HANDLERS = {'greet': lambda task: {'text': 'hi ' + task.input.get('name', 'you')}}\n"
    )
    (tmp_path / "devices.toml").write_text('[front]\ndriver = "nowhere:Nothing"\n')
    config = tmp_path / "baton.toml"
    config.write_text(
        '[devices]\nfile = "devices.toml"\n[workflows]\nfolders = ["site"]\n'
        '[sync]\nbroker = "mqtt://127.0.0.1:1"\ndevice = "test"\n'
    )
    options = ("--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    with daemon("run", *options, "--config", str(config)) as (process, url):
        workflow_id = ask(f"{url}/api/workflow/hello", "POST", {})
        shown = ask(f"{url}/api/workflow/{workflow_id}")
        while shown["status"] == "RUNNING":
            shown = ask(f"{url}/api/workflow/{workflow_id}")
        devices = ask(f"{url}/api/v1/devices")
        while devices[0]["status"]["state"] == "connecting":
            devices = ask(f"{url}/api/v1/devices")
        sync = ask(f"{url}/api/v1/sync")
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)

    assert ("COMPLETED", {"text": "hi you"}) == (shown["status"], shown["output"])
    assert ("broken", "front") == (devices[0]["status"]["state"], devices[0]["name"])
    assert ("waiting", "127.0.0.1:1", "test") == (sync["state"], sync["broker"], sync["device"])


def test_systemd_hears_of_the_start_the_life_and_the_stop(tmp_path: Path) -> None:
    """READY after the first request could be answered, WATCHDOG through the disk, STOPPING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "n"))
        receiver.settimeout(10)
        with daemon(
            "run",
            "--data-dir",
            str(tmp_path),
            "--listen",
            "127.0.0.1:0",
            NOTIFY_SOCKET=str(tmp_path / "n"),
            WATCHDOG_USEC="200000",
        ) as (process, _):
            heard = {receiver.recv(200).split(b"\n")[0] for _ in range(3)}
            process.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in heard:
                heard.add(receiver.recv(200))
            assert 0 == process.wait(20)

    assert {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"} == heard


def test_a_control_plane_lives_and_stops(tmp_path: Path) -> None:
    """Without a broker too: history waits on the devices."""
    config = tmp_path / "cloud.toml"
    config.write_text('[sync]\nbroker = "mqtt://127.0.0.1:1"\n')
    options = ("--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--config", str(config))
    with daemon("cloud", *options) as (process, url):
        assert [] == ask(f"{url}/api/v1/devices")["devices"]
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)


_NOT_NEEDED = """
anyio certifi colorama conductor cryptography csv ctypes cv2 difflib edge.api.openapi
edge.cli.steering edge.demo edge.hosting.crew edge.store.salvage email.parser greenlet html httpx
http.cookiejar importlib.metadata jsonpath jsonschema_rs multiprocessing numpy onnxruntime paho
quickjs rich starlette.responses stringprep sysconfig typing_extensions unicodedata unittest
urllib.request uvicorn.main xml zeroconf zipfile zoneinfo
"""
"""What only a person at a terminal, a camera, a request or a site's configuration has use for."""


def test_a_device_starts_light(tmp_path: Path) -> None:
    """An idle device has loaded nothing that it does not use: each of these costs memory and time.

    The process itself is asked, at its ready line.
    """
    main = (
        "import sys\n"
        "class Output:\n"
        "    flush = sys.__stdout__.flush\n"
        "    def write(self, text):\n"
        "        told = ' '.join(['loaded:', *sys.modules]) if ' ready on ' in text else text\n"
        "        sys.__stdout__.write(told + chr(10))\n"
        "sys.stdout = Output()\n"
        "from edge.cli import main\n"
        "main(['run', '--data-dir', sys.argv[1], '--listen', '127.0.0.1:0'])\n"
    )
    # The measuring of coverage, which tests hand down, loads things of its own.
    alone = {name: value for name, value in os.environ.items() if "COV" not in name}
    process = subprocess.Popen(
        [sys.executable, "-c", main, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=alone
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            line = next(line for line in process.stdout if line.startswith("loaded:"))
        finally:
            process.kill()
            process.wait()
    loaded = set(line.split()[1:])

    assert {"edge.device_role", "edge.api.app", "uvicorn.server"} <= loaded
    assert [] == sorted(loaded.intersection(_NOT_NEEDED.split()))
