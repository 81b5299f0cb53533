"""SIGKILL around the ticks of a schedule: with catch-up each has one execution, without none two."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from edge.model.schedules import LATE_TICKS
from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(180)

_KILLS = 6
_SECOND_MS = 1_000


def _schedule(name: str, *, catch_up: bool) -> dict[str, Any]:
    """A tick a second, which starts a workflow of the schedule's name."""
    return {
        "name": name, "cronExpression": "* * * * * *", "runCatchupScheduleInstances": catch_up,
        "startWorkflowRequest": {"name": name, "input": {"by": name}},
    }  # fmt: skip


def _records(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    """The records of a schedule's ticks, oldest tick first."""
    query = quote(f"scheduleName={name}")
    path = f"/scheduler/search/executions?query={query}&size=5000&sort=scheduledTime:ASC"
    return list(daemon.call("GET", path)["results"])


def _started(daemon: Daemon, name: str) -> dict[str, int]:
    """The ticks that executions of a workflow say they come from, by the execution's id."""
    found = daemon.call("GET", f"/workflow/search?query={quote(f'workflowType={name}')}&size=5000")
    return {
        one["workflowId"]: json.loads(one["input"])["_scheduledTime"] for one in found["results"]
    }


def _dropped(daemon: Daemon) -> int:
    """Ticks that were dropped since the start, as the figures tell."""
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    (line,) = [
        one for one in lines if one.startswith('baton_schedule_ticks_total{result="dropped"}')
    ]
    return int(line.split()[-1])


def _kill_around_a_tick(daemon: Daemon, chance: random.Random) -> None:
    """Kill it within 40 ms of a whole second, and start it again up to three seconds later."""
    time.sleep(1.5 - time.time() % 1 + chance.uniform(0.46, 0.54))
    daemon.kill()
    time.sleep(chance.uniform(0, 3))
    daemon.start()


def _tick_every_second(daemon: Daemon) -> None:
    """Two schedules that start a workflow each, with catch-up and without."""
    value = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE"}
    for name in ("catches", "drops"):
        daemon.call("PUT", "/metadata/workflow", [{"name": name, "tasks": [value]}])
        daemon.call("POST", "/scheduler/schedules", _schedule(name, catch_up=name == "catches"))


def _catch_up(daemon: Daemon, until_ms: float) -> None:
    """Wait for a tick of the time until then, and pause both schedules."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(one["scheduledTime"] >= until_ms for one in _records(daemon, "catches")):
            break
        time.sleep(0.1)
    # One after the other: what the one without catch-up has run, the other has run as well.
    daemon.call("PUT", "/scheduler/bulk/pause", ["drops", "catches"])


def test_a_power_cut_neither_loses_nor_doubles_a_tick(tmp_path: Path) -> None:
    """What is recorded has been started, what was started is recorded, second by second."""
    chance = random.Random(7)
    with Daemon(tmp_path / "data") as daemon:
        _tick_every_second(daemon)
        for _ in range(_KILLS):
            _kill_around_a_tick(daemon, chance)
        _catch_up(daemon, time.time() * 1000 + 1_500)
        records = {name: _records(daemon, name) for name in ("catches", "drops")}
        started = {name: _started(daemon, name) for name in ("catches", "drops")}
        assert 0 == daemon.stop()

    for name in ("catches", "drops"):
        ticks = [one["scheduledTime"] for one in records[name]]
        assert len(ticks) == len(set(ticks)), f"{name}: a tick was run twice"
        assert {"EXECUTED"} == {one["state"] for one in records[name]}
        recorded = {one["workflowId"]: one["scheduledTime"] for one in records[name]}
        assert started[name] == recorded, f"{name}: a start without a record, or the other way"
    caught = [one["scheduledTime"] for one in records["catches"]]
    assert list(range(caught[0], caught[-1] + 1, _SECOND_MS)) == caught, "a tick was lost"
    assert {one["scheduledTime"] for one in records["drops"]} < set(caught)
    # Without catch-up a tick is late only where the device is too busy, and not by any time.
    late_ms = [one["executionTime"] - one["scheduledTime"] for one in records["drops"]]
    assert statistics.median(late_ms) < 1_000
    assert max(late_ms) <= LATE_TICKS * _SECOND_MS


def test_a_schedule_of_a_device_that_was_off(tmp_path: Path) -> None:
    """Without catch-up nothing of the downtime is run and what is gone is counted; with it, all."""
    with Daemon(tmp_path / "data") as daemon:
        _tick_every_second(daemon)
        time.sleep(2)
        assert 0 == daemon.stop()
        stopped_ms = time.time() * 1000
        time.sleep(5)
        starting_ms = time.time() * 1000
        daemon.start()
        _catch_up(daemon, time.time() * 1000 + 1_500)
        records = {name: _records(daemon, name) for name in ("catches", "drops")}
        dropped = _dropped(daemon)
    # The daemon takes a moment to stop; what is a second old at its start is in time.
    first = (int(stopped_ms) // _SECOND_MS + 1) * _SECOND_MS
    downtime = list(range(first, math.ceil(starting_ms) - _SECOND_MS, _SECOND_MS))

    def missed(name: str) -> list[int]:
        ticks = [one["scheduledTime"] for one in records[name]]
        return [tick for tick in ticks if stopped_ms < tick < starting_ms - _SECOND_MS]

    assert [] == missed("drops")
    assert downtime == missed("catches")
    assert 3 <= len(downtime)
    ticks = [one["scheduledTime"] for one in records["drops"]]
    assert (ticks[-1] - ticks[0]) // _SECOND_MS + 1 == len(ticks) + dropped
