"""A daemon that is told to stop while somebody waits for it to answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(120)

_TASK = {"name": "a", "taskReferenceName": "a", "type": "SIMPLE"}


def test_whoever_waits_is_answered_when_the_daemon_stops(tmp_path: Path) -> None:
    """A poll gets no task, and who waits for an end is told where it is: neither is an error."""
    with Daemon(tmp_path) as daemon, ThreadPoolExecutor(2) as clients:
        daemon.call("PUT", "/metadata/workflow", [{"name": "w", "tasks": [_TASK]}])
        poll = clients.submit(daemon.call, "GET", "/tasks/poll/batch/b?timeout=5000")
        path = "/workflow/execute/w/1?waitForSeconds=30&returnStrategy=TARGET_WORKFLOW"
        waits = clients.submit(daemon.call, "POST", path, {})
        time.sleep(1)
        assert 0 == daemon.stop()

        assert [] == poll.result()
        assert "RUNNING" == waits.result()["status"]
