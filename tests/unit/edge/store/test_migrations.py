"""The schema: made once, opened again, and refused when the file is not ours to open."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from edge.store.migrations import (
    SCHEMA_VERSION,
    DatabaseTooNew,
    ForeignDatabase,
    migrate,
    own_columns,
)
from edge.store.relations import columns_of
from sync.database import Database


def _open(path: Path) -> None:
    async def main() -> None:
        database = await Database.open(path, migrate)
        await database.close()

    asyncio.run(main())


def test_a_new_file_gets_the_schema(tmp_path: Path) -> None:
    """Every table is there and the file says whose it is."""
    _open(tmp_path / "a.db")
    connection = sqlite3.connect(tmp_path / "a.db")
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()

    assert {"workflow", "task", "history", "lane", "publication", "fact"} <= tables
    assert SCHEMA_VERSION == version


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """The second opening writes no schema."""
    _open(tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()
    _open(tmp_path / "a.db")

    assert before == (tmp_path / "a.db").read_bytes()


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Nothing is written into it."""
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(ForeignDatabase):
        _open(tmp_path / "a.db")


def test_a_later_release_with_additive_changes_is_opened(tmp_path: Path) -> None:
    """After an update is rolled back, the older program opens what the newer one wrote."""
    _open(tmp_path / "a.db")
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("ALTER TABLE task ADD COLUMN tomorrow TEXT")
    connection.execute("CREATE TABLE tomorrow (a)")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.commit()
    connection.close()
    _open(tmp_path / "a.db")


def test_a_later_release_that_forbids_it_is_refused(tmp_path: Path) -> None:
    """The newer program says so in the file."""
    _open(tmp_path / "a.db")
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute(
        "INSERT INTO fact (name, value) VALUES ('oldest_reader', ?)", (SCHEMA_VERSION + 1,)
    )
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseTooNew, match="install|needs a release"):
        _open(tmp_path / "a.db")


def test_the_columns_that_are_read_in_the_schema_are_those_that_it_makes() -> None:
    """By SQLite's own word for it."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)

        assert columns_of(connection) == own_columns()
