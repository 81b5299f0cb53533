"""Damage: it is found, told by id, got over, and never silent; the daemon never goes in circles."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.store import integrity
from edge.store.pages import TABLE_INTERIOR, TABLE_LEAF, Image, Unreadable
from sync.database import PAGE_BYTES
from tests.daemon import Daemon
from tests.faults import filled
from tests.faults.disk import QUIET, ask, claim, define, finish, until

pytestmark = pytest.mark.timeout(240)

PAGE = PAGE_BYTES
FLIPS = 1_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with something of everything; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=60)


def test_a_thousand_flipped_bits(whole: Path, tmp_path: Path) -> None:
    """Each is found, or it lies where nothing is: every record is then as it was."""
    path = filled.copy(whole, tmp_path)
    before = filled.rows(path)
    chance, size = random.Random(20_261), path.stat().st_size
    found, harmless = 0, 0
    for _ in range(FLIPS):
        bit = chance.randrange(size * 8)
        filled.flip(path, bit)
        if integrity.inspect(path, lambda _: None).whole:
            after = filled.rows(path)
            for table in integrity.TABLES:
                assert before[table] == after[table], f"bit {bit} changed {table} in silence"
            harmless += 1
        else:
            found += 1
        filled.flip(path, bit)

    assert FLIPS == found + harmless
    assert found > FLIPS // 4, "the file is not mostly empty, so that this says something"
    assert integrity.inspect(path, lambda _: None).whole


def _populated(folder: Path, executions: int = 30) -> tuple[list[str], Path]:
    """A data directory whose daemon has been stopped: ids of executions, and the database."""
    with Daemon(folder, config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [
            ask(f"{api}/workflow/work", "POST", {"n": n, "text": "x" * 1_500}).body
            for n in range(executions)
        ]
        for task in claim(api, "s1", executions // 2):
            finish(api, task, {"out": "y" * 300})
        daemon.stop()
    return ids, folder / "baton.db"


def _pages(path: Path, kind: int) -> list[int]:
    """Numbers of the pages of a kind, the first page left out."""
    found = []
    with Image(path) as image:
        for number in range(2, image.count + 1):
            with contextlib.suppress(Unreadable):
                if image.page(number).kind == kind:
                    found.append(number)
    return found


@pytest.mark.parametrize("what", ["first page", "all interior pages"])
def test_nothing_is_lost_that_can_be_read(tmp_path: Path, what: str) -> None:
    """Without what leads to them all rows are still there: executions go on where they stood."""
    ids, path = _populated(tmp_path / "data")
    interior = _pages(path, TABLE_INTERIOR)
    for page in [1] if what == "first page" else interior:
        filled.overwrite(path, (page - 1) * PAGE, b"\x00" * PAGE)

    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        shown = [ask(f"{api}/workflow/{one}").body["status"] for one in ids]
        waiting = ask(f"{api}/tasks/queue/sizes?taskType=s1&taskType=s2").body
        health = ask(f"{daemon.url}/health").body
        tasks = claim(api, "s2", 30)
        done = [finish(api, task).status for task in tasks]
        recovery = ask(f"{api}/v1/storage").body["recovery"]
        status = daemon.stop()

    assert interior, "the tables are larger than one page"
    assert ["RUNNING"] * 30 == shown
    assert {"s1": 15, "s2": 15} == waiting
    assert [200] * 15 == done
    assert health["healthy"]
    assert "rebuilt after damage, 0 executions lost" in json.dumps(health)
    assert [] == recovery["lost_workflows"] == recovery["incomplete_workflows"]
    assert 0 == status


def test_what_is_lost_is_told_by_its_id(tmp_path: Path) -> None:
    """In the log, in the health and in a file; the rest goes on, and a second start is quiet."""
    ids, path = _populated(tmp_path / "data")
    leaf = next(page for page in _pages(path, TABLE_LEAF) if _holds_workflows(path, page))
    filled.overwrite(path, (leaf - 1) * PAGE, random.Random(3).randbytes(PAGE))
    interior = _pages(path, TABLE_INTERIOR)[0]
    filled.overwrite(path, (interior - 1) * PAGE, b"\x00" * PAGE)

    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        statuses = {one: ask(f"{api}/workflow/{one}").status for one in ids}
        health = json.dumps(ask(f"{daemon.url}/health").body)
        daemon.stop()
        first = daemon.errors() + daemon.log()
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        again = [one for one in ids if ask(f"{daemon.url}/api/workflow/{one}").status != 200]
        daemon.stop()
    places = list((tmp_path / "data" / "quarantine").iterdir())
    report = json.loads((places[0] / "report.json").read_bytes())

    lost = [one for one, status in statuses.items() if status == 404]
    assert {200, 404} == set(statuses.values())
    assert sorted(lost) == sorted(report["lost_workflows"]) == sorted(again)
    assert all(one in health for one in lost)
    assert 1 == len(places), "the second start has rebuilt nothing"
    assert "Traceback" not in first


def _holds_workflows(path: Path, page: int) -> bool:
    with Image(path) as image:
        rows = image.page(page).rows
    return bool(rows) and len(rows[0].values) == 9


def test_a_log_that_was_cut_off_is_told(tmp_path: Path) -> None:
    """Killed, and half of the log is gone: what is left goes on, and the gap is reported."""
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [ask(f"{api}/workflow/work", "POST", {"n": n}).body for n in range(40)]
        daemon.kill()
    log = tmp_path / "data" / "baton.db-wal"
    size = filled.logged_bytes(log)
    with log.open("r+b") as file:
        file.truncate(size * 3 // 4)

    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        left = [one for one in ids if ask(f"{api}/workflow/{one}").status == 200]
        recovery = ask(f"{api}/v1/storage").body["recovery"]
        more = ask(f"{api}/workflow/work", "POST", {}).status
        status = daemon.stop()

    assert 0 < len(left) < len(ids)
    assert left == ids[: len(left)], "whole transactions, in their order"
    assert "the log ends after" in recovery["reason"]
    assert (200, 0) == (more, status)


def test_what_stands_behind_damage_in_the_log_is_salvaged(tmp_path: Path) -> None:
    """SQLite would end the log there, and say nothing of what was acknowledged behind it."""
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [ask(f"{api}/workflow/work", "POST", {"n": n}).body for n in range(40)]
        daemon.kill()
    log = tmp_path / "data" / "baton.db-wal"
    filled.flip(log, (filled.logged_bytes(log) // 2) * 8 + 3)

    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        left = [one for one in ids if ask(f"{api}/workflow/{one}").status == 200]
        recovery = ask(f"{api}/v1/storage").body["recovery"]

    assert len(left) >= len(ids) - 2
    assert recovery["frames_behind_damage"] > 10


def test_damage_that_is_met_while_it_runs(tmp_path: Path) -> None:
    """The daemon rebuilds its database and answers again, in the same process."""
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        define(api)
        ids = [ask(f"{api}/workflow/work", "POST", {"n": n}).body for n in range(5)]
        (task,) = claim(api, "s1")
        logged = f"{api}/tasks/{task['taskId']}/log"
        for number in range(60):
            assert 200 == _post_text(logged, f"line {number} " + "z" * 300)
        daemon.stop()
    root = _root(tmp_path / "data" / "baton.db", "task_log")
    with Daemon(tmp_path / "data", config=QUIET) as daemon:
        api = f"{daemon.url}/api"
        pid = daemon.pid
        filled.overwrite(tmp_path / "data" / "baton.db", (root - 1) * PAGE, b"\x33" * PAGE)
        first = ask(f"{api}/tasks/{task['taskId']}/log").status
        until(lambda: _recovered(api))
        shown = [ask(f"{api}/workflow/{one}").status for one in ids]
        start = ask(f"{api}/workflow/work", "POST", {}).status
        same = pid == daemon.pid
        status = daemon.stop()

    assert 503 == first
    assert [200] * 5 == shown
    assert (200, True, 0) == (start, same, status)


def _recovered(api: str) -> bool:
    try:
        answer = ask(f"{api}/v1/storage")
        return answer.status == 200 and answer.body["recovery"] is not None
    except OSError:
        return False


def _post_text(url: str, text: str) -> int:
    return ask(url, "POST", text).status


def _root(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        statement = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return int(connection.execute(statement, (table,)).fetchone()[0])


@pytest.mark.parametrize("content", [bytes(50_000), b"a letter to somebody\n" * 3_000])
def test_nothing_to_rebuild_from(tmp_path: Path, content: bytes) -> None:
    """Status 78 with the path and the command, again and again, and the file stays as it is."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "baton.db"
    path.write_bytes(content)
    for _ in range(2):
        ended = _refused(tmp_path / "data")

        assert 78 == ended.returncode
        assert str(path) in ended.stderr
        assert f"baton storage check {path.parent}" in ended.stderr
        assert content == path.read_bytes()


def _refused(folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[Any] = [
        Path(sys.executable).with_name("baton"),
        "run", "--data-dir", folder, "--listen", "127.0.0.1:0",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
