"""The database's two connections, whoever owns them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from sync.database import Database, DatabaseUnusable, Owner, prepare

T = TypeVar("T")


class Inline:
    """Runs functions where they are asked for, without any thread."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        prepare(self.connection, writes=writes)
        self.closed = False

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return function(self.connection)

    async def close(self) -> None:
        self.connection.close()
        self.closed = True


def _schema(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER) STRICT")


def test_other_owners_may_have_the_connections(tmp_path: Path) -> None:
    """Transactions and reads go through them, and closing closes both."""
    owners: list[Inline] = []

    async def connect(path: Path, *, writes: bool) -> Owner:
        owners.append(Inline(path, writes=writes))
        return owners[-1]

    async def main() -> None:
        database = await Database.open(tmp_path / "x.db", _schema, connect)
        await database.transact(lambda c: c.execute("INSERT INTO t VALUES (7)"))

        assert [(7,)] == await database.read(lambda c: c.execute("SELECT x FROM t").fetchall())
        assert (2,) == await database.hop(lambda c: c.execute("PRAGMA synchronous").fetchone())

        await database.close()

    asyncio.run(main())

    assert [True, True] == [owner.closed for owner in owners]


def test_a_writer_is_closed_when_the_reader_cannot_be_opened(tmp_path: Path) -> None:
    """No connection stays behind, and the error names the file."""
    writers: list[Inline] = []

    async def connect(path: Path, *, writes: bool) -> Owner:
        if not writes:
            raise sqlite3.OperationalError("no more file descriptors")
        writers.append(Inline(path, writes=True))
        return writers[0]

    with pytest.raises(DatabaseUnusable, match=r"x\.db: no more file descriptors"):
        asyncio.run(Database.open(tmp_path / "x.db", _schema, connect))

    assert writers[0].closed
