"""One SQLite file: a connection that writes and checkpoints, and a connection that reads.

No schema and no statement of any room stands here, only the discipline that the device's store and
the control plane's ledger share: WAL, ``synchronous=FULL``, one function a transaction in one hop
to the connection's own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, Self, TypeVar

import aiosqlite

from sync.marks import Marks

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 5_000
"""Never expected to pass: one connection writes. It covers a copy being taken from outside."""

_WAL_LIMIT_BYTES = 16 * 1024 * 1024
"""The log is cut back to this after a burst, so that it cannot fill a small disk."""

PAGE_BYTES = 1_024
"""A lone COMMIT changes one page, and a log of small ones puts fewer bytes on the disk for it. A file
that was made with others keeps them."""

_CHECKPOINT_PAGES = 3_900

LOG_ROOM_BYTES = 4_200_000
"""A log of so many pages is checkpointed, and begun anew; so many bytes has it then."""

_SYSTEM_PAGE_BYTES = 4_096
"""What the kernel writes at least."""

_FREE_FOR_ROOM = 16
"""So many times as much must be free for that."""

_LOOK_AGAIN_S = 0.002
"""Between two looks whether a connection is still used."""


class DatabaseError(Exception):
    """Head of this module's errors.

    DatabaseError
    └── DatabaseUnusable
        ├── DatabaseReadOnly
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


class DatabaseReadOnly(DatabaseUnusable):
    """The disk takes no writes. What is in the file can be read: ``Database.open_to_read``."""


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


def trouble_of(error: Exception) -> Trouble:
    """What an error says of the storage."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the kind; the rest says at which step.
    return Trouble.OTHER if code is None else _TROUBLES.get(code & 0xFF, Trouble.OTHER)


def _unusable(path: Path, error: sqlite3.Error) -> DatabaseUnusable:
    """What an error means for whoever wants to open a database."""
    match trouble_of(error):
        case Trouble.DAMAGED:
            kind: type[DatabaseUnusable] = DatabaseDamaged
        # Unlike path.exists(), this raises nothing where the folder cannot be looked into.
        case Trouble.READ_ONLY if os.access(path, os.F_OK):
            kind = DatabaseReadOnly
        case _:
            kind = DatabaseUnusable
    return kind(path, str(error))


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


_END_S = 1.0
"""It has nothing more to do but to end; cancelled while it opens a file, it is left alone."""


class _Threaded(aiosqlite.Connection):
    """An aiosqlite connection that runs one whole function on its thread.

    Awaiting statement by statement costs four to five times as much, and it would let other work
    in between the statements of one transaction.
    """

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function(connection)`` on the connection's thread and return what it returns."""
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result

    def await_end(self) -> None:
        """Wait for a thread that was told to end: its last word needs a loop that is still open."""
        self._thread.join(_END_S)


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
        if writes:
            # The first look makes the log, and says whether the file can be used at all.
            connection.execute("SELECT count(*) FROM sqlite_schema")
            make_room(path.with_name(path.name + "-wal"))
        return connection

    return await _threaded(connector)


def make_room(log: Path, size: int = LOG_ROOM_BYTES) -> None:
    """Let a log be of a size from the beginning on, with zeros behind what it holds.

    SQLite writes a log over and over from its start. A sync of what lies over old bytes takes half
    as long as one that makes the file longer, and waits for no other file of the same disk. What
    SQLite finds behind its own last frame means nothing to it.

    On the writer's thread only, in no transaction. A disk with little room keeps it for data.

    Args:
        log: SQLite has made it.
        size: bytes.
    """
    with contextlib.suppress(OSError):
        missing = size - log.stat().st_size
        free = shutil.disk_usage(log.parent).free
        if missing <= 0 or free < _FREE_FOR_ROOM * size:
            return
        with log.open("ab", buffering=0) as file:
            # Page by page: what a kernel keeps as one large piece it also counts as written whole.
            for start in range(0, missing, _SYSTEM_PAGE_BYTES):
                file.write(bytes(min(_SYSTEM_PAGE_BYTES, missing - start)))
            os.fdatasync(file.fileno())


