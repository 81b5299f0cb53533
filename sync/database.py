"""One SQLite file: a connection that writes and checkpoints, and a connection that reads.

No schema and no statement of any room stands here, only the discipline that the device's store and
the control plane's ledger share: WAL, ``synchronous=FULL``, one function a transaction in one hop
to the connection's own thread.
"""

from __future__ import annotations

import contextlib
import enum
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import aiosqlite

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 5_000
"""Never expected to pass: one connection writes. It covers a copy being taken from outside."""

_WAL_LIMIT_BYTES = 16 * 1024 * 1024
"""The log is cut back to this after a burst, so that it cannot fill a small disk."""


class DatabaseError(Exception):
    """Head of this module's errors.

    DatabaseError
    └── DatabaseUnusable
        └── DatabaseDamaged
    """


class DatabaseUnusable(DatabaseError):
    """The database cannot be opened. Check that the path is writable and that it is a Baton file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"cannot open the database {path}: {reason}. "
            "Check that its folder exists and is writable, and that the file is one of Baton's."
        )
        self.path = path
        self.reason = reason


class DatabaseDamaged(DatabaseUnusable):
    """The file is not what SQLite has written: the storage has changed it."""


class Trouble(enum.Enum):
    """What an error of SQLite says of the storage beneath it."""

    FULL = enum.auto()
    READ_ONLY = enum.auto()
    INPUT_OUTPUT = enum.auto()
    """A read, a write or a sync has failed: what a COMMIT came to is not known."""
    DAMAGED = enum.auto()
    OTHER = enum.auto()
    """Nothing: the statement itself was wrong, or somebody else holds the file."""


_TROUBLES = {
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: Trouble.READ_ONLY,
    sqlite3.SQLITE_IOERR: Trouble.INPUT_OUTPUT,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_NOTADB: Trouble.DAMAGED,
}


def trouble_of(error: sqlite3.Error) -> Trouble:
    """What an error says of the storage."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the kind; the rest says at which step.
    return Trouble.OTHER if code is None else _TROUBLES.get(code & 0xFF, Trouble.OTHER)


def _unusable(path: Path, error: sqlite3.Error) -> DatabaseUnusable:
    """What an error means for whoever wants to open a database."""
    damaged = trouble_of(error) is Trouble.DAMAGED
    return (DatabaseDamaged if damaged else DatabaseUnusable)(path, str(error))


class Owner(Protocol):
    """Has a connection, and runs whole functions on it, one after the other."""

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function(connection)`` and return what it returns."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Connect(Protocol):
    """Makes owners. The product has one way, ``on_a_thread``; tests have others."""

    async def __call__(self, path: Path, *, writes: bool) -> Owner:
        """Open the file for writing or for reading, and ``prepare`` the connection.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        ...


class _Threaded(aiosqlite.Connection):
    """An aiosqlite connection that runs one whole function on its thread.

    Awaiting statement by statement costs four to five times as much, and it would let other work
    in between the statements of one transaction.
    """

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function(connection)`` on the connection's thread and return what it returns."""
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


async def on_a_thread(path: Path, *, writes: bool) -> Owner:
    """A connection on a thread of its own.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """

    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        prepare(connection, writes=writes)
        return connection

    owner = _Threaded(connector, iter_chunk_size=64)
    try:
        await owner
    except BaseException:
        await _close_quietly(owner)
        raise
    return owner


def prepare(connection: sqlite3.Connection, *, writes: bool) -> None:
    """Set what holds for every connection that writes, or that reads."""
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0")
    if writes:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    else:
        # SQLite before 3.51.3 can damage a database when two connections checkpoint at once,
        # so this one never does.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = ON")


def in_transaction(
    connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]
) -> T:
    """Run ``function`` between BEGIN IMMEDIATE and COMMIT; undo everything when it raises.

    A COMMIT that fails may still have reached the disk: callers read the state again and never
    assume either way.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


class Database:
    """The two connections to one file.

    ``transact`` is for writing and is durable when it returns; ``read`` sees the last commit.
    """

    def __init__(self, path: Path, writer: Owner, reader: Owner) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(
        cls,
        path: Path,
        migrate: Callable[[sqlite3.Connection], None],
        connect: Connect = on_a_thread,
    ) -> Database:
        """Open or create the file at ``path``.

        Args:
            path: the file; its folder must exist.
            migrate: creates or extends the schema; it runs in one transaction on the writer.
            connect: makes the two connections.

        Raises:
            DatabaseUnusable: when SQLite cannot open, read or extend the file.
            DatabaseDamaged: when the file is not what SQLite wrote.
        """
        try:
            writer = await connect(path, writes=True)
            try:
                await writer.hop(lambda connection: in_transaction(connection, migrate))
                return cls(path, writer, await connect(path, writes=False))
            except BaseException:
                await _close_quietly(writer)
                raise
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    @contextlib.asynccontextmanager
    async def closed_on_failure(self) -> AsyncIterator[None]:
        """What is done first with the database: when it fails, the database is closed.

        Raises:
            DatabaseUnusable, DatabaseDamaged: in place of SQLite's errors.
        """
        try:
            yield
        except sqlite3.Error as error:
            await self.close()
            raise _unusable(self.path, error) from error
        except BaseException:
            await self.close()
            raise

    async def transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` in one transaction; what it wrote is on the disk when this returns."""
        return await self._writer.hop(lambda connection: in_transaction(connection, function))

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the writer's thread; it begins and commits by itself."""
        return await self._writer.hop(function)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the reading connection, in one snapshot of the database."""

        def snapshot(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return function(connection)
            finally:
                connection.execute("ROLLBACK")

        return await self._reader.hop(snapshot)

    async def close(self) -> None:
        """Close the reader, then the writer, whose close folds the log into the file."""
        await self._reader.close()
        await self._writer.close()


async def _close_quietly(owner: Owner) -> None:
    """Close a connection that may never have opened: its thread must end in any case."""
    try:
        await owner.close()
    except (sqlite3.Error, ValueError):
        if isinstance(owner, _Threaded):
            owner.stop()
