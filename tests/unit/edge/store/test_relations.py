"""Which rows may be of a table."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from edge.store.pages import Row
from edge.store.relations import described, fits, is_schema_row, padded, quoted, table_names


@pytest.fixture
def connection() -> sqlite3.Connection:
    """Two tables, one of them with a name that needs quotes."""
    opened = sqlite3.connect(":memory:")
    opened.execute("CREATE TABLE thing (key INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB)")
    opened.execute('CREATE TABLE "a ""b" (one TEXT PRIMARY KEY) WITHOUT ROWID')
    return opened


def test_tables_are_described(connection: sqlite3.Connection) -> None:
    """Columns, the one that is the row id, and whether there is a row id at all."""
    thing, other = (described(connection, name) for name in table_names(connection))

    assert ("thing", 0, True) == (thing.name, thing.key, thing.rowid)
    assert ("name", "TEXT", True) == thing.columns[1]
    assert ('a "b', None, False) == (other.name, other.key, other.rowid)
    assert '"a ""b"' == quoted(other.name)


@pytest.mark.parametrize(
    ("values", "fitting"),
    [
        ([None, "n", b"x"], True),
        ([None, "n"], True),
        ([None, "n", None], True),
        ([7, "n", b"x"], False),
        ([None, None, b"x"], False),
        ([None, b"n", b"x"], False),
        ([None, "n", b"x", 1], False),
        ([], False),
    ],
)
def test_rows_fit_or_do_not(
    connection: sqlite3.Connection, values: list[Any], fitting: bool
) -> None:
    """By the number and the types of their values; columns that came later may be missing."""
    thing = described(connection, "thing")

    assert fitting is fits(thing, Row(5, values))
    if fitting:
        assert [5, "n"] == padded(thing, Row(5, values))[:2]
        assert 3 == len(padded(thing, Row(5, values)))


def test_rows_of_the_schema_are_known() -> None:
    """Wherever they are found."""
    assert is_schema_row(["table", "t", "t", 3, "CREATE TABLE t (a)"])
    assert is_schema_row(["index", "i", "t", 4, None])
    assert not is_schema_row(["table", "t", "t", 3, None])
    assert not is_schema_row(["table", "t", "t", "3", "CREATE TABLE t (a)"])
    assert not is_schema_row(["row", "t"])
