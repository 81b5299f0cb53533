"""``baton worker``: what is wrong is told before anything runs; whole runs: see integration."""

from __future__ import annotations

import sys
from pathlib import Path

from click.testing import CliRunner

from edge.cli import main, worker
from edge.cli.client import Client
from edge.hosting.crew import Lost
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import Type


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is a wrong command line."""
    done = CliRunner().invoke(main, ["worker", "run", str(tmp_path / "nowhere.py")])

    assert 2 == done.exit_code
    assert "there is no file" in done.stderr


def test_a_limit_that_not_even_python_fits_into(tmp_path: Path) -> None:
    """It is refused as the configuration refuses it, before a process dies of it with a trace."""
    (tmp_path / "greet.py").touch()
    done = CliRunner().invoke(
        main, ["worker", "run", str(tmp_path / "greet.py"), "--memory-mb", "10"]
    )

    assert 2 == done.exit_code
    assert "--memory-mb: 10 is too little for Python and the SDK: 64 at least" in done.stderr


def test_modules_that_cannot_be_loaded_end_the_command(type_: Type, tmp_path: Path) -> None:
    """With what is wrong, in one line: a broken module, one without workers, a missing SDK."""
    broken, empty, bare = tmp_path / "broken.py", tmp_path / "empty.py", tmp_path / "bare.sh"
    broken.write_text("1 / 0\n")
    empty.write_text("")
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    no_sdk = type_("worker", "run", str(empty), "--python", str(bare))
    faulty = type_("worker", "run", str(broken))
    without = type_("worker", "run", str(empty))

    assert (1, 1, 1) == (no_sdk.exit_code, faulty.exit_code, without.exit_code)
    assert "pip install conductor-python" in no_sdk.stderr
    assert "ZeroDivisionError" in faulty.stderr
    assert "[broken] " in faulty.stdout
    assert "no function with @worker_task" in without.stderr


def test_nobody_is_hosted(type_: Type) -> None:
    """An empty list is no error."""
    assert "WORKER" in type_("worker", "list").stdout
    assert "[]" == type_("worker", "list", "--json").stdout.strip()


def test_lost_tasks_are_reported(type_: Type, daemon: Daemon) -> None:
    """One that was interrupted goes back into its queue, one that killed its worker fails."""
    client = Client(daemon.url)
    workflow_id = type_("start", "waiting").stdout.strip()
    (polled,) = client.call("GET", "tasks", "poll", "batch", "nobody", query={"count": 1})
    task_id, of = polled["taskId"], polled["workflowInstanceId"]
    worker._report(client, Lost(of, task_id, "nobody-1", "it died", again=True))
    again = client.call("GET", "tasks", task_id)
    worker._report(client, Lost(of, task_id, "nobody-1", "it died", again=False))
    failed = client.call("GET", "tasks", task_id)
    worker._report(client, Lost(of, "nonsense", "nobody-1", "it died", again=False))

    assert ("SCHEDULED", "FAILED") == (again["status"], failed["status"])
    assert "it died" == failed["reasonForIncompletion"]
    for one in {of, workflow_id}:
        type_("terminate", one)
