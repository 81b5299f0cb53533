"""Event handlers, the messages they are for, and what has become of each action.

Which messages an action follows, and what it does, is decided elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from edge.model.decision import Publication
from edge.model.errors import Conflict, NotFound
from edge.model.events import (
    CONDUCTOR,
    MQTT,
    EventExecution,
    EventHandler,
    Message,
    is_for,
)
from edge.store import facts
from edge.store.checked import DocumentDecoder, encode_document

_PUT_HANDLER = """
INSERT INTO event_handler (name, event, active, document) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
  event = excluded.event, active = excluded.active, document = excluded.document
"""
_HANDLER = "SELECT document FROM event_handler WHERE name = ?"
_HANDLERS = "SELECT document FROM event_handler ORDER BY name"
_HANDLERS_OF = """
SELECT document FROM event_handler WHERE event = ? AND active >= ? ORDER BY name
"""
_TOPIC_HANDLERS = """
SELECT document FROM event_handler
 WHERE event >= 'mqtt:' AND event < 'mqtt;' AND active = 1
 ORDER BY name
"""
_LISTENED_TO = "SELECT 1 FROM event_handler WHERE event = ? AND active = 1 LIMIT 1"
_DROP_HANDLER = "DELETE FROM event_handler WHERE name = ?"

_PUT_MESSAGE = """
INSERT INTO event_message (event, message_id, received_ms, status, payload) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (event, message_id) DO NOTHING
"""
_WAITING = """
SELECT key, event, message_id, payload FROM event_message
 WHERE status = 'RECEIVED'
 ORDER BY key
 LIMIT ?
"""
_SETTLE = "UPDATE event_message SET status = ?, reason = ? WHERE key = ?"
_MESSAGES_OF = """
SELECT message_id, received_ms, status, reason, payload FROM event_message
 WHERE event = ? AND received_ms >= ?
 ORDER BY key DESC
 LIMIT ?
"""
_MESSAGE = "SELECT payload FROM event_message WHERE event = ? AND message_id = ?"
_SAME_BEFORE = """
SELECT message_id FROM event_message
 WHERE event = ? AND message_id >= ? AND message_id < ? AND received_ms >= ?
 ORDER BY key DESC
 LIMIT 1
"""
_LATEST_OF = "SELECT message_id FROM event_message WHERE event = ? ORDER BY key DESC LIMIT 1"
_REJECT = (
    "UPDATE event_message SET status = 'REJECTED', reason = ? WHERE event = ? AND message_id = ?"
)
_PRUNE_MESSAGES = """
DELETE FROM event_message
 WHERE key <= (SELECT max(key) FROM event_message) - ? AND status <> 'RECEIVED'
"""

_SUBSCRIBED = "SELECT filter FROM event_subscription ORDER BY filter"
_UNSUBSCRIBE_ALL = "DELETE FROM event_subscription"
_SUBSCRIBE = "INSERT INTO event_subscription (filter) VALUES (?)"
_SESSION = "event_session_ms"
"""The fact when the session at the broker began."""

_EXECUTION = "SELECT 1 FROM event_execution WHERE handler = ? AND event = ? AND id = ?"
_PUT_EXECUTION = """
INSERT INTO event_execution (handler, event, id, created_ms, status, action, output)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_EXECUTIONS_OF = """
SELECT id, handler, event, created_ms, status, action, output FROM event_execution
 WHERE handler = ? AND created_ms >= ?
 ORDER BY key DESC
 LIMIT ?
"""
# Of the messages that _MESSAGES_OF finds, and no others: an id is the message's and a number.
_EXECUTIONS_FOR = """
SELECT id, handler, event, created_ms, status, action, output FROM event_execution
 WHERE event = ? AND created_ms >= ?
   AND rtrim(id, '0123456789') IN (
     SELECT message_id || '_' FROM event_message
      WHERE event = ? AND received_ms >= ?
      ORDER BY key DESC
      LIMIT ?
   )
 ORDER BY key
"""
_COUNTS = """
SELECT handler, count(*), count(DISTINCT event || char(0) || rtrim(id, '0123456789'))
  FROM event_execution
 WHERE created_ms >= ?
 GROUP BY handler
"""
_PRUNE_EXECUTIONS = """
DELETE FROM event_execution WHERE key <= (SELECT max(key) FROM event_execution) - ?
"""

_HANDLER_DECODER = DocumentDecoder(EventHandler, "event_handler")

MESSAGES_KEPT = 2_000
"""Messages that are shown after they were handled. One that waits is never among the pruned."""

EXECUTIONS_KEPT = 20_000
"""Records of actions. A message that comes again after so many others acts again."""

_PRUNE_EVERY = 64
"""Rows between two prunings, so that most messages delete nothing."""

_OUTPUT_BYTES = 10_000
"""Bytes of an action's output that are kept; the payload that it came from is kept by itself."""


# Handlers.