async def _threaded(connector: Callable[[], sqlite3.Connection]) -> Owner:
    """An owner of the connection that is made on its thread. Raises what making it raises."""
    owner = _Threaded(connector, iter_chunk_size=64)
    try:
        await owner
    except BaseException:
        await _close_quietly(owner)
        owner.await_end()
        raise
    return owner


class _NoWriter:
    """Stands where there is nobody to write."""

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Refuse. Raises sqlite3.OperationalError."""
        del function
        error = sqlite3.OperationalError("the disk takes no writes")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    async def close(self) -> None:
        """Nothing is open."""


async def _reading_only(path: Path) -> Owner:
    """A connection to a file that nobody can write.

    Without a log SQLite wants to make one, which cannot be done; but then the file is all there is,
    and it is told that nobody changes it. With a log that would be wrong: it would be passed over.
    """

    def connector() -> sqlite3.Connection:
        log = path.with_name(path.name + "-wal")
        alone = not log.exists() or log.stat().st_size == 0
        address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        )
        prepare(connection, writes=False)
        connection.execute("SELECT count(*) FROM sqlite_schema")
        return connection

    return await _threaded(connector)


def prepare(connection: sqlite3.Connection, *, writes: bool) -> None:
    """Set what holds for every connection that writes, or that reads."""
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0")
    if writes:
        # Of a file that is still to be made; others keep what they have.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
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
        roll_back(connection)
        raise
    return result


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo the transaction if one is open; a disk that fails has undone it already, or will."""
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


