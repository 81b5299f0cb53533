"""The wall clock of the machine jumps: what waits is neither lost nor early nor stuck."""

from __future__ import annotations

import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.disk import QUIET, ask, claim, finish, needs_compiler, until

pytestmark = [pytest.mark.timeout(120), needs_compiler]

_DAY_S = 86_400
_WAIT_S = 4


class _Clock:
    """The wall clock of a daemon.

    Args:
        folder: for the shim and the file that moves it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        library = folder / "clock_shim.so"
        source = Path(__file__).with_name("clock_shim.c")
        subprocess.run(
            ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
        )
        self.move(0)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIM_FILE": str(self._file)}

    def move(self, seconds: int) -> None:
        """Let it be so many seconds ahead of the real one from now on."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def clock(tmp_path: Path) -> _Clock:
    """A clock that stands right."""
    return _Clock(tmp_path)


def _define(api: str) -> None:
    wait = {
        "name": "w",
        "taskReferenceName": "w",
        "type": "WAIT",
        "inputParameters": {"duration": f"{_WAIT_S} seconds"},
    }
    step = {"name": "s1", "taskReferenceName": "s1", "type": "SIMPLE"}
    tasks = [{"name": "s1", "retryCount": 0, "responseTimeoutSeconds": 3_600}]
    assert 200 == ask(f"{api}/metadata/taskdefs", "POST", tasks).status
    for name, steps in (("waits", [wait]), ("works", [step])):
        body = [{"name": name, "tasks": steps}]
        assert 200 == ask(f"{api}/metadata/workflow", "PUT", body).status


def _status(api: str, workflow_id: str) -> str:
    return str(ask(f"{api}/workflow/{workflow_id}").body["status"])


@pytest.mark.parametrize("jump_s", [-_DAY_S, -400 * _DAY_S])
def test_the_clock_is_set_back(tmp_path: Path, clock: _Clock, jump_s: int) -> None:
    """What waits for seconds does not wait for a day: neither early nor late."""
    with Daemon(tmp_path / "data", config=QUIET, environment=clock.environment) as daemon:
        api = f"{daemon.url}/api"
        _define(api)
        workflow_id = ask(f"{api}/workflow/waits", "POST", {}).body
        began = time.monotonic()
        clock.move(jump_s)
        while _status(api, workflow_id) == "RUNNING" and time.monotonic() < began + 30:
            time.sleep(0.05)
        took_s = time.monotonic() - began
        later = ask(f"{api}/workflow/waits", "POST", {}).body
        until(lambda: _status(api, later) == "COMPLETED")
        first, second = (
            ask(f"{api}/workflow/{workflow_id}").body,
            ask(f"{api}/workflow/{later}").body,
        )
        status = daemon.stop()

    assert _WAIT_S - 0.5 <= took_s, "it was early"
    assert "COMPLETED" == first["status"]
    assert first["createTime"] <= second["createTime"], "time never goes back"
    assert workflow_id < later
    assert 0 == status


def test_the_clock_is_set_forward(tmp_path: Path, clock: _Clock) -> None:
    """A day ahead, and one more in a restart: no wait ends early, and a worker keeps its task."""
    with Daemon(tmp_path / "data", config=QUIET, environment=clock.environment) as daemon:
        api = f"{daemon.url}/api"
        _define(api)
        held_id = ask(f"{api}/workflow/works", "POST", {}).body
        (held,) = claim(api, "s1")
        waiting = [ask(f"{api}/workflow/waits", "POST", {}).body for _ in range(5)]
        began = time.monotonic()
        clock.move(_DAY_S)
        until(lambda: all(_status(api, one) == "COMPLETED" for one in waiting))
        took_s = time.monotonic() - began
        attempts = [len(ask(f"{api}/workflow/{one}").body["tasks"]) for one in waiting]
        answer = finish(api, held)
        end = _status(api, held_id)
        last = ask(f"{api}/workflow/waits", "POST", {}).body
        began = time.monotonic()
        daemon.kill()
    clock.move(2 * _DAY_S)
    with Daemon(tmp_path / "data", config=QUIET, environment=clock.environment) as daemon:
        api = f"{daemon.url}/api"
        until(lambda: _status(api, last) == "COMPLETED")
        took_again_s = time.monotonic() - began
        status = daemon.stop()

    assert _WAIT_S - 0.5 <= min(took_s, took_again_s), "one was early"
    assert [1] * 5 == attempts
    assert (200, "COMPLETED", 0) == (answer.status, end, status)


def test_a_box_that_boots_in_1970(tmp_path: Path, clock: _Clock) -> None:
    """Its clock is not set yet: time goes on from what was written, and what waits ends."""
    with Daemon(tmp_path / "data", config=QUIET, environment=clock.environment) as daemon:
        api = f"{daemon.url}/api"
        _define(api)
        before = ask(f"{api}/workflow/waits", "POST", {}).body
        daemon.kill()
    clock.move(-int(time.time()) + 30)
    with Daemon(tmp_path / "data", config=QUIET, environment=clock.environment) as daemon:
        api = f"{daemon.url}/api"
        until(lambda: _status(api, before) == "COMPLETED")
        after = ask(f"{api}/workflow/waits", "POST", {}).body
        until(lambda: _status(api, after) == "COMPLETED")
        clock.move(0)
        last = ask(f"{api}/workflow/waits", "POST", {}).body
        until(lambda: _status(api, last) == "COMPLETED")
        status = daemon.stop()

    assert before < after < last
    assert 0 == status