def read_handlers(connection: sqlite3.Connection) -> list[EventHandler]:
    """All handlers."""
    return [_HANDLER_DECODER.decode(row[0]) for row in connection.execute(_HANDLERS)]


def read_handlers_of(
    connection: sqlite3.Connection, event: str, *, active_only: bool
) -> list[EventHandler]:
    """The handlers that were registered for an event, wildcards and all."""
    rows = connection.execute(_HANDLERS_OF, (event, int(active_only)))
    return [_HANDLER_DECODER.decode(row[0]) for row in rows]


def read_handler(connection: sqlite3.Connection, name: str) -> EventHandler:
    """One handler. Raises NotFound."""
    row = connection.execute(_HANDLER, (name,)).fetchone()
    if row is None:
        raise NotFound(f"EventHandler with name {name} not found!")
    return _HANDLER_DECODER.decode(row[0])


def add_handlers(connection: sqlite3.Connection, handlers: list[EventHandler]) -> None:
    """Register handlers, all or none. Raises Conflict when one exists already."""
    seen: set[str] = set()
    for handler in handlers:
        if handler.name in seen or connection.execute(_HANDLER, (handler.name,)).fetchone():
            raise Conflict(f"EventHandler with name {handler.name} already exists!")
        seen.add(handler.name)
    for handler in handlers:
        _put(connection, handler)


def replace_handler(connection: sqlite3.Connection, handler: EventHandler) -> None:
    """Replace a handler. Raises NotFound when there is none of that name."""
    read_handler(connection, handler.name)
    _put(connection, handler)


def remove_handler(connection: sqlite3.Connection, name: str) -> None:
    """Forget a handler. Raises NotFound."""
    if connection.execute(_DROP_HANDLER, (name,)).rowcount == 0:
        raise NotFound(f"EventHandler with name {name} not found!")


def _put(connection: sqlite3.Connection, handler: EventHandler) -> None:
    row = (handler.name, handler.event, int(handler.active), encode_document(handler))
    connection.execute(_PUT_HANDLER, row)


def handlers_for(connection: sqlite3.Connection, event: str) -> list[EventHandler]:
    """The active handlers that a message of an event meets."""
    if not event.startswith(MQTT):
        return read_handlers_of(connection, event, active_only=True)
    found = (_HANDLER_DECODER.decode(row[0]) for row in connection.execute(_TOPIC_HANDLERS))
    return [handler for handler in found if is_for(event, handler.event)]


def topic_filters(connection: sqlite3.Connection) -> list[str]:
    """The topics that active handlers listen to, each once."""
    found = (_HANDLER_DECODER.decode(row[0]) for row in connection.execute(_TOPIC_HANDLERS))
    return sorted({handler.event.removeprefix(MQTT) for handler in found})


# Messages.


def note_message(connection: sqlite3.Connection, message: Message, now_ms: int) -> None:
    """Keep a message that came from outside; one that has come before is kept already."""
    row = (message.event, message.message_id, now_ms, "HANDLED", message.payload)
    _prune(connection, connection.execute(_PUT_MESSAGE, row), _PRUNE_MESSAGES, MESSAGES_KEPT)


def waiting(connection: sqlite3.Connection, limit: int) -> list[tuple[int, Message]]:
    """The oldest messages whose handlers have not run, with their keys."""
    rows = connection.execute(_WAITING, (limit,)).fetchall()
    return [(key, Message(event, message_id, payload)) for key, event, message_id, payload in rows]


def settle(connection: sqlite3.Connection, key: int, *, fault: str | None = None) -> None:
    """A message's handlers have run, or never will because of a fault."""
    status = "HANDLED" if fault is None else "REJECTED"
    connection.execute(_SETTLE, (status, fault, key))


def reject_message(
    connection: sqlite3.Connection, message: Message, now_ms: int, fault: str
) -> None:
    """Keep a message that came from outside as one that cannot be handled."""
    note_message(connection, message, now_ms)
    connection.execute(_REJECT, (fault, message.event, message.message_id))


def find_redelivered(connection: sqlite3.Connection, event: str, prefix: str) -> str | None:
    """The newest message of this session at the broker whose id begins so; None = no such."""
    began_ms = facts.read(connection, _SESSION)
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    row = connection.execute(_SAME_BEFORE, (event, prefix, end, began_ms)).fetchone()
    return None if row is None else row[0]


def latest_message_id(connection: sqlite3.Connection, event: str) -> str | None:
    """The id of the newest message of an event that is kept."""
    row = connection.execute(_LATEST_OF, (event,)).fetchone()
    return None if row is None else row[0]


# The session at the broker.


def read_subscribed(connection: sqlite3.Connection) -> list[str]:
    """The topic filters that the session is subscribed to."""
    return [row[0] for row in connection.execute(_SUBSCRIBED)]


def note_subscribed(connection: sqlite3.Connection, filters: Iterable[str]) -> None:
    """The session is subscribed to these and no others."""
    connection.execute(_UNSUBSCRIBE_ALL)
    connection.executemany(_SUBSCRIBE, [(one,) for one in filters])


