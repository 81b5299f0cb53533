"""Databases of other releases: the one before, this one, the next, and one that is too new."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.executions import WorkflowStatus
from edge.store import integrity
from edge.store.checked import has_checksum, with_checksum, without_checksum
from edge.store.migrations import SCHEMA_VERSION
from tests.unit.edge.engine_house import answer, claim, engine_at, everything

_KEPT = Path(__file__).with_name("releases")
"""Databases as releases have left them, each with seven executions of which five go on."""


def _database(folder: Path, name: str) -> Path:
    path = folder / "baton.db"
    path.write_bytes(gzip.decompress((_KEPT / name).read_bytes()))
    return path


async def _work(engine: Engine) -> None:
    """Do whatever there is to do."""
    for queue in ("a", "b", "i", "b"):
        while engine.queue_sizes().get(queue):
            await answer(engine, await claim(engine, queue), output={"done": True})


def _brought_to_the_end(path: Path) -> None:
    """Everything that was going on ends as it would have in the release that began it."""

    async def main() -> None:
        async with engine_at(path, syncing=True) as engine:
            before = await everything(engine)
            await _work(engine)
            after = await everything(engine)

            assert 7 == len(before) == len(after)
            assert {WorkflowStatus.COMPLETED} == {one.status for one in after}
            assert {one.id for one in before} == {one.id for one in after}
            assert {"c0", "c1", "c2", None} == {one.correlation_id for one in after}

    asyncio.run(main())


def _goes_back(folder: Path, copies: list[str], before: bytes) -> None:
    """As docs/storage.md says it: the copy is salvaged into a new database with all it held."""
    for copy in copies:
        other = folder / "other"
        other.mkdir()
        (folder / copy).rename(other / "baton.db")
        command = [str(Path(sys.executable).with_name("baton")), "storage", "salvage", str(other)]
        subprocess.run([*command, "--to", str(folder / "old.db")], check=True, timeout=60)
        (folder / "as_it_was.db").write_bytes(before)
        kept = "SELECT key, id, name, status FROM workflow ORDER BY key"
        with (
            contextlib.closing(sqlite3.connect(folder / "old.db")) as old,
            contextlib.closing(sqlite3.connect(folder / "as_it_was.db")) as was,
        ):
            assert was.execute(kept).fetchall() == old.execute(kept).fetchall()
            epoch = "SELECT value FROM fact WHERE name = 'epoch'"
            assert was.execute(epoch).fetchone() < old.execute(epoch).fetchone()


@pytest.mark.parametrize("name", sorted(one.name for one in _KEPT.glob("*.gz")))
def test_a_database_of_every_release_goes_on(tmp_path: Path, name: str) -> None:
    """It is opened, its executions end, and what is written then carries checksums."""
    path = _database(tmp_path, name)
    before = path.read_bytes()
    _brought_to_the_end(path)

    assert integrity.inspect(path, lambda _: None).whole
    copies = [copy.name for copy in tmp_path.glob("baton.db.schema-*")]
    older = name != f"schema-{SCHEMA_VERSION}.db.gz"
    assert copies == ([f"baton.db.{name.removesuffix('.db.gz')}"] if older else [])
    _goes_back(tmp_path, copies, before)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert SCHEMA_VERSION == connection.execute("PRAGMA user_version").fetchone()[0]
        bodies = [row[0] for row in connection.execute("SELECT body FROM workflow")]
    assert sum(map(has_checksum, bodies)) >= 5, "all that went on"


def test_the_release_before_has_no_checksums() -> None:
    """So that the test above says something: these rows are taken as they are."""
    names = sorted(one.name for one in _KEPT.glob("*.gz"))

    assert f"schema-{SCHEMA_VERSION}.db.gz" in names, "keep a database of this release, too"
    assert len(names) >= 2


def test_a_database_of_the_next_release_goes_on(tmp_path: Path) -> None:
    """After an update was rolled back: more columns, tables, indexes and fields are left alone."""
    path = _database(tmp_path, f"schema-{SCHEMA_VERSION}.db.gz")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE task ADD COLUMN later INTEGER")
        connection.execute("ALTER TABLE workflow ADD COLUMN later TEXT")
        connection.execute("CREATE TABLE later (key INTEGER PRIMARY KEY, what TEXT) STRICT")
        connection.execute("INSERT INTO later VALUES (1, 'kept')")
        connection.execute("CREATE INDEX task_later ON task (later)")
        for table in ("workflow", "task"):
            for key, body in connection.execute(f"SELECT key, body FROM {table}").fetchall():
                plain = without_checksum(body, table)
                # One more field, as the next release would write it: a map grows by its count.
                larger = with_checksum(plain)[:-7] + b"\xa1~\x2a"
                connection.execute(
                    f"UPDATE {table} SET body = ? WHERE key = ?", (with_checksum(larger), key)
                )
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    _brought_to_the_end(path)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert SCHEMA_VERSION + 1 == connection.execute("PRAGMA user_version").fetchone()[0]
        assert [(1, "kept")] == connection.execute("SELECT * FROM later").fetchall()


def test_a_database_that_is_too_new_is_refused(tmp_path: Path) -> None:
    """With status 78, which no supervisor starts again, the reason, and the file as it was."""
    (tmp_path / "data").mkdir()
    path = _database(tmp_path / "data", f"schema-{SCHEMA_VERSION}.db.gz")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE fact SET value = ? WHERE name = 'oldest_reader'", (SCHEMA_VERSION + 1,)
        )
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    shutil.copy(path, tmp_path / "before.db")
    command = [
        str(Path(sys.executable).with_name("baton")),
        "run", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0",
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert 78 == ended.returncode, ended.stderr
    assert f"reads schema {SCHEMA_VERSION + 1}" in ended.stderr
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]
    with contextlib.closing(sqlite3.connect(tmp_path / "before.db")) as connection:
        assert tables == [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    """It is refused, and nothing is salvaged from it or moved."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "baton.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photo (id INTEGER PRIMARY KEY, title TEXT)")
    before = path.read_bytes()
    command = [
        str(Path(sys.executable).with_name("baton")),
        "run", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0",
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert 78 == ended.returncode
    assert "another program" in ended.stderr
    # Only how its journal is kept is noted in its head.
    assert before[100:] == path.read_bytes()[100:]
    assert not (tmp_path / "data" / "quarantine").exists()
