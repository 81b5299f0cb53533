"""Too little memory: a daemon stays within a limit, and one that is killed for it loses nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.disk import QUIET, Answer, ask, claim, define, finish

pytestmark = pytest.mark.timeout(180)

_CONTROLLER = Path("/sys/fs/cgroup/memory")
_MB = 1 << 20


@contextmanager
def _group(limit_bytes: int) -> Iterator[Path]:
    """A control group with a limit of memory; processes are put into it by their numbers."""
    if not (_CONTROLLER / "memory.limit_in_bytes").exists() or os.geteuid() != 0:
        pytest.skip("control groups for memory (version 1) cannot be made here")
    group = _CONTROLLER / f"baton-test-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
        swap = group / "memory.memsw.limit_in_bytes"
        if swap.exists():
            swap.write_text(str(limit_bytes))
        yield group
    finally:
        group.rmdir()


def _put_in(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))


def test_a_battery_within_128_megabytes(tmp_path: Path) -> None:
    """Thousands of tasks with payloads, and the daemon is never killed for its memory."""
    with _group(128 * _MB) as group, Daemon(tmp_path / "data", config=QUIET) as daemon:
        _put_in(group, daemon.pid)
        api = f"{daemon.url}/api"
        define(api)
        for number in range(300):
            assert (
                200 == ask(f"{api}/workflow/work", "POST", {"n": number, "t": "x" * 8_000}).status
            )
        done = 0
        for queue in ("s1", "s2"):
            while tasks := claim(api, queue, 50):
                done += sum(finish(api, one, {"o": "y" * 4_000}).status == 200 for one in tasks)
        large = ask(f"{api}/workflow/work", "POST", {"t": "x" * 3_000_000})
        found = ask(f"{api}/workflow/search?query=status=COMPLETED&size=500").body["totalHits"]
        killed = _kills(group)
        status = daemon.stop()

    assert 600 == done
    assert 300 == found
    assert large.status in (200, 413)
    assert (0, 0) == (killed, status)


def test_a_daemon_that_is_killed_for_its_memory(tmp_path: Path) -> None:
    """What it has acknowledged is there after the next start."""
    acknowledged: list[str] = []
    with _group(24 * _MB) as group, Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        _put_in(group, daemon.pid)
        killed = False
        for number in range(400):
            answer = _try(f"{api}/workflow/work", {"n": number, "text": os.urandom(300_000).hex()})
            if answer is None:
                killed = True
                break
            if answer.status == 200:
                acknowledged.append(answer.body)
        daemon.kill()
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        found = [ask(f"{daemon.url}/api/workflow/{one}").status for one in acknowledged]
        waiting = ask(f"{daemon.url}/api/tasks/queue/sizes?taskType=s1").body["s1"]
        status = daemon.stop()

    assert killed, "the limit was never reached"
    assert acknowledged
    assert [200] * len(acknowledged) == found
    assert waiting >= len(acknowledged)
    assert 0 == status


def _try(url: str, body: dict[str, object]) -> Answer | None:
    """An answer; None when nobody gave one."""
    try:
        return ask(url, "POST", body)
    except OSError:
        return None


def _kills(group: Path) -> int:
    """How many processes of a group were killed for their memory."""
    lines = (group / "memory.oom_control").read_text().split("\n")
    return next((int(one.split()[1]) for one in lines if one.startswith("oom_kill ")), 0)