def begin_session(connection: sqlite3.Connection, now_ms: int) -> None:
    """The broker knows nothing of what it has sent before."""
    facts.write(connection, _SESSION, now_ms)


class KeptMessage(msgspec.Struct, frozen=True):
    """A message as it is shown."""

    message_id: str
    received_ms: int
    status: str
    reason: str | None
    payload: bytes
    executions: list[EventExecution] = []
    """What was done for it, in order."""


def read_messages(
    connection: sqlite3.Connection, event: str, from_ms: int, limit: int
) -> list[KeptMessage]:
    """The messages of an event that are kept, newest first."""
    done: dict[str, list[EventExecution]] = {}
    of_page = (event, from_ms, limit)
    for row in connection.execute(_EXECUTIONS_FOR, (event, from_ms, *of_page)):
        execution = _execution(row)
        done.setdefault(execution.message_id, []).append(execution)
    return [
        KeptMessage(message_id, received_ms, status, reason, payload, done.get(message_id, []))
        for message_id, received_ms, status, reason, payload in connection.execute(
            _MESSAGES_OF, of_page
        )
    ]


class MessageWriter:
    """Collects what workflows send to internal queues; runs on the writer's thread."""

    def __init__(self) -> None:
        self._messages: list[Publication] = []

    def publish(self, publications: Iterable[Publication]) -> None:
        """Keep the messages for internal queues until the flush."""
        self._messages += [p for p in publications if p.sink.startswith(CONDUCTOR)]

    def flush(self, connection: sqlite3.Connection, now_ms: int) -> bool:
        """Write what is waiting. True when somebody has to look at it.

        A message that no active handler listens to is gone: nobody would ever take it away.
        """
        written = False
        for message in self._messages:
            if connection.execute(_LISTENED_TO, (message.sink,)).fetchone() is None:
                continue
            row = (message.sink, message.message_id, now_ms, "RECEIVED", message.payload)
            cursor = connection.execute(_PUT_MESSAGE, row)
            _prune(connection, cursor, _PRUNE_MESSAGES, MESSAGES_KEPT)
            written = True
        self._messages.clear()
        return written

    def forget_all(self) -> None:
        """After a ROLLBACK."""
        self._messages.clear()


# What the actions have done.


def is_done(connection: sqlite3.Connection, handler: str, event: str, execution_id: str) -> bool:
    """Whether an action has been carried out, or passed over, for a message."""
    row = connection.execute(_EXECUTION, (handler, event, execution_id)).fetchone()
    return row is not None


def add_execution(connection: sqlite3.Connection, execution: EventExecution) -> None:
    """Write down what has become of an action."""
    row = (
        execution.name,
        execution.event,
        execution.id,
        execution.created,
        execution.status,
        execution.action,
        _output(execution.output),
    )
    cursor = connection.execute(_PUT_EXECUTION, row)
    _prune(connection, cursor, _PRUNE_EXECUTIONS, EXECUTIONS_KEPT)


def read_executions(
    connection: sqlite3.Connection, handler: str, from_ms: int, limit: int
) -> list[tuple[EventExecution, bytes | None]]:
    """What a handler has done, newest first, each with its message while that is kept."""
    rows = connection.execute(_EXECUTIONS_OF, (handler, from_ms, limit)).fetchall()
    found = []
    for row in rows:
        execution = _execution(row)
        key = (execution.event, execution.message_id)
        message = connection.execute(_MESSAGE, key).fetchone()
        found.append((execution, None if message is None else message[0]))
    return found


def counts(connection: sqlite3.Connection, from_ms: int) -> dict[str, tuple[int, int]]:
    """Actions and messages of each handler, among what is kept."""
    rows = connection.execute(_COUNTS, (from_ms,)).fetchall()
    return {handler: (actions, messages) for handler, actions, messages in rows}


def _execution(row: Any) -> EventExecution:
    execution_id, handler, event, created_ms, status, action, output = row
    return EventExecution(
        execution_id,
        execution_id.rpartition("_")[0],
        handler,
        event,
        created_ms,
        status,
        action,
        msgspec.json.decode(output),
    )


def _output(output: dict[str, Any]) -> bytes:
    encoded = msgspec.json.encode(output)
    if len(encoded) <= _OUTPUT_BYTES:
        return encoded
    kept = {
        key: value[: _OUTPUT_BYTES // 10]
        for key, value in output.items()
        if key in _OUTPUT_KEYS and isinstance(value, str)
    }
    return msgspec.json.encode({**kept, "truncated": len(encoded)})


_OUTPUT_KEYS = frozenset({"workflowId", "taskId", "taskRefName", "error", "exception", "condition"})


def _prune(
    connection: sqlite3.Connection, cursor: sqlite3.Cursor, statement: str, kept: int
) -> None:
    """After every so many rows, let the oldest go."""
    if cursor.rowcount > 0 and (cursor.lastrowid or 0) % _PRUNE_EVERY == 0:
        connection.execute(statement, (kept,))
