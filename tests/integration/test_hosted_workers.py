"""The platform runs the site's workers: real processes, the real SDK, real kills."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("hosted")]

MODULE = Path(__file__).with_name("hosted_module.py")
_NAMES = ("hosted_greet", "hosted_add", "hosted_slow", "hosted_eat")


def until(condition: Callable[[], Any], what: str, within_s: float = 40) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for: {what}")


def define(daemon: Daemon) -> None:
    """Register a task type and a workflow of one step for each function, and one of two."""
    tasks = [{"name": n, "retryCount": 3, "retryDelaySeconds": 0} for n in _NAMES]
    daemon.call("POST", "/metadata/taskdefs", tasks)

    def step(task: str, **inputs: Any) -> dict[str, Any]:
        return {"name": task, "taskReferenceName": task, "inputParameters": inputs}

    slow = step("hosted_slow", seconds="${workflow.input.seconds}", once="${workflow.input.once}")
    both = [step("hosted_greet", name="${workflow.input.name}"), step("hosted_add", a=1, b=2)]
    flows = [
        {"name": "both", "tasks": both, "outputParameters": {
            "greeting": "${hosted_greet.output.greeting}", "sum": "${hosted_add.output.sum}"}},
        {"name": "slow", "tasks": [slow]},
        {"name": "eat", "tasks": [step("hosted_eat", megabytes="${workflow.input.megabytes}")]},
    ]  # fmt: skip
    daemon.call("PUT", "/metadata/workflow", flows)


def start(daemon: Daemon, workflow: str, **values: Any) -> str:
    """The id of a new execution."""
    return str(daemon.call("POST", f"/workflow/{workflow}", values))


def workers(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The hosted processes by name."""
    return {one["name"]: one for one in daemon.call("GET", "/v1/workers")}


def alive(pid: int) -> bool:
    """Whether there is a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that hosts the module, its workers all up."""
    config = (
        "[workflows]\nenable = []\n"
        f'[[worker]]\nmodule = "{MODULE}"\nmemory_mb = 160\nstop_within_s = 5\n'
        'env = { GREETING = "welcome" }\n'
        '[[worker]]\nmodule = "nowhere.py"\n'
    )
    with Daemon(tmp_path / "data", config=config) as running:
        define(running)
        until(lambda: _all_up(running), "all workers to run")
        yield running


def _all_up(daemon: Daemon) -> bool:
    states = {name: one["state"] for name, one in workers(daemon).items()}
    return all(states.get(name) == "running" for name in _NAMES)


def test_functions_of_a_module_complete_a_workflow(daemon: Daemon) -> None:
    """A function and a coroutine, each in a process of its own; what one prints is in the log."""
    execution = daemon.ended(start(daemon, "both", name="Ada"))
    shown = workers(daemon)
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()

    assert "COMPLETED" == execution["status"]
    assert {"greeting": "welcome Ada", "sum": 3} == execution["output"]
    greet, _ = execution["tasks"]
    assert greet["workerId"].startswith("hosted_greet@")
    assert shown["hosted_greet"]["pid"] == greet["outputData"]["pid"]
    assert 4 == len({shown[name]["pid"] for name in _NAMES})
    # A module that is not there harms nobody, and is shown.
    assert "there is no file" in shown["nowhere"]["lastEnd"]
    assert 'baton_worker_up{worker="hosted_add"} 1' in metrics


def test_a_killed_worker_is_started_again(daemon: Daemon, tmp_path: Path) -> None:
    """The task that it had in hand fails at once and is tried by the next process."""
    once = tmp_path / "once"
    workflow_id = start(daemon, "slow", seconds=60, once=str(once))
    pid = int(until(lambda: once.exists() and once.read_text(), "the task to begin"))
    os.kill(pid, signal.SIGKILL)
    execution = daemon.ended(workflow_id)
    first, second = execution["tasks"]

    assert "COMPLETED" == execution["status"]
    assert ("FAILED", "COMPLETED") == (first["status"], second["status"])
    assert "it was killed by SIGKILL" in first["reasonForIncompletion"]
    assert pid != second["outputData"]["pid"]
    assert 1 == workers(daemon)["hosted_slow"]["restarts"]


