"""What was ordered to be fetched, until its answer has arrived."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge.store import fetches
from edge.store.fetches import Fetch
from edge.store.migrations import migrate


@pytest.fixture
def disk() -> Iterator[sqlite3.Connection]:
    """A new database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        yield connection


def test_the_oldest_is_first_and_answered_once(disk: sqlite3.Connection) -> None:
    """The same again is the same."""
    old, young = Fetch("b", "fetch-file", b"{}", 1), Fetch("a", "fetch-journal", b"{}", 2)
    for one in (young, old, old):
        fetches.put(disk, one)

    assert (2, old) == (fetches.count(disk), fetches.waiting(disk))
    assert fetches.answer(disk, "b", 7)
    assert not fetches.answer(disk, "b", 9)
    assert (young, {"b": 7}) == (fetches.waiting(disk), fetches.answered(disk))
    fetches.drop(disk, "b")
    assert (1, {}) == (fetches.count(disk), fetches.answered(disk))
