"""A ledger in a PostgreSQL database: two connections, each on a thread of its own.

No statement of any room stands here; they are SQLite's and translated by `dialect`. A statement
that is run once has its values put into it here, which needs no guess at the type of a NULL.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from sync.control_plane.dialect import (
    Connection,
    Rows,
    StatementRefused,
    StorageUnavailable,
    for_postgres,
    schema_for_postgres,
)
from sync.database import DatabaseError

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10
# Nobody waits for ever for one who has stopped in the middle of a transaction, and he is let go.
_PATIENCE = (
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)
_TABLE = re.compile(r"\s*(?:INSERT INTO|UPDATE) (\w+)")
_NAMED = re.compile(r"%\((\w+)\)s")
_COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = ANY (current_schemas(false))
"""
# Whoever writes goes alone, as in SQLite: the rooms' statements were thought of for that, and ids
# become visible in their order, so that neither the projection nor a page passes over what was
# numbered first and committed last. The number is any one of ours.
_GO_ALONE = "SELECT pg_advisory_xact_lock(420713051, hashtext(current_schema()))"
# Without a schema to create them in, current_schema() is NULL.
_MAY_CREATE = "SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false)"
_DEFECTS = (psycopg.errors.IntegrityError, psycopg.errors.ProgrammingError)
_REFUSED = (psycopg.errors.DataError, psycopg.errors.ProgramLimitExceeded)


class PostgresUnusable(DatabaseError):
    """PostgreSQL does not let us in. Check the address, the role's rights and that it runs."""


class _Number(Loader):
    """Sums of integers come as NUMERIC; here they are integers again."""

    def load(self, data: Buffer) -> int | float:
        number = Decimal(bytes(data).decode())
        return int(number) if number == number.to_integral_value() else float(number)


class _Spoken:
    """A connection that understands the ledger's statements.

    Args:
        connection: in a transaction.
        columns: the types of the columns, by table.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], columns: dict[str, dict[str, str]]
    ) -> None:
        self._connection = connection
        self._columns = columns

    def execute(self, statement: str, values: Any = (), /) -> Rows:
        """Run one statement; its values are put into it here."""
        cursor = psycopg.ClientCursor(self._connection)
        cursor.execute(_translated(statement).encode(), _clean(values))
        return _Found(cursor)

    def executemany(self, statement: str, values: Iterable[Any], /) -> Rows:
        """Run one statement for each of many values.

        It is prepared, and all travel together: the server reads it once, which is most of its work
        on the statements of the projection. It needs the types of the values then, which are those
        of the columns that they are named after.
        """
        cursor = psycopg.Cursor(self._connection)
        table = _TABLE.match(statement)
        types = self._columns.get(table[1], {}) if table else {}
        said = _NAMED.sub(
            lambda match: f"{match[0]}::{types[match[1]]}" if match[1] in types else match[0],
            _translated(statement),
        )
        cursor.executemany(said.encode(), [_clean(one) for one in values])
        return _Found(cursor)


class _Found:
    """What a statement has found; a statement that finds nothing has no rows to give."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor
        self.description = cursor.description
        self.rowcount = cursor.rowcount

    def fetchone(self) -> Any:
        return self._cursor.fetchone() if self.description else None

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall() if self.description else []

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


def _translated(statement: str) -> str:
    if re.match(r"\s*(--[^\n]*\n\s*)*(CREATE|ALTER)\b", statement):
        return schema_for_postgres(statement)
    return for_postgres(statement)


def _clean(values: Any) -> Any:
    """Values that PostgreSQL takes: its texts hold no NUL, and a device may send one."""
    if isinstance(values, Mapping):
        return {name: _clean_one(value) for name, value in values.items()}
    return tuple(_clean_one(value) for value in values)


def _clean_one(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


class _Owner:
    """One connection and its thread; a connection that is lost is made anew when it is needed."""

    def __init__(self, url: str, *, writes: bool) -> None:
        self._url = url
        self._writes = writes
        self._thread = ThreadPoolExecutor(1, "postgres-writer" if writes else "postgres-reader")
        self._connection: psycopg.Connection[Any] | None = None
        self._columns: dict[str, dict[str, str]] = {}

    async def hop(self, function: Callable[[Connection], T]) -> T:
        """Run a function in one transaction on the connection's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, function)

    async def lose(self) -> None:
        """Close the connection; the next one that is needed is made anew."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self.lose()
        self._thread.shutdown(wait=False)

    def _run(self, function: Callable[[Connection], T]) -> T:
        try:
            connection = self._connected()
            with connection.transaction():
                if self._writes:
                    connection.execute(_GO_ALONE)
                return function(_Spoken(connection, self._columns))
        except psycopg.OperationalError:
            # Whether a COMMIT came through is not known: the caller does the same again.
            self._drop()
            raise

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="baton",
                # A server that has gone without a word is noticed within half a minute.
                tcp_user_timeout=30_000,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
            for statement in _PATIENCE:
                connection.execute(statement)
            connection.adapters.register_loader("numeric", _Number)
            self._columns = {}
            for table, column, kind in connection.execute(_COLUMNS):
                self._columns.setdefault(table, {})[column] = kind
            if not self._writes:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresStorage:
    """A ledger in a PostgreSQL database. Make it with `open`."""

    def __init__(self, name: str, writer: _Owner, reader: _Owner) -> None:
        self.name = name
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, url: str, create: Callable[[Connection], None]) -> PostgresStorage:
        """Connect, and make the tables that are not there. Raises PostgresUnusable."""
        name = _name(url)
        writer, reader = _Owner(url, writes=True), _Owner(url, writes=False)
        try:
            await writer.hop(create)
            # The next connection knows the columns of the tables that are there now.
            await writer.lose()
            return cls(name, writer, reader)
        except psycopg.Error as error:
            await writer.close()
            await reader.close()
            raise _unusable(name, _said(error)) from error

    async def transact(self, function: Callable[[Connection], T]) -> T:
        """Run a function in one transaction. Raises StorageUnavailable."""
        return await self._by(self._writer, function)

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run a function in one snapshot. Raises StorageUnavailable."""
        return await self._by(self._reader, function)

    async def _by(self, owner: _Owner, function: Callable[[Connection], T]) -> T:
        try:
            return await owner.hop(function)
        except _DEFECTS:
            # A defect of ours, which waiting would not mend.
            raise
        except _REFUSED as error:
            raise StatementRefused(f"{self.name}: {_said(error)}") from error
        except psycopg.Error as error:
            raise StorageUnavailable(f"{self.name}: {_said(error)}") from error

    async def close(self) -> None:
        """Close both connections."""
        await self._reader.close()
        await self._writer.close()


def probe(url: str) -> None:
    """Connect, and look whether a ledger could be opened; nothing is made. Raises PostgresUnusable.

    A ledger that runs is not disturbed: no lock is asked for.
    """
    name = _name(url)
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.read_only = True
            found = connection.execute(_MAY_CREATE).fetchone()
    except psycopg.Error as error:
        raise _unusable(name, _said(error)) from error
    assert found is not None, "it is one row"
    if not found[0]:
        raise _unusable(name, "the role may not create tables in it")


def _name(url: str) -> str:
    """What a database is called in messages: without who asks, and without a password."""
    parts = urlsplit(url)
    return f"postgresql://{parts.hostname or ''}{parts.path}"


def _unusable(name: str, why: str) -> PostgresUnusable:
    return PostgresUnusable(
        f"cannot use the database {name}: {why}. Check [cloud] database, that PostgreSQL runs, and "
        "that the role may create tables there."
    )


def _said(error: psycopg.Error) -> str:
    """The first line of what PostgreSQL says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
