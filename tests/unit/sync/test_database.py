"""The database's two connections, whoever owns them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from sync.database import LOG_ROOM_BYTES, Database, DatabaseUnusable, Owner, make_room, prepare

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


def test_a_file_out_of_reach_is_unusable_and_leaves_no_thread(tmp_path: Path) -> None:
    """Not even whether it is there can be looked at; the thread has ended before the loop does."""
    before = set(threading.enumerate())

    async def run() -> None:
        with pytest.raises(DatabaseUnusable, match="unable to open"):
            await Database.open(tmp_path / ("x" * 300), lambda _: None)
        # Those of other tests may end meanwhile.
        assert set(threading.enumerate()) <= before

    asyncio.run(run())


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


# The room of the log.


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)


async def _written(path: Path, numbers: range) -> Database:
    database = await Database.open(path, _schema)
    for number in numbers:
        statement = f"INSERT INTO t VALUES ({number})"
        await database.transact(partial(_execute, statement=statement))
    return database


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_a_log_is_as_long_as_it_will_be_from_the_beginning(tmp_path: Path) -> None:
    """What is committed lies over what is there; only the first opening makes the file longer."""
    path = tmp_path / "x.db"

    async def main() -> None:
        database = await _written(path, range(200))

        assert LOG_ROOM_BYTES == _log(path).stat().st_size

        await database.close()

        assert not _log(path).exists()

    asyncio.run(main())


@pytest.mark.parametrize("held", [0, 1, 50])
def test_room_behind_a_log_is_nothing_to_who_reads_it(tmp_path: Path, held: int) -> None:
    """A power cut leaves a log with transactions and zeros, or with zeros alone."""
    path, cut = tmp_path / "x.db", tmp_path / "cut.db"

    async def main() -> None:
        await (await _written(path, range(0))).close()
        database = await _written(path, range(held))
        shutil.copy(path, cut)
        shutil.copy(_log(path), _log(cut))
        await database.close()
        again = await Database.open(cut, _schema)
        seen = await again.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone())
        whole = await again.read(lambda c: c.execute("PRAGMA integrity_check").fetchone())
        await again.close()

        assert ((held,), ("ok",)) == (seen, whole)

    asyncio.run(main())


def test_a_long_log_and_a_full_disk_are_left_alone(tmp_path: Path) -> None:
    """Nothing is cut off, and no room is taken from data; a log that is not there is not made."""
    log = tmp_path / "x.db-wal"
    make_room(log, 1_000)
    missing = log.exists()
    log.write_bytes(b"x" * 2_000)
    make_room(log, 1_000)
    make_room(log, shutil.disk_usage(tmp_path).total)

    assert not missing
    assert b"x" * 2_000 == log.read_bytes()