def test_a_worker_that_eats_memory_meets_its_limit(daemon: Daemon) -> None:
    """It is ended, started again and works; the daemon and the other workers go on."""
    before = workers(daemon)
    execution = daemon.ended(start(daemon, "eat", megabytes=100_000))
    until(lambda: workers(daemon)["hosted_eat"]["state"] == "running", "it to run again")
    after = workers(daemon)
    modest = daemon.ended(start(daemon, "eat", megabytes=1))
    both = daemon.ended(start(daemon, "both", name="Bob"))

    assert "FAILED" == execution["status"]
    reasons = {task["reasonForIncompletion"] for task in execution["tasks"]}
    assert all("limit of 160 MB" in reason for reason in reasons), reasons
    assert after["hosted_eat"]["pid"] != before["hosted_eat"]["pid"]
    assert "it reached its memory limit" == after["hosted_eat"]["lastEnd"]
    assert after["hosted_greet"]["pid"] == before["hosted_greet"]["pid"]
    assert ("COMPLETED", "COMPLETED") == (modest["status"], both["status"])


def test_no_worker_outlives_a_killed_daemon(daemon: Daemon) -> None:
    """SIGKILL leaves the daemon no time to end them."""
    pids = [workers(daemon)[name]["pid"] for name in _NAMES]
    os.kill(daemon.pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), "all workers to be gone")


def test_a_stop_waits_for_the_task_in_hand(daemon: Daemon, tmp_path: Path) -> None:
    """It is finished and reported; one that takes longer is done again after the next start."""
    quick, endless = tmp_path / "quick", tmp_path / "endless"
    first = start(daemon, "slow", seconds=1.5, once=str(quick))
    until(quick.exists, "the task to begin")
    pids = [workers(daemon)[name]["pid"] for name in _NAMES]
    assert 0 == daemon.stop()

    assert not any(alive(pid) for pid in pids)
    with Daemon(daemon.data_dir, config=(daemon.data_dir / "config.toml").read_text()) as again:
        done = again.ended(first)
        assert [("COMPLETED", 1)] == [(t["status"], t["pollCount"]) for t in done["tasks"]]
        second = start(again, "slow", seconds=60, once=str(endless))
        until(endless.exists, "the task to begin")
        assert 0 == again.stop()
    with Daemon(daemon.data_dir, config=(daemon.data_dir / "config.toml").read_text()) as last:
        done = last.ended(second)
        assert ["COMPLETED"] == [task["status"] for task in done["tasks"]]


@contextlib.contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``baton ...`` in a process of its own, ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _started(process: subprocess.Popen[str], count: int) -> list[int]:
    """The processes of workers, as the command tells them."""
    assert process.stdout is not None
    pids: list[int] = []
    for line in process.stdout:
        match = re.search(r"started, process (\d+)", line)
        pids += [int(match[1])] if match else []
        if len(pids) == count:
            return pids
    raise AssertionError(f"only {pids} were started")


def test_workers_run_standalone(tmp_path: Path) -> None:
    """``baton worker run`` does the same beside any daemon; SIGTERM ends it in order."""
    with Daemon(tmp_path / "data", config="[workflows]\nenable = []\n") as daemon:
        define(daemon)
        words = ("worker", "run", str(MODULE), "--url", daemon.url, "--stop-within", "5")
        with command(*words) as process:
            pids = _started(process, 4)
            done = daemon.ended(start(daemon, "both", name="Eve"))
            once = tmp_path / "once"
            killed = start(daemon, "slow", seconds=60, once=str(once))
            os.kill(
                int(until(lambda: once.exists() and once.read_text(), "its task")), signal.SIGKILL
            )
            tried = daemon.ended(killed)
            process.send_signal(signal.SIGTERM)
            status = process.wait(20)

        assert "COMPLETED" == done["status"]
        assert "hello Eve" == done["output"]["greeting"]
        assert ["FAILED", "COMPLETED"] == [task["status"] for task in tried["tasks"]]
        assert 0 == status
        assert not any(alive(pid) for pid in pids)


def test_a_killed_command_leaves_no_worker(tmp_path: Path) -> None:
    """However it ends."""
    with Daemon(tmp_path / "data", config="[workflows]\nenable = []\n") as daemon:
        words = ("worker", "run", str(MODULE), "--together", "--url", daemon.url)
        with command(*words) as process:
            pids = _started(process, 1)
            process.kill()
            until(lambda: not any(alive(pid) for pid in pids), "it to be gone")
