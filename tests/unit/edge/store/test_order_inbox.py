"""Orders that were dealt with: remembered as long as they could act again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec
import pytest

from edge.store import order_inbox
from edge.store.migrations import migrate
from edge.store.order_inbox import Dealt, Ordered


@pytest.fixture
def disk() -> Iterator[sqlite3.Connection]:
    """An empty database of this release."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def dealt(cseq: int, expires_ms: int = 100) -> Dealt:
    """An order that is done."""
    return Dealt(f"id{cseq}", cseq, "start", "done", None, b"{}", expires_ms)


def test_the_line_goes_on_behind_the_last(disk: sqlite3.Connection) -> None:
    """Before the first there is none."""
    assert (0, "") == order_inbox.last(disk)
    for cseq in (1, 2):
        order_inbox.put(disk, dealt(cseq))

    assert (2, "id2") == order_inbox.last(disk)
    assert dealt(1) == order_inbox.find(disk, "id1")
    assert order_inbox.find(disk, "id3") is None


def test_an_order_takes_another_place_and_stays_what_it_was(disk: sqlite3.Connection) -> None:
    """Its result is not replaced."""
    order_inbox.put(disk, dealt(1))
    order_inbox.put(disk, msgspec.structs.replace(dealt(1), cseq=9, state="failed"))

    assert msgspec.structs.replace(dealt(1), cseq=9) == order_inbox.find(disk, "id1")


def test_what_is_over_is_forgotten_but_for_the_last(disk: sqlite3.Connection) -> None:
    """The last one says where the line stands."""
    for cseq, expires_ms in ((1, 10), (2, 90), (3, 10)):
        order_inbox.put(disk, dealt(cseq, expires_ms))
    order_inbox.forget(disk, 50)

    assert 2 == order_inbox.count(disk)
    assert order_inbox.find(disk, "id1") is None
    assert (3, "id3") == order_inbox.last(disk)


def test_what_was_put_is_replaced(disk: sqlite3.Connection) -> None:
    """One line a subject."""
    assert order_inbox.read_ordered(disk, "a") is None
    for revision in (1, 2):
        order_inbox.put_ordered(disk, "a", Ordered(revision, b"d", b"{}"))

    assert Ordered(2, b"d", b"{}") == order_inbox.read_ordered(disk, "a")
