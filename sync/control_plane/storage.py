"""Where the ledger lies: an SQLite file or a PostgreSQL database, behind one narrow interface.

No statement of any room stands here. Whatever database it is, a function runs in one transaction
and has happened when `transact` returns; what cannot be written or read is `StorageUnavailable`,
unless waiting would not help: then it is `StatementRefused`, or the database's own error.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from sync.control_plane.dialect import Connection, StatementRefused, StorageUnavailable
from sync.database import Connect, Database, DatabaseError, DatabaseUnusable, on_a_thread

T = TypeVar("T")


class BadDatabaseUrl(DatabaseError):
    """The address of the database cannot be used. Correct it, then start again."""


class DriverMissing(DatabaseError):
    """The driver for PostgreSQL is not installed. Install Baton with the extra `cloud`."""


class Storage(Protocol):
    """A database that holds a ledger."""

    @property
    def name(self) -> str:
        """What it is called in messages; no password stands in it."""
        ...

    async def transact(self, function: Callable[[Connection], T]) -> T:
        """Run ``function`` in one transaction, which is durable when this returns.

        Raises:
            StorageUnavailable: it was not written, or that is not known; do the same again.
            StatementRefused: it was not written; the same again would be refused again.
        """
        ...

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run ``function`` in one snapshot. Raises StorageUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class SqliteStorage:
    """A ledger in an SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = str(database.path)

    @classmethod
    async def open(
        cls, path: Path, create: Callable[[Connection], None], connect: Connect = on_a_thread
    ) -> SqliteStorage:
        """Open or create the file. Raises DatabaseError."""
        return cls(await Database.open(path, create, connect))

    async def transact(self, function: Callable[[Connection], T]) -> T:
        """Run a function in one transaction. Raises StorageUnavailable."""
        try:
            return await self._database.transact(function)
        except sqlite3.DatabaseError as error:
            if _is_defect(error):
                raise
            raise self._trouble(error) from error

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run a function in one snapshot. Raises StorageUnavailable."""
        try:
            return await self._database.read(function)
        except sqlite3.DatabaseError as error:
            if _is_defect(error):
                raise
            raise self._trouble(error) from error

    def _trouble(self, error: sqlite3.DatabaseError) -> Exception:
        kind = StatementRefused if isinstance(error, sqlite3.DataError) else StorageUnavailable
        return kind(f"{self.name}: {error}")

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()


def _is_defect(error: sqlite3.DatabaseError) -> bool:
    """Whether a statement of ours is wrong, which waiting would not mend."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return True
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


async def open_storage(
    where: Path | str, create: Callable[[Connection], None], connect: Connect = on_a_thread
) -> Storage:
    """Open what an address or a path names.

    Args:
        where: ``postgresql://...``, or the path of an SQLite file.
        create: makes the tables that are not there yet, in one transaction.
        connect: makes the connections to a file.

    Raises:
        DatabaseError: it cannot be opened; the message says what to do.
    """
    if isinstance(where, Path):
        return await SqliteStorage.open(where, create, connect)
    made: Storage = await _driver(where).PostgresStorage.open(where, create)
    return made


def probe(where: Path | str) -> None:
    """Look whether a ledger could be opened there; nothing is made, and one that runs goes on.

    Args:
        where: as for `open_storage`; of a file that is not there, or is nobody's who asks, nothing
            can be said.

    Raises:
        DatabaseError: it could not; the message says what to do.
    """
    if not isinstance(where, Path):
        _driver(where).probe(where)
        return
    try:
        where.stat()
    except OSError:
        return
    try:
        address = f"{where.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(where, str(error)) from error


def _driver(url: str) -> ModuleType:
    """The module that speaks with PostgreSQL. Raises BadDatabaseUrl, DriverMissing."""
    _check(url)
    try:
        from sync.control_plane import postgres
    except ImportError as error:
        raise DriverMissing(
            "PostgreSQL needs the driver psycopg: pip install 'baton[cloud]'"
        ) from error
    return postgres


def _check(url: str) -> None:
    """Refuse what is no address of PostgreSQL's. Raises BadDatabaseUrl."""
    try:
        known = urlsplit(url).scheme in ("postgresql", "postgres")
    except ValueError:
        known = False
    if not known:
        # Never the whole of it: a password may stand in it.
        told = url.rpartition("@")[2]
        raise BadDatabaseUrl(f"database: {told!r} is not postgresql://USER@HOST/DATABASE")
