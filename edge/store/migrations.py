"""Creates the schema and takes an older database forward, one additive step at a time.

No statement of daily work stands here.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from edge.store.outbox import ROW_BYTES
from edge.store.relations import Column, Table, described, table_names

APPLICATION_ID = 0x4241544E
"""``BATN``: tells a Baton database from any other SQLite file."""

_SCHEMA = Path(__file__).with_name("schema.sql")

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \(")
_COLUMN = re.compile(r"^  (\w+) +(INTEGER|TEXT|BLOB|REAL|ANY)\b", re.MULTILINE)

SCHEMA_VERSION = 9
"""Of this release. A change adds tables to the schema, and columns in ``_extend``."""


_WEIGH = """
UPDATE lane SET bytes =
  (SELECT COALESCE(SUM(LENGTH(body) + ?), 0) FROM history WHERE history.key >> 56 = lane.lane)
  + (SELECT COALESCE(SUM(LENGTH(frame)), 0) FROM sealed WHERE sealed.key >> 56 = lane.lane)
"""
"""As ``edge/store/outbox.py`` counts."""


class MigrationError(Exception):
    """Head of this module's errors.

    MigrationError
    ├── ForeignDatabase
    └── DatabaseTooNew
    """


class ForeignDatabase(MigrationError):
    """The file is a SQLite database of another program. Choose another data directory."""


class DatabaseTooNew(MigrationError):
    """A later release changed this database beyond what this one can read. Install that release."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this release's schema, inside the caller's transaction.

    A database of a later release whose changes were additive is opened as it is.

    Raises:
        ForeignDatabase: the file belongs to another program.
        DatabaseTooNew: the file says that this release must not open it.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != APPLICATION_ID and not _has_ours(connection):
        raise ForeignDatabase("the file is a database of another program")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if tables:
        oldest = connection.execute(
            "SELECT value FROM fact WHERE name = 'oldest_reader'"
        ).fetchone()
        if oldest is not None and oldest[0] > SCHEMA_VERSION:
            raise DatabaseTooNew(
                f"the database needs a release that reads schema {oldest[0]}; "
                f"this one reads {SCHEMA_VERSION}"
            )
    if version >= SCHEMA_VERSION:
        return
    schema = _SCHEMA.read_text(encoding="utf-8")
    for statement in _statements(schema):
        connection.execute(statement)
    _extend(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def own_tables() -> dict[str, Table]:
    """The tables of this release by their names, as a new database has them."""
    with contextlib.closing(sqlite3.connect(":memory:")) as own:
        migrate(own)
        return {name: described(own, name) for name in table_names(own)}


def own_columns() -> dict[str, list[Column]]:
    """Their columns, as they are written: a database to ask would cost each daemon a megabyte."""
    found: dict[str, list[Column]] = {}
    for statement in _statements(_SCHEMA.read_text(encoding="utf-8")):
        table = _TABLE.search(statement)
        if table is not None:
            found[table[1]] = [(one[1], one[2]) for one in _COLUMN.finditer(statement)]
    return found


def _extend(connection: sqlite3.Connection) -> None:
    """Add the columns that an older release's tables lack."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(lane)")}
    if "bytes" not in columns:
        connection.execute("ALTER TABLE lane ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0")
        weigh(connection)
    if "first" not in columns:
        connection.execute("ALTER TABLE lane ADD COLUMN first INTEGER NOT NULL DEFAULT 1")


def weigh(connection: sqlite3.Connection) -> None:
    """Count anew what the records of each lane take."""
    connection.execute(_WEIGH, (ROW_BYTES,))


def _has_ours(connection: sqlite3.Connection) -> bool:
    """Whether the tables are ours after all: the number stands on one page, which may be damaged."""
    names = (
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('fact', 'workflow', 'task', 'history')"
    )
    return bool(connection.execute(names).fetchone()[0] == 4)


def _statements(script: str) -> list[str]:
    """The statements of a script; sqlite3's own runner would commit the caller's transaction."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
