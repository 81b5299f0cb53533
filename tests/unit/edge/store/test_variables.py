"""Rows of secrets and variables, by name."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.errors import InvalidInput, NotFound
from edge.model.variables import Tag
from edge.store import variables
from edge.store.migrations import migrate
from edge.store.variables import ENVIRONMENT, SECRETS, Sealed


def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def test_a_secret_is_replaced_and_keeps_its_tags() -> None:
    """The newest sealing counts; what people have noted about it stays."""
    connection = _connection()
    variables.put_secret(connection, "a", Sealed(b"k", bytes(12), b"one"), 5)
    variables.put_tags(connection, SECRETS, "a", [Tag("team", "x")])
    variables.put_secret(connection, "a", Sealed(b"l", bytes(12), b"two"), 6)

    assert Sealed(b"l", bytes(12), b"two") == variables.read_secret(connection, "a")
    assert [Tag("team", "x")] == variables.read_tags(connection, SECRETS, "a")
    assert {"a": [Tag("team", "x")]} == variables.read_all_tags(connection, SECRETS)
    assert variables.read_secret(connection, "b") is None


def test_variables_are_read_by_name_and_all_together() -> None:
    """In the order of their names."""
    connection = _connection()
    for name, value in (("b", "2"), ("a", "0"), ("a", "1")):
        variables.put_variable(connection, name, value, 5)

    assert [("a", "1"), ("b", "2")] == list(variables.read_variables(connection).items())
    assert "1" == variables.read_variable(connection, "a")
    assert variables.read_variable(connection, "c") is None


@pytest.mark.parametrize("table", [SECRETS, ENVIRONMENT])
def test_what_is_not_there_is_told(table: str) -> None:
    """To delete, to tag and to read tags take a name that exists."""
    connection = _connection()

    for act in (
        lambda: variables.drop(connection, table, "gone"),
        lambda: variables.read_tags(connection, table, "gone"),
        lambda: variables.put_tags(connection, table, "gone", []),
    ):
        with pytest.raises(NotFound, match="found by name: gone"):
            act()


def test_the_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that exists can still be replaced."""
    monkeypatch.setattr(variables, "MAX_COUNT", 1)
    connection = _connection()
    variables.put_variable(connection, "a", "1", 5)
    variables.put_variable(connection, "a", "2", 5)

    with pytest.raises(InvalidInput, match="delete some"):
        variables.put_variable(connection, "b", "1", 5)
    variables.drop(connection, ENVIRONMENT, "a")
    variables.put_variable(connection, "b", "1", 5)
    assert ["b"] == variables.read_names(connection, ENVIRONMENT)
