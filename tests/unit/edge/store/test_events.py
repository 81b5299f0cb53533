"""Handlers, messages and executions in the database, and what is pruned of them."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest

from edge.model.decision import Publication
from edge.model.errors import Conflict, NotFound
from edge.model.events import EventExecution, EventHandler, Message
from edge.store import events
from edge.store.events import MessageWriter
from edge.store.migrations import migrate


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _handler(name: str, event: str = "conductor:w:e", **fields: Any) -> EventHandler:
    return EventHandler(name=name, event=event, active=True, **fields)


def _done(handler: str, execution_id: str, **fields: Any) -> EventExecution:
    message_id = execution_id.rpartition("_")[0]
    return EventExecution(
        execution_id, message_id, handler, "e", 5, "COMPLETED", "start_workflow", **fields
    )


def test_handlers_are_registered_once(connection: sqlite3.Connection) -> None:
    """All of a list or none; replacing and removing need one that exists."""
    events.add_handlers(connection, [_handler("a"), _handler("b")])
    for again in ([_handler("c"), _handler("a")], [_handler("c"), _handler("c")]):
        with pytest.raises(Conflict, match="EventHandler with name [ac] already exists!"):
            events.add_handlers(connection, again)
    events.replace_handler(connection, _handler("b", description="new"))
    events.remove_handler(connection, "a")
    for refused in (events.read_handler, events.remove_handler):
        with pytest.raises(NotFound, match="EventHandler with name a not found!"):
            refused(connection, "a")
    with pytest.raises(NotFound):
        events.replace_handler(connection, _handler("a"))

    assert ["b"] == [one.name for one in events.read_handlers(connection)]
    assert "new" == events.read_handler(connection, "b").description


def test_the_handlers_of_a_message(connection: sqlite3.Connection) -> None:
    """The active ones whose event it is, or whose filter its topic matches."""
    asleep = msgspec.structs.replace(_handler("z"), active=False)
    events.add_handlers(
        connection,
        [
            _handler("a"),
            asleep,
            _handler("m", "mqtt:site/+"),
            _handler("n", "mqtt:site/#"),
            _handler("o", "mqtt:other"),
            msgspec.structs.replace(_handler("p", "mqtt:#"), active=False),
        ],
    )

    def met(event: str) -> list[str]:
        return [one.name for one in events.handlers_for(connection, event)]

    assert ["a"] == met("conductor:w:e")
    assert ["m", "n"] == met("mqtt:site/roof")
    assert ["n"] == met("mqtt:site/roof/door")
    assert ["other", "site/#", "site/+"] == events.topic_filters(connection)
    both = events.read_handlers_of(connection, "conductor:w:e", active_only=False)
    assert ["a", "z"] == [one.name for one in both]


def test_messages_wait_where_somebody_listens(connection: sqlite3.Connection) -> None:
    """In the order in which they were sent; the others are gone."""
    events.add_handlers(connection, [_handler("a")])
    writer = MessageWriter()
    writer.publish([Publication("m1", "conductor:w:e", b"{}"), Publication("t", "mqtt:x", b"")])
    writer.publish([Publication("m2", "conductor:w:f", b"{}")])
    writer.publish([Publication("m3", "conductor:w:e", b"{}")])
    somebody = writer.flush(connection, 7)
    found = events.waiting(connection, 9)
    events.settle(connection, found[0][0])
    events.settle(connection, found[1][0], fault="broken")

    assert somebody is True
    assert ["m1", "m3"] == [message.message_id for _, message in found]
    assert [] == events.waiting(connection, 9)
    kept = events.read_messages(connection, "conductor:w:e", 0, 9)
    assert [("m3", "REJECTED", "broken"), ("m1", "HANDLED", None)] == [
        (one.message_id, one.status, one.reason) for one in kept
    ]
    assert writer.flush(connection, 7) is False


def test_a_rollback_forgets_what_was_sent(connection: sqlite3.Connection) -> None:
    """The decision that sent it was not written either."""
    events.add_handlers(connection, [_handler("a")])
    writer = MessageWriter()
    writer.publish([Publication("m1", "conductor:w:e", b"{}")])
    writer.forget_all()

    assert writer.flush(connection, 7) is False


def test_executions_are_found_again(connection: sqlite3.Connection) -> None:
    """By handler, event and id; shown newest first, with their message while it is kept."""
    events.note_message(connection, Message("e", "m", b'{"n":1}'), 5)
    events.note_message(connection, Message("e", "m", b'{"n":2}'), 6)
    events.add_execution(connection, _done("h", "m_0", output={"workflowId": "w"}))
    events.add_execution(connection, _done("h", "m_1"))
    events.add_execution(connection, _done("i", "lost_0"))

    assert events.is_done(connection, "h", "e", "m_0")
    assert not events.is_done(connection, "h", "e", "m_2")
    assert not events.is_done(connection, "h", "f", "m_0")
    assert [("m_1", b'{"n":1}'), ("m_0", b'{"n":1}')] == [
        (one.id, payload) for one, payload in events.read_executions(connection, "h", 0, 9)
    ]
    assert [None] == [payload for _, payload in events.read_executions(connection, "i", 0, 9)]
    assert [] == events.read_executions(connection, "h", 6, 9)
    assert {"h": (2, 1), "i": (1, 1)} == events.counts(connection, 0)
    (message,) = events.read_messages(connection, "e", 0, 9)
    assert ["m_0", "m_1"] == [one.id for one in message.executions]


def test_a_long_output_is_cut(connection: sqlite3.Connection) -> None:
    """What it concerns stays, the rest is a number of bytes."""
    output = {"workflowId": "w", "error": "e" * 20_000, "picture": "x" * 20_000}
    events.add_execution(connection, _done("h", "m_0", output=output))
    ((execution, _),) = events.read_executions(connection, "h", 0, 9)

    assert "w" == execution.output["workflowId"]
    assert 1_000 == len(execution.output["error"])
    assert execution.output["truncated"] > 40_000
    assert "picture" not in execution.output


def test_old_rows_leave(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """But a message that waits stays, however old it is."""
    for name, value in (("MESSAGES_KEPT", 10), ("EXECUTIONS_KEPT", 20), ("_PRUNE_EVERY", 1)):
        monkeypatch.setattr(events, name, value)
    events.add_handlers(connection, [_handler("a")])
    writer = MessageWriter()
    writer.publish([Publication("waits", "conductor:w:e", b"{}")])
    writer.flush(connection, 1)
    for number in range(50):
        events.note_message(connection, Message("e", str(number), b"{}"), number)
        events.add_execution(connection, _done("h", f"{number}_0"))

    assert 10 == len(events.read_messages(connection, "e", 0, 99))
    assert 20 == len(events.read_executions(connection, "h", 0, 99))
    assert ["waits"] == [message.message_id for _, message in events.waiting(connection, 9)]


def test_only_what_is_shown_is_read(connection: sqlite3.Connection) -> None:
    """What was done for messages that are not on the page costs nothing: it is not looked into."""
    for message_id in ("m1", "m_2", "m2"):
        events.note_message(connection, Message("e", message_id, b"{}"), 5)
        for action in (0, 10):
            events.add_execution(connection, _done("h", f"{message_id}_{action}"))
    connection.execute("UPDATE event_execution SET output = x'00' WHERE id LIKE 'm1%'")
    newest, before = events.read_messages(connection, "e", 0, 2)

    assert ("m2", ["m2_0", "m2_10"]) == (newest.message_id, [e.id for e in newest.executions])
    assert ("m_2", ["m_2_0", "m_2_10"]) == (before.message_id, [e.id for e in before.executions])
