"""Both databases behind the interface: transactions, snapshots, defects and troubles."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from sync.control_plane.dialect import Connection, StatementRefused, named_rows
from sync.control_plane.postgres import PostgresUnusable
from sync.control_plane.storage import BadDatabaseUrl, Storage, open_storage, probe
from sync.database import DatabaseUnusable
from tests.postgres import Postgres


def create(connection: Connection) -> None:
    """One table."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS note (note_id INTEGER PRIMARY KEY, text TEXT, body BLOB) STRICT;"
    )


def with_storage(where: Path | str, scenario: Callable[[Storage], Awaitable[None]]) -> None:
    """Run a scenario over a database with one table."""

    async def run() -> None:
        storage = await open_storage(where, create)
        try:
            await scenario(storage)
        finally:
            await storage.close()

    asyncio.run(run())


def test_a_function_is_one_transaction(where: Path | str) -> None:
    """What fails has not happened; what returned is seen by readers."""

    def write(connection: Connection) -> None:
        values = [{"text": text, "body": body} for text, body in (("a", b"\0\xff"), ("b", None))]
        connection.executemany("INSERT INTO note (text, body) VALUES (:text, :body)", values)

    def fail(connection: Connection) -> None:
        write(connection)
        raise ZeroDivisionError

    async def scenario(storage: Storage) -> None:
        await storage.transact(write)
        with pytest.raises(ZeroDivisionError):
            await storage.transact(fail)

        found = await storage.read(
            lambda c: named_rows(c, "SELECT text, body FROM note ORDER BY text")
        )
        assert [{"text": "a", "body": b"\0\xff"}, {"text": "b", "body": None}] == found
        total = await storage.read(
            lambda c: c.execute("SELECT SUM(note_id), MAX(note_id, 9), COUNT(*) FROM note "
                                "GROUP BY note_id ORDER BY 1").fetchall()
        )  # fmt: skip
        assert [(1, 9, 1), (2, 9, 1)] == [tuple(row) for row in total]

    with_storage(where, scenario)


def test_a_defect_of_ours_is_no_trouble_of_the_database(where: Path | str) -> None:
    """To wait for a row that stands there twice would be to wait for ever."""

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute("INSERT INTO note (note_id) VALUES (7)")

    async def scenario(storage: Storage) -> None:
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.IntegrityError)):
            await storage.transact(twice)
        assert 0 == await storage.read(
            lambda c: c.execute("SELECT COUNT(*) FROM note").fetchone()[0]
        )

    with_storage(where, scenario)


def test_addresses_that_are_none_are_refused() -> None:
    """Each by a message that says what is wanted."""
    with pytest.raises(BadDatabaseUrl, match="postgresql://USER"):
        asyncio.run(open_storage("fleet.db", create))
    with pytest.raises(PostgresUnusable, match="Check"):
        asyncio.run(open_storage("postgresql://me@127.0.0.1:1/fleet", create))


def test_what_a_database_refuses_is_not_waited_for(where: Path | str) -> None:
    """The same again would be refused again, and the next statement works."""
    statement = {
        True: "SELECT zeroblob(3000000000)",
        False: "SELECT CAST('many' AS INTEGER)",
    }[isinstance(where, Path)]

    async def scenario(storage: Storage) -> None:
        for run in (storage.transact, storage.read):
            with pytest.raises(StatementRefused):
                await run(lambda c: c.execute(statement).fetchall())
        assert 0 == await storage.read(
            lambda c: c.execute("SELECT COUNT(*) FROM note").fetchone()[0]
        )

    with_storage(where, scenario)


def test_nobody_waits_for_ever(server: Postgres) -> None:
    """For a lock, or for one who stopped in the middle of a transaction."""
    names = ("lock_timeout", "idle_in_transaction_session_timeout")

    async def scenario(storage: Storage) -> None:
        for run in (storage.transact, storage.read):
            told = await run(
                lambda c: [
                    c.execute("SELECT current_setting(?)", (name,)).fetchone()[0] for name in names
                ]
            )
            assert ["30s", "1min"] == told

    with_storage(server.new_schema(), scenario)


def test_an_address_that_cannot_be_read_is_refused() -> None:
    """One line, as for any other that is none."""
    with pytest.raises(BadDatabaseUrl, match="postgresql://USER"):
        asyncio.run(open_storage("postgresql://[x", create))


def test_a_database_is_looked_at_without_a_change(where: Path | str) -> None:
    """Before there is anything in it, and while another process writes."""
    probe(where)

    def look(connection: Connection) -> None:
        connection.execute("INSERT INTO note (note_id) VALUES (1)")
        probe(where)
        connection.execute("DELETE FROM note")

    async def scenario(storage: Storage) -> None:
        await storage.transact(look)
        assert 0 == await storage.read(
            lambda c: c.execute("SELECT COUNT(*) FROM note").fetchone()[0]
        )

    if isinstance(where, Path):
        assert not where.exists()
    with_storage(where, scenario)
    probe(where)


def test_a_file_that_is_no_ledger_is_told(tmp_path: Path) -> None:
    """With its path, and it stays as it is."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 100)

    with pytest.raises(DatabaseUnusable, match="ledger.db: file is not a database"):
        probe(path)
    assert b"no database" * 100 == path.read_bytes()


def test_a_role_that_may_make_no_tables_is_told(server: Postgres) -> None:
    """As well as a server that is not there, and what is no address; no password is shown."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    guest = server.new_schema().replace("//baton@", "//guest:geheim@")

    with pytest.raises(PostgresUnusable, match="may not create tables") as refused:
        probe(guest)
    assert "geheim" not in str(refused.value)
    with pytest.raises(PostgresUnusable, match="may not create tables"):
        probe(server.url("nowhere"))
    with pytest.raises(PostgresUnusable, match="postgresql://127.0.0.1/fleet"):
        probe("postgresql://me@127.0.0.1:1/fleet")
    with pytest.raises(BadDatabaseUrl):
        probe("mysql://fleet")
