"""Tables as a salvage sees them: their columns, and whether a row that lies about may be one of theirs.

No page is read here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container

import msgspec

from edge.store.pages import Row, Value

_SCHEMA_COLUMNS = 5

_COLUMNS = """
SELECT s.name, c.name, upper(c.type)
  FROM sqlite_schema s, pragma_table_info(s.name) c
 WHERE s.type = 'table'
 ORDER BY s.name, c.cid
"""


Column = tuple[str, str]
"""Name and type."""


class Table(msgspec.Struct):
    """A table, as far as its rows can be told from others by it."""

    name: str
    columns: list[tuple[str, str, bool]]
    """Name, type, whether NULL is forbidden."""
    key: int | None
    """The column that is the row id."""
    rowid: bool = True
    root: int = 0


def is_schema_row(values: list[Value]) -> bool:
    """Whether a row is of the schema table, wherever it was found."""
    if len(values) != _SCHEMA_COLUMNS or values[0] not in ("table", "index"):
        return False
    _, name, table, root, text = values
    told = isinstance(text, str) and text.lstrip().upper().startswith("CREATE")
    return (
        isinstance(name, str)
        and isinstance(table, str)
        and isinstance(root, int)
        and (told or (text is None and values[0] == "index"))
    )


def named_as(values: list[Value], ours: Container[str]) -> list[Value]:
    """A row of the schema table under a name of ours, where one of the two that it has still is."""
    kind, name, table, *rest = values
    if kind == "table" and name not in ours and table in ours:
        return [kind, table, table, *rest]
    return values


def table_names(connection: sqlite3.Connection) -> list[str]:
    """The tables of a database, but for SQLite's own."""
    rows = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    )
    return [row[0] for row in rows]


def columns_of(connection: sqlite3.Connection) -> dict[str, list[Column]]:
    """The columns of each table, by one statement: it is asked for at every start."""
    found: dict[str, list[Column]] = {}
    for name, *column in connection.execute(_COLUMNS):
        found.setdefault(name, []).append((column[0], column[1]))
    return found


def quoted(name: str) -> str:
    """A name as a statement holds it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def described(connection: sqlite3.Connection, name: str) -> Table:
    """What a database says of one of its tables. Raises LookupError when it has none of that name."""
    columns, key = [], None
    rows = connection.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
    primary = [row for row in rows if row[5]]
    listed = connection.execute("SELECT wr FROM pragma_table_list(?)", (name,)).fetchone()
    if listed is None:
        raise LookupError(name)
    rowid = not listed[0]
    for index, column, kind, needed, _, place in rows:
        columns.append((column, kind.upper(), bool(needed)))
        if rowid and place and len(primary) == 1 and kind.upper() == "INTEGER":
            key = index
    return Table(name, columns, key, rowid)


def fits(table: Table, row: Row) -> bool:
    """Whether a row may be of a table, by the number and the types of its values."""
    if not row.values or len(row.values) > len(table.columns):
        return False
    kinds: dict[str, type | tuple[type, ...]] = {
        "INTEGER": int, "INT": int, "TEXT": str, "BLOB": bytes, "REAL": (float, int),
    }  # fmt: skip
    for index, ((_, kind, needed), value) in enumerate(
        zip(table.columns, row.values, strict=False)
    ):
        if index == table.key:
            if value is not None:
                return False
        elif value is None:
            if needed:
                return False
        elif kind in kinds and not isinstance(value, kinds[kind]):
            return False
    return True


def padded(table: Table, row: Row) -> list[Value]:
    """All values of a row: the row id in its place, NULL for columns that came later."""
    values = list(row.values)
    if table.key is not None:
        values[table.key] = row.rowid
    return values + [None] * (len(table.columns) - len(values))