class Database:
    """The two connections to one file.

    ``transact`` is for writing and is durable when it returns; ``read`` sees the last commit.
    """

    def __init__(
        self,
        path: Path,
        writer: Owner,
        reader: Owner,
        *,
        connect: Connect,
        marks: Marks | None,
        migrate: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._connect = connect
        self._marks = marks
        self._migrate = migrate
        self._in_use: Counter[Owner] = Counter()
        """How many wait for something of each connection at this moment."""
        self._readable = asyncio.Event()
        self._readable.set()
        self.refusal: Callable[[Exception], Exception] = _as_it_is
        """What a reader is told in place of an error of SQLite."""

    @classmethod
    async def open(
        cls,
        path: Path,
        migrate: Callable[[sqlite3.Connection], None],
        connect: Connect = on_a_thread,
        marks: Marks | None = None,
        first: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Self:
        """Open or create the file at ``path``.

        Args:
            path: the file; its folder must exist.
            migrate: creates or extends the schema; it runs in one transaction on the writer.
            connect: makes the two connections.
            marks: notes how far the log is; None = nobody does.
            first: called with the writer's connection before ``migrate``, in no transaction.

        Raises:
            DatabaseUnusable: when SQLite cannot open, read or extend the file.
            DatabaseDamaged: when the file is not what SQLite wrote.
            LogCut: when the log is shorter than it was.
        """
        try:
            writer = await connect(path, writes=True)
            try:
                if marks is not None:
                    await writer.hop(marks.judge)
                if first is not None:
                    await writer.hop(first)
                await writer.hop(lambda connection: in_transaction(connection, migrate))
                reader = await connect(path, writes=False)
                return cls(path, writer, reader, connect=connect, marks=marks, migrate=migrate)
            except BaseException:
                await _close_quietly(writer)
                raise
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        except UnicodeDecodeError as error:
            # SQLite tells of a word in the schema that is no text any more.
            raise DatabaseDamaged(path, str(error)) from error

    @classmethod
    async def open_to_read(cls, path: Path, migrate: Callable[[sqlite3.Connection], None]) -> Self:
        """Open the file on a disk that takes no writes; ``reopen`` makes it writable later.

        Raises:
            DatabaseUnusable: when it cannot be read either.
        """
        try:
            reader = await _reading_only(path)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        return cls(path, _NoWriter(), reader, connect=on_a_thread, marks=None, migrate=migrate)

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
        except UnicodeDecodeError as error:
            await self.close()
            raise DatabaseDamaged(self.path, str(error)) from error
        except BaseException:
            await self.close()
            raise

    async def transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` in one transaction; what it wrote is on the disk when this returns."""
        try:
            return await self.hop(lambda connection: in_transaction(connection, function))
        except sqlite3.Error as error:
            raise self.refusal(error) from error

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the writer's thread; it begins and commits by itself."""
        marks = self._marks
        if marks is None:
            return await self._by(self._writer, function)

        def noted(connection: sqlite3.Connection) -> T:
            result = function(connection)
            marks.note()
            return result

        return await self._by(self._writer, noted)

    async def on_writer(self, function: Callable[[], None]) -> None:
        """Run what is about the writer's thread alone; nothing where nobody can write."""
        with contextlib.suppress(sqlite3.Error):
            await self._by(self._writer, lambda _: function())

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the reading connection, in one snapshot of the database."""

        def snapshot(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return function(connection)
            finally:
                roll_back(connection)

        return await self.glance(snapshot)

    async def glance(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the reading connection's thread; it begins and ends by itself."""
        if not self._readable.is_set():
            await self._readable.wait()
        try:
            return await self._by(self._reader, function)
        except sqlite3.Error as error:
            raise self.refusal(error) from error

    async def _by(self, owner: Owner, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on a connection, which is not closed before it is done."""
        self._in_use[owner] += 1
        try:
            return await owner.hop(function)
        finally:
            self._in_use[owner] -= 1

    async def reopen(self) -> None:
        """Make both connections anew, with everything that the log holds forced into the file.

        After an error of input or output nobody knows what of the log is on the disk: it is not
        written on, but begun anew.

        Raises:
            DatabaseUnusable: the disk refuses still; the old connections stay.
        """
        if isinstance(self._writer, _NoWriter):
            await self._become_writable()
            return
        writer, reader = await self._both()
        old_writer, old_reader = self._writer, self._reader
        self._writer, self._reader = writer, reader
        await self._retire(old_writer)
        await self._retire(old_reader)
        if self._marks is not None:
            marks = self._marks
            await self._writer.hop(lambda _: marks.note())

    async def _both(self) -> tuple[Owner, Owner]:
        """New connections, the writer's and the reader's. Raises DatabaseUnusable."""
        try:
            writer = await self._connect(self.path, writes=True)
            try:
                await writer.hop(_fold)
                await writer.hop(lambda connection: in_transaction(connection, self._migrate))
                return writer, await self._connect(self.path, writes=False)
            except BaseException:
                await _close_quietly(writer)
                raise
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    async def _become_writable(self) -> None:
        """Put connections that write in the place of the one that only reads.

        That one is closed first, because a file that was mapped to be read stays so for the whole
        process; who wants to read meanwhile waits.
        """
        self._readable.clear()
        try:
            await self._retire(self._reader)
            try:
                self._writer, self._reader = await self._both()
            except DatabaseUnusable:
                self._reader = await _reading_only(self.path)
                raise
        finally:
            self._readable.set()

    async def _retire(self, owner: Owner) -> None:
        """Close a connection when those who were using it are done, in a few milliseconds."""
        while self._in_use[owner]:  # noqa: ASYNC110 - an Event would cost every read
            await asyncio.sleep(_LOOK_AGAIN_S)
        del self._in_use[owner]
        await _close_quietly(owner)

    async def close(self) -> None:
        """Close the reader, then the writer, whose close folds the log into the file."""
        await self._reader.close()
        await self._writer.close()
        if self._marks is not None:
            self._marks.close()


def _fold(connection: sqlite3.Connection) -> None:
    """Force everything that the log holds into the file, and begin the log anew."""
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise sqlite3.OperationalError("the log is still read by somebody")


def _as_it_is(error: Exception) -> Exception:
    return error


async def _close_quietly(owner: Owner) -> None:
    """Close a connection that may never have opened: its thread must end in any case."""
    try:
        await owner.close()
    except (sqlite3.Error, ValueError):
        if isinstance(owner, _Threaded):
            owner.stop()
