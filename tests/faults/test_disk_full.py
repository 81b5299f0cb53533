"""A full disk: nothing new is begun, what has begun is finished, and it heals by itself."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.disk import (
    QUIET,
    Answer,
    ask,
    claim,
    daemon_on,
    define,
    fill,
    finish,
    needs_mounts,
    small_disk,
    until,
)

pytestmark = pytest.mark.timeout(120)

_CONFIG = QUIET + "[storage]\nreserve_mb = 4\n"


@needs_mounts
def test_a_full_disk(tmp_path: Path) -> None:
    """The whole of it: 507 for what is new, results taken from the space that is kept, healing."""
    with (
        small_disk(tmp_path / "disk", megabytes=24) as disk,
        daemon_on(disk, tmp_path, _CONFIG) as daemon,
    ):
        api = f"{daemon.url}/api"
        define(api)
        started = [
            ask(f"{api}/workflow/work", "POST", {"n": n, "text": "x" * 2_000}) for n in range(20)
        ]
        ids = [one.body for one in started]
        held = claim(api, "s1", 5)
        filling = fill(disk)

        refused = [ask(f"{api}/workflow/work", "POST", {"text": "x" * 60_000}) for _ in range(40)]
        until(lambda: ask(f"{api}/v1/storage").body["mode"] == "FULL")
        start = ask(f"{api}/workflow/work", "POST", {})
        registration = ask(f"{api}/metadata/taskdefs", "POST", [{"name": "new"}])
        polled = claim(api, "s1")
        health = ask(f"{daemon.url}/health").body
        shown = ask(f"{api}/workflow/{ids[0]}")
        results = []
        for task in held:
            until(lambda task=task: finish(api, task).status == 200)  # type: ignore[misc]
            results.append(ask(f"{api}/tasks/{task['taskId']}").body["status"])

        filling.unlink()
        until(lambda: ask(f"{daemon.url}/health").body["healthy"])
        after = ask(f"{api}/workflow/work", "POST", {})
        polled_after = claim(api, "s1")
        status = daemon.stop()
        log = daemon.errors() + daemon.log()

    assert {507} == {one.status for one in refused if one.status != 200} != set()
    assert (507, 507) == (start.status, registration.status)
    assert start.headers["retry-after"]
    assert ("storage_full", True) == (start.body["code"], start.body["retryable"])
    assert [] == polled
    assert not health["healthy"]
    assert "full" in health["healthResults"][0]["details"]["reason"]
    assert (200, "RUNNING") == (shown.status, shown.body["status"])
    assert ["COMPLETED"] * 5 == results
    assert 200 == after.status
    assert 1 == len(polled_after)
    assert 1 <= log.count('"disk_in_trouble"') <= 3, "one line a minute"
    assert "Traceback" not in log
    assert 0 == status


@needs_mounts
def test_nothing_acknowledged_is_lost_on_a_full_disk(tmp_path: Path) -> None:
    """Filled and emptied again and again under a client, and killed while it is full."""
    with small_disk(tmp_path / "disk", megabytes=20) as disk:
        daemon = daemon_on(disk, tmp_path, _CONFIG).start()
        define(f"{daemon.url}/api")
        acknowledged: list[str] = []
        for _ in range(4):
            api = f"{daemon.url}/api"
            filling = fill(disk, leave_bytes=200_000)
            for number in range(40):
                answer = ask(f"{api}/workflow/work", "POST", {"n": number, "t": "y" * 20_000})
                assert answer.status in (200, 507, 503), answer.body
                if answer.status == 200:
                    acknowledged.append(answer.body)
            daemon.kill()
            filling.unlink()
            daemon.start()
        api = f"{daemon.url}/api"
        found = [ask(f"{api}/workflow/{one}?includeTasks=false").status for one in acknowledged]
        status = daemon.stop()

    assert len(acknowledged) > 4
    assert {200} == set(found)
    assert 0 == status


@needs_mounts
def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    """It starts, shows what there is, and says why it takes nothing."""
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        with daemon_on(disk, tmp_path, _CONFIG) as daemon:
            define(f"{daemon.url}/api")
            workflow_id = ask(f"{daemon.url}/api/workflow/work", "POST", {}).body
            daemon.stop()
        filling = fill(disk, leave_bytes=100_000)
        with daemon_on(disk, tmp_path, _CONFIG) as daemon:
            api = f"{daemon.url}/api"
            until(lambda: ask(f"{api}/v1/storage").body["mode"] == "FULL")
            start = ask(f"{api}/workflow/work", "POST", {})
            shown = ask(f"{api}/workflow/{workflow_id}")
            filling.unlink()
            until(lambda: ask(f"{api}/workflow/work", "POST", {}).status == 200)

    assert 507 == start.status
    assert "RUNNING" == shown.body["status"]


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit of the process (RLIMIT_FSIZE) is an error of writing: refused, never half done."""
    with Daemon(tmp_path / "data", config=QUIET + "[storage]\nreserve_mb = 0\n") as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [ask(f"{api}/workflow/work", "POST", {"t": "x" * 5_000}).body for _ in range(3)]
        log = tmp_path / "data" / "baton.db-wal"
        _limit(daemon.pid, log.stat().st_size + 20_000)
        answers: list[Answer] = []
        # The log has its room already; what no compression makes smaller fills it.
        while len(answers) < 2_000 and all(one.status == 200 for one in answers[-1:]):
            answers.append(ask(f"{api}/workflow/work", "POST", {"t": os.urandom(15_000).hex()}))
        shown = [ask(f"{api}/workflow/{one}").status for one in ids]
        _limit(daemon.pid, resource.RLIM_INFINITY)
        until(lambda: ask(f"{api}/workflow/work", "POST", {}).status == 200)
        ids += [one.body for one in answers if one.status == 200]
        found = [ask(f"{api}/workflow/{one}").status for one in ids]
        daemon.stop()
        log_text = daemon.errors() + daemon.log()

    assert {200} == set(shown) == set(found)
    assert {one.status for one in answers} <= {200, 503, 507}
    assert any(one.status == 503 for one in answers)
    assert "Traceback" not in log_text


def _limit(pid: int, size_bytes: int) -> None:
    """Set how large a file the process may write."""
    shown = "unlimited" if size_bytes == resource.RLIM_INFINITY else str(size_bytes)
    subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={shown}:"], check=True)
