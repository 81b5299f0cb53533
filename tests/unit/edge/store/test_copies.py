"""The database as the release before has left it is kept when its schema is changed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest
import structlog

from edge.durable import FileSystem
from edge.store.copies import copy_of, keep_copy
from edge.store.migrations import SCHEMA_VERSION, migrate
from sync.database import Database, DatabaseDamaged

_RELEASES = Path(__file__).parents[3] / "faults" / "releases"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of two schemas ago."""
    path = tmp_path / "baton.db"
    path.write_bytes(gzip.decompress((_RELEASES / "schema-2.db.gz").read_bytes()))
    return path


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    """Open on it."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as opened:
        yield opened


def _held(path: Path) -> tuple[int, list[Any]]:
    """Schema and executions of a database that is whole."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        assert [("ok",)] == opened.execute("PRAGMA integrity_check").fetchall()
        (version,) = opened.execute("PRAGMA user_version").fetchone()
        return version, opened.execute("SELECT key, body FROM workflow").fetchall()


def test_the_copy_is_what_was(database: Path, connection: sqlite3.Connection) -> None:
    """With what is only in the log still, for its owner alone, and nothing unfinished beside it."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE workflow SET name = 'renamed'")
    keep_copy(connection, database)
    before = _held(database)
    migrate(connection)

    assert 2 == before[0]
    assert before == _held(copy_of(database, 2))
    assert SCHEMA_VERSION == _held(database)[0]
    assert 0o600 == copy_of(database, 2).stat().st_mode & 0o777
    assert [] == list(database.parent.glob("*.unfinished"))


def test_one_copy_is_kept(database: Path, connection: sqlite3.Connection) -> None:
    """The one before goes when the new one is there; a leftover is written over."""
    copy_of(database, 1).write_bytes(b"older")
    copy_of(database, 2).with_suffix(".schema-2.unfinished").write_bytes(b"half")
    keep_copy(connection, database)

    assert not copy_of(database, 1).exists()
    assert 2 == _held(copy_of(database, 2))[0]


@pytest.mark.parametrize(
    "statement",
    [f"PRAGMA user_version = {SCHEMA_VERSION}", "PRAGMA application_id = 7"],
    ids=["ours", "another's"],
)
def test_what_is_not_changed_is_not_copied(
    database: Path, connection: sqlite3.Connection, statement: str
) -> None:
    """A database of this release, or of another program."""
    connection.execute(statement)
    keep_copy(connection, database)

    assert [] == list(database.parent.glob("baton.db.schema-*"))


def test_an_empty_database_is_not_copied(tmp_path: Path) -> None:
    """There is nothing to go back to."""
    path = tmp_path / "baton.db"
    with contextlib.closing(sqlite3.connect(path)) as opened:
        keep_copy(opened, path)

    assert [path] == list(tmp_path.iterdir())


def test_without_room_it_is_migrated_all_the_same(
    database: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says how much would have to be free."""

    class Usage(NamedTuple):
        """What the disk says of itself."""

        free: int = 12_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with structlog.testing.capture_logs() as logs:
        keep_copy(connection, database)

    assert [] == list(database.parent.glob("baton.db.schema-*"))
    assert "schema_copy_skipped" == logs[0]["event"]
    assert "and 12 are" in logs[0]["reason"]


class _Failing(FileSystem):
    """A disk that fails at the n-th of what is asked of it."""

    def __init__(self, at: int) -> None:
        self._left = at

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            raise OSError("the disk failed")

    def force_out(self, file: BinaryIO) -> None:
        self._count()
        super().force_out(file)

    def rename(self, old: Path, new: Path) -> None:
        self._count()
        super().rename(old, new)

    def force_out_folder(self, folder: Path) -> None:
        self._count()
        super().force_out_folder(folder)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_disk_that_fails_leaves_no_half_copy(
    database: Path, connection: sqlite3.Connection, at: int
) -> None:
    """There is a whole one or none, the database is as it was, and the log says so."""
    before = _held(database)
    with structlog.testing.capture_logs() as logs:
        keep_copy(connection, database, _Failing(at))

    assert ["schema_copy_skipped"] == [line["event"] for line in logs]
    assert before == _held(database)
    assert [] == list(database.parent.glob("*.unfinished"))
    assert all(before == _held(copy) for copy in database.parent.glob("baton.db.schema-*"))


def test_a_damaged_database_is_said_to_be_damaged(database: Path) -> None:
    """Whoever opens it rebuilds it first."""
    content = bytearray(database.read_bytes())
    content[4096 : 4096 * 6] = bytes(4096 * 5)
    database.write_bytes(content)

    async def main() -> None:
        def first(opened: sqlite3.Connection) -> None:
            keep_copy(opened, database)

        with pytest.raises(DatabaseDamaged):
            await Database.open(database, migrate, first=first)

    asyncio.run(main())
