"""Messages to executions: in order, in bounds, and gone with the execution."""

from __future__ import annotations

import sqlite3

import pytest

from edge.store import mailboxes
from edge.store.mailboxes import Letter, Mailboxes
from edge.store.migrations import migrate

_DAY_MS = 24 * 3_600 * 1_000


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _letter(name: str, at_ms: int = 0) -> Letter:
    return Letter(name, at_ms, b"{}")


def _ids(letters: list[Letter]) -> list[str]:
    return [letter.id for letter in letters]


def test_first_come_first_served(connection: sqlite3.Connection) -> None:
    """Each execution has its own, each message is taken once, a restart changes nothing."""
    boxes = Mailboxes()
    for name in "abc":
        assert boxes.put(connection, 1, _letter(name))
    boxes.put(connection, 2, _letter("z"))
    first = boxes.take(connection, 1, 2, 0)
    rest = Mailboxes().take(connection, 1, 9, 0)

    assert ["a", "b"] == _ids(first)
    assert ["c"] == _ids(rest)
    assert [] == boxes.take(connection, 1, 9, 0)
    assert ["z"] == _ids(boxes.take(connection, 2, 9, 0))


def test_a_full_queue_takes_no_more(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until something is taken."""
    monkeypatch.setattr(mailboxes, "MAX_MESSAGES", 2)
    boxes = Mailboxes()
    room = [boxes.put(connection, 1, _letter(name)) for name in "abc"]
    boxes.take(connection, 1, 1, 0)

    assert [True, True, False] == room
    assert boxes.put(connection, 1, _letter("d"))
    assert ["b", "d"] == _ids(boxes.take(connection, 1, 9, 0))


def test_messages_expire_a_day_after_the_last(connection: sqlite3.Connection) -> None:
    """A new message keeps the older ones alive; expired ones make room."""
    boxes = Mailboxes()
    boxes.put(connection, 1, _letter("a", 0))
    boxes.put(connection, 1, _letter("b", _DAY_MS - 1))
    both = boxes.take(connection, 1, 1, 2 * _DAY_MS - 2)
    late = boxes.take(connection, 1, 1, 2 * _DAY_MS)
    boxes.put(connection, 2, _letter("c", 0))
    boxes.put(connection, 2, _letter("d", _DAY_MS))

    assert (["a"], []) == (_ids(both), late)
    assert ["d"] == _ids(boxes.take(connection, 2, 9, _DAY_MS))


def test_an_end_takes_the_messages_along(connection: sqlite3.Connection) -> None:
    """Those of others stay."""
    boxes = Mailboxes()
    boxes.put(connection, 1, _letter("a"))
    boxes.put(connection, 2, _letter("b"))
    boxes.close(connection, 1)
    boxes.close(connection, 3)

    assert [] == boxes.take(connection, 1, 9, 0)
    assert ["b"] == _ids(boxes.take(connection, 2, 9, 0))


def test_a_rollback_is_read_again(connection: sqlite3.Connection) -> None:
    """What was put is gone, what was taken is back."""
    boxes = Mailboxes()
    boxes.put(connection, 1, _letter("a"))
    connection.execute("BEGIN")
    boxes.take(connection, 1, 1, 0)
    boxes.put(connection, 2, _letter("b"))
    connection.execute("ROLLBACK")
    boxes.forget_all()

    assert ["a"] == _ids(boxes.take(connection, 1, 9, 0))
    assert [] == boxes.take(connection, 2, 9, 0)
