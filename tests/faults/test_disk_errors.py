"""A disk that fails or cannot be written: reads go on, nothing wrong is acknowledged, it heals."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.disk import (
    QUIET,
    ask,
    claim,
    daemon_on,
    define,
    ext4_disk,
    finish,
    needs_fiu,
    needs_mounts,
    remount,
    small_disk,
    until,
)

pytestmark = pytest.mark.timeout(120)

_CONFIG = QUIET + "[storage]\nreserve_mb = 1\n"


@needs_mounts
def test_a_file_system_that_breaks(tmp_path: Path) -> None:
    """ext4 becomes read-only after an error: everything is shown, writes are refused for now."""
    with ext4_disk(tmp_path, megabytes=32) as disk, daemon_on(disk, tmp_path, _CONFIG) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [ask(f"{api}/workflow/work", "POST", {"n": n}).body for n in range(5)]
        (held,) = claim(api, "s1")
        remount(disk, "abort")
        refused = [ask(f"{api}/workflow/work", "POST", {}) for _ in range(4)]
        until(lambda: ask(f"{api}/v1/storage").body["mode"] == "READ_ONLY")
        result = finish(api, held)
        polled = claim(api, "s1")
        shown = [ask(f"{api}/workflow/{one}").status for one in ids]
        found = ask(f"{api}/workflow/search?query=workflowType=work").body["totalHits"]
        health = ask(f"{daemon.url}/health").body
        status = daemon.stop()
        log = daemon.errors() + daemon.log()

    assert {503} == {one.status for one in refused} | {result.status}
    assert result.headers["retry-after"] and result.body["retryable"]
    assert [] == polled
    assert [200] * 5 == shown and 5 == found
    assert not health["healthy"]
    assert "Traceback" not in log
    assert 0 == status


@needs_mounts
@pytest.mark.parametrize("killed", [False, True])
def test_a_read_only_disk_at_the_start(tmp_path: Path, killed: bool) -> None:
    """After a stop in order and after a crash: it serves what there is, and says why no more.

    As soon as the disk can be written it is, without a new start.
    """
    with small_disk(tmp_path / "disk", megabytes=24) as disk:
        with daemon_on(disk, tmp_path, _CONFIG) as daemon:
            define(f"{daemon.url}/api")
            ids = [ask(f"{daemon.url}/api/workflow/work", "POST", {}).body for _ in range(5)]
            if killed:
                daemon.kill()
            else:
                daemon.stop()
        remount(disk, "ro")
        with daemon_on(disk, tmp_path, _CONFIG) as daemon:
            api = f"{daemon.url}/api"
            shown = [ask(f"{api}/workflow/{one}").status for one in ids]
            start = ask(f"{api}/workflow/work", "POST", {})
            health = ask(f"{daemon.url}/health").body
            polled = claim(api, "s1")
            remount(disk, "rw")
            until(lambda: ask(f"{daemon.url}/health").body["healthy"])
            after = ask(f"{api}/workflow/work", "POST", {})
            tasks = claim(api, "s1", 10)
            status = daemon.stop()
            log = daemon.errors() + daemon.log()

    assert [200] * 5 == shown
    assert 503 == start.status
    assert not health["healthy"] and health["healthResults"][0]["details"]["reason"]
    assert [] == polled
    assert 200 == after.status
    assert 6 == len(tasks)
    assert "Traceback" not in log
    assert 0 == status


_SYNC = "posix/io/sync/fdatasync"
_POINTS = ("posix/io/rw/pwrite", "posix/io/rw/pread", _SYNC)


@needs_fiu
@pytest.mark.parametrize("point", _POINTS)
def test_errors_of_input_and_output_at_random(tmp_path: Path, point: str) -> None:
    """Some calls fail: what was acknowledged is there, and nothing is done twice."""
    with Daemon(tmp_path / "data", config=_CONFIG, before=("fiu-run", "-x")) as daemon:
        api = f"{daemon.url}/api"
        define(api, steps=1)
        _break(daemon, f"enable_random name={point},probability=0.004,failinfo=5")
        acknowledged, done = [], []
        for number in range(150):
            answer = ask(f"{api}/workflow/work", "POST", {"n": number})
            assert answer.status in (200, 503), answer.body
            if answer.status == 200:
                acknowledged.append(answer.body)
            else:
                until(lambda: ask(f"{api}/v1/storage").body["mode"] == "WHOLE", 60)
            tasks = ask(f"{api}/tasks/poll/batch/s1?count=1&timeout=10&workerid=w")
            assert tasks.status in (200, 503), tasks.body
            found = tasks.body if tasks.status == 200 else []
            done += [
                task["workflowInstanceId"] for task in found if finish(api, task).status == 200
            ]
        _break(daemon, f"disable name={point}")
        until(lambda: ask(f"{daemon.url}/health").body["healthy"])
        shown = {one: ask(f"{api}/workflow/{one}").body["status"] for one in acknowledged}
        status = daemon.stop()
        log = daemon.errors() + daemon.log()
    with Daemon(tmp_path / "data", config=_CONFIG) as daemon:
        later = {
            one: ask(f"{daemon.url}/api/workflow/{one}").body["status"] for one in acknowledged
        }

    assert len(acknowledged) > 50
    assert shown == later
    assert {"COMPLETED"} == {shown[one] for one in done if one in shown} != set()
    assert len(done) == len(set(done))
    assert "Traceback" not in log
    assert 0 == status


@needs_fiu
def test_three_errors_in_a_minute(tmp_path: Path) -> None:
    """A disk that fails every sync is not asked again and again: nothing is written, all is read."""
    with Daemon(tmp_path / "data", config=_CONFIG, before=("fiu-run", "-x")) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        workflow_id = ask(f"{api}/workflow/work", "POST", {}).body
        _break(daemon, f"enable name={_SYNC},failinfo=5")
        answers = [ask(f"{api}/workflow/work", "POST", {}).status for _ in range(4)]
        until(lambda: ask(f"{api}/v1/storage").body["mode"] == "READ_ONLY")
        reason = ask(f"{api}/v1/storage").body["reason"]
        shown = ask(f"{api}/workflow/{workflow_id}").status
        _break(daemon, f"disable name={_SYNC}")
        until(lambda: ask(f"{daemon.url}/health").body["healthy"])
        after = ask(f"{api}/workflow/work", "POST", {}).status
        queued = ask(f"{api}/tasks/queue/size?taskType=s1").body
        running = ask(f"{api}/workflow/running/work").body

    assert {503} == set(answers)
    assert "3 errors" in reason
    assert (200, 200) == (shown, after)
    assert len(running) == queued, "whatever the failed syncs came to, no task is lost"


def _break(daemon: Daemon, command: str) -> None:
    """Tell the fault injector inside of the daemon what to do."""
    subprocess.run(["fiu-ctrl", "-c", command, str(daemon.pid)], check=True, timeout=20)
