"""Scripts that loop, eat memory or hang end as failed tasks, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(180)

_TIMED_OUT = "Script not evaluated within 2 seconds, interrupted."

_BAD: dict[str, tuple[dict[str, Any], str]] = {
    "loop": ({"expression": "while (true) {}"}, _TIMED_OUT),
    "regex": ({"expression": "/^(a+)+$/.test('a'.repeat(60) + 'b')"}, _TIMED_OUT),
    "native": ({"expression": "'a'.repeat(4e5).indexOf('a'.repeat(2e5) + 'b')"}, _TIMED_OUT),
    "memory": ({"expression": "let a = []; while (true) a.push('x'.repeat(1e5))"}, "memory"),
    "python loop": ({"evaluatorType": "python", "expression": "while True: pass"}, _TIMED_OUT),
    "python memory": (
        {"evaluatorType": "python", "expression": "x = []\nwhile True: x.append(' ' * 1000000)"},
        "memory",
    ),
    "jq loop": ({"queryExpression": "last(range(1e15))"}, _TIMED_OUT),
    "jq memory": ({"queryExpression": "[range(1e12)]"}, ""),
}


def _step(ref: str, parameters: dict[str, Any]) -> dict[str, Any]:
    kind = "JSON_JQ_TRANSFORM" if "queryExpression" in parameters else "INLINE"
    return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": parameters}


_GOOD = [
    _step("a", {"n": "${workflow.input.n}", "expression": "$.n * 2"}),
    _step("b", {"n": "${a.output.result}", "expression": "(function () { return {n: $.n + 1}; })()"}),
    {
        "name": "c", "taskReferenceName": "c", "type": "SWITCH", "evaluatorType": "javascript",
        "expression": "$.n > 0 ? 'some' : 'none'", "inputParameters": {"n": "${workflow.input.n}"},
        "decisionCases": {"some": [_step("d", {"n": "${b.output.result.n}", "expression": "$.n"})]},
    },
]  # fmt: skip


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    """Of a daemon whose scripts may take two seconds."""
    config = "[engine]\nscript_time_limit_s = 2\n"
    with (
        Daemon(tmp_path / "data", config=config) as daemon,
        httpx.Client(base_url=f"{daemon.url}/api", timeout=60) as made,
    ):
        for name, tasks in [("good", _GOOD), *((n, [_step("s", p)]) for n, (p, _) in _BAD.items())]:
            _define(made, name, tasks)
        yield made


def _define(client: httpx.Client, name: str, tasks: list[dict[str, Any]]) -> None:
    document = {"name": name, "version": 1, "schemaVersion": 2, "tasks": tasks}
    client.post("/metadata/workflow", json=document).raise_for_status()


def _start(client: httpx.Client, name: str, **values: Any) -> str:
    answer = client.post("/workflow", json={"name": name, "version": 1, "input": values})
    answer.raise_for_status()
    return answer.text


def _execution(client: httpx.Client, workflow_id: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/workflow/{workflow_id}").raise_for_status().json()
    return document


def test_nobody_else_notices(client: httpx.Client) -> None:
    """While every kind of bad script runs, workflows of good ones complete as they are started."""
    bad: dict[str, dict[str, Any]] = {}

    def misbehave(name: str) -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            bad[name] = _execution(own, _start(own, name))

    # The first one pays for the start of the process; it is not the point here.
    assert "COMPLETED" == _execution(client, _start(client, "good", n=1))["status"]
    threads = [threading.Thread(target=misbehave, args=(name,)) for name in _BAD]
    for thread in threads:
        thread.start()
    good: list[dict[str, Any]] = []
    while any(thread.is_alive() for thread in threads):
        number = len(good) + 1
        good.append(_execution(client, _start(client, "good", n=number)))
        assert {"n": number * 2 + 1} == good[-1]["tasks"][1]["outputData"]["result"]
    for thread in threads:
        thread.join()

    for name, (_, message) in _BAD.items():
        (task,) = bad[name]["tasks"]
        assert "FAILED" == bad[name]["status"], name
        assert task["status"] in ("FAILED", "FAILED_WITH_TERMINAL_ERROR"), name
        assert message in task["reasonForIncompletion"], name
    assert {"COMPLETED"} == {one["status"] for one in good}
    # Each was complete when its start was answered, and some were before the last bad one ended:
    # eight of those, two at a time, take eight seconds. In one line with them a good one would wait
    # for most of that.
    last_end = max(one["endTime"] for one in bad.values())
    assert sum(one["endTime"] < last_end for one in good) > 3


def test_a_client_that_floods_with_loops_is_told_to_stop(client: httpx.Client) -> None:
    """Beyond two hundred that wait, starts are refused; good workflows go on all the same."""
    codes: list[int] = []

    def flood() -> None:
        with httpx.Client(base_url=client.base_url, timeout=1) as own:
            # Fifteen each are enough, unless the machine is so slow that many end meanwhile.
            for number in range(60):
                if number >= 15 and 429 in codes:
                    return
                try:
                    codes.append(own.post("/workflow", json={"name": "loop"}).status_code)
                except httpx.TimeoutException:
                    codes.append(0)

    threads = [threading.Thread(target=flood) for _ in range(16)]
    for thread in threads:
        thread.start()
    done = 0
    # After the flood, too, the line is full: two at a time, its loops take minutes.
    while done <= 10 or any(thread.is_alive() for thread in threads):
        answer = client.post("/workflow", json={"name": "good", "version": 1, "input": {"n": 1}})
        if answer.status_code == 429:
            # On a busy machine a short script can need longer than a decision waits for it.
            continue
        assert "COMPLETED" == _execution(client, answer.raise_for_status().text)["status"]
        done += 1
    for thread in threads:
        thread.join()

    assert done > 10
    # Those that were taken on wait for longer than a second; the rest is told to come again.
    assert {0, 429} == set(codes)


def test_a_crash_loses_only_what_nobody_was_told(tmp_path: Path) -> None:
    """Killed while a script runs: what was acknowledged is there, and its timer asks again."""
    data = tmp_path / "data"
    wait = {
        "name": "w", "taskReferenceName": "w", "type": "WAIT",
        "inputParameters": {"duration": "1s"},
    }  # fmt: skip
    slow = _step("s", {"expression": "const end = Date.now() + 1500; while (Date.now() < end); 7"})
    with Daemon(data) as daemon, httpx.Client(base_url=f"{daemon.url}/api", timeout=60) as client:
        _define(client, "late", [wait, slow])
        for _ in range(10):
            workflow_id = _start(client, "late")
            time.sleep(1.7)
            status = _execution(client, workflow_id)["status"]
            # A machine that stalls may have slept until its script was through.
            if status == "RUNNING":
                break
        assert "RUNNING" == status
        daemon.kill()
    with Daemon(data) as daemon, httpx.Client(base_url=f"{daemon.url}/api", timeout=60) as client:
        for _ in range(200):
            found = _execution(client, workflow_id)
            if found["status"] != "RUNNING":
                break
            time.sleep(0.1)

    assert "COMPLETED" == found["status"]
    assert {"result": 7} == found["tasks"][1]["outputData"]
    assert ["w", "s"] == [task["referenceTaskName"] for task in found["tasks"]]
