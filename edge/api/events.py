"""Endpoints under ``/api/event`` and ``/api/queue``: handlers, what they have done, signals.

What a message does stands in ``edge.events``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from edge import events
from edge.api import answers
from edge.api.call import Call
from edge.clock import new_request_id
from edge.model.definitions import JsonObject, without_nulls
from edge.model.errors import InvalidInput, NotFound
from edge.model.events import EventExecution, EventHandler, Message, parse_event_handler
from edge.model.executions import TaskStatus
from edge.model.requests import TaskResult
from edge.model.tags import Tag, merged, parse_tags, without
from edge.responses import Response
from edge.store import events as store
from edge.transactions import Transaction

_MAX_LIST = 1_000
"""Handlers in one call."""

_PAGE = 100
"""Executions or messages that are shown; older ones are asked for by time."""

_SIGNALS = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})
"""What a signal may end a task with, as in Conductor."""


async def add_handlers(call: Call) -> Response:
    """Register a handler, or all of a list: the two servers differ, and clients send either."""
    document = await call.document()
    documents = document if isinstance(document, list) else [document]
    handlers = [await _parsed(call, one) for one in _bounded(documents)]
    await call.house.engine.request(lambda t: store.add_handlers(t.connection, handlers))
    call.house.handlers_changed()
    return answers.void()


async def replace_handler(call: Call) -> Response:
    """Replace a handler that exists."""
    handler = await _parsed(call, await call.json_object())
    await call.house.engine.request(lambda t: store.replace_handler(t.connection, handler))
    call.house.handlers_changed()
    return answers.void()


async def remove_handler(call: Call) -> Response:
    """Forget a handler."""
    name = call.params["name"]
    await call.house.engine.request(lambda t: store.remove_handler(t.connection, name))
    call.house.handlers_changed()
    return answers.void()


async def list_handlers(call: Call) -> Response:
    """All handlers."""
    found = await call.house.engine.database.read(store.read_handlers)
    return answers.json([_shown(one) for one in found])


async def handlers_of(call: Call) -> Response:
    """The handlers of an event, whose colons and slashes may stand in the path as they are."""
    event, active_only = call.params["event"], call.flag("activeOnly", default=True)
    found = await call.house.engine.database.read(
        lambda c: store.read_handlers_of(c, event, active_only=active_only)
    )
    return answers.json([_shown(one) for one in found])


async def get_handler(call: Call) -> Response:
    """One handler by its name."""
    return answers.json(_shown(await _handler(call)))


async def incoming(call: Call) -> Response:
    """Take a message from outside; returns when its handlers have acted."""
    payload = await call.json_object()
    event = payload.get("event")
    if not isinstance(event, str) or not event.strip():
        raise InvalidInput('event: name the event of the message, such as "event": "door_opened"')
    given = payload.get("messageId")
    engine = call.house.engine
    message_id = given if isinstance(given, str) and given else new_request_id()
    message = Message(event, message_id, msgspec.json.encode(payload))

    def take(transaction: Transaction) -> None:
        if store.handlers_for(transaction.connection, event):
            store.note_message(transaction.connection, message, transaction.now_ms)
            events.handle(transaction, message)

    await engine.request(take)
    return answers.void()


# Tags.


async def get_tags(call: Call) -> Response:
    """The tags of a handler."""
    return answers.json((await _handler(call)).tags)


async def add_tags(call: Call) -> Response:
    """Put a tag, or a list of tags, on a handler; the same key is replaced."""
    tags = parse_tags(await call.document([]))
    return await _retag(call, lambda old: merged(old, tags))


async def remove_tags(call: Call) -> Response:
    """Take a tag, or a list of tags, away from a handler."""
    gone = parse_tags(await call.document([]))
    return await _retag(call, lambda old: without(old, gone))


async def _retag(call: Call, change: Callable[[list[Tag]], list[Tag]]) -> Response:
    name = call.params["name"]

    def retag(transaction: Transaction) -> None:
        handler = store.read_handler(transaction.connection, name)
        tagged = msgspec.structs.replace(handler, tags=change(handler.tags))
        store.replace_handler(transaction.connection, tagged)

    await call.house.engine.request(retag)
    return answers.void()


# What handlers have done.


async def handled(call: Call) -> Response:
    """Each handler with the number of its actions and messages, among those that are kept."""
    from_ms = call.number("from", 0)
    database = call.house.engine.database
    counts = await database.read(lambda c: store.counts(c, from_ms))
    handlers = await database.read(store.read_handlers)
    lines = [
        {
            "name": one.name,
            "event": one.event,
            "active": one.active,
            "numberOfActions": counts.get(one.name, (0, 0))[0],
            "numberOfMessages": counts.get(one.name, (0, 0))[1],
        }
        for one in handlers
    ]
    return answers.json({"totalHits": len(lines), "results": lines})


async def executions(call: Call) -> Response:
    """What a handler has done, newest first."""
    name, from_ms = call.params["handler"], call.number("from", 0)
    found = await call.house.engine.database.read(
        lambda c: store.read_executions(c, name, from_ms, _PAGE)
    )
    return answers.json([_execution(one, payload) for one, payload in found])


async def messages(call: Call) -> Response:
    """The messages of an event with what was done for each, newest first."""
    event, from_ms = call.params["event"], call.number("from", 0)
    found = await call.house.engine.database.read(
        lambda c: store.read_messages(c, event, from_ms, _PAGE)
    )
    return answers.json([_message(event, one) for one in found])


# Signals.


async def queue_sizes(_: Call) -> Response:
    """The external queues that are known: none, for signals are obeyed at once."""
    return answers.json({})


async def queue_settings(_: Call) -> Response:
    """The brokers that were set up by calls: none, the configuration names the one there is."""
    return answers.json({})


async def queue_setting(call: Call) -> Response:
    """There is none to be had, whatever its name."""
    name = f"{call.params['type']}:{call.params['name']}"
    raise NotFound(f"No queue configuration found for {name[:200]}")


async def queue_names(_: Call) -> Response:
    """The queue of each signal."""
    return answers.json({str(one): f"conductor:{one}" for one in sorted(_SIGNALS)})


async def signal_by_ref(call: Call) -> Response:
    """End the open task of a reference; its output is laid over what the task has."""
    status = _signal(call)
    workflow_id, ref = call.params["workflow"], call.params["ref"]
    external = {"workflowId": workflow_id, "taskRefName": ref}
    output = await _signal_output(call, external)
    await call.house.engine.update_by_ref(workflow_id, ref, status, output, None)
    return answers.void()


async def signal_by_id(call: Call) -> Response:
    """End an open task by its id."""
    status = _signal(call)
    workflow_id, task_id = call.params["workflow"], call.params["task"]
    external = {"workflowId": workflow_id, "taskId": task_id}
    output = await _signal_output(call, external)
    result = TaskResult(workflow_id, task_id, status, output, merge=True)
    await call.house.engine.update(result)
    return answers.void()


def _signal(call: Call) -> TaskStatus:
    text = call.params["status"]
    if text not in set(TaskStatus):
        raise InvalidInput(f"status: {text[:80]!r} is no status of a task")
    status = TaskStatus(text)
    if status not in _SIGNALS:
        raise InvalidInput(f"There is no queue for handling {status} status")
    return status


async def _signal_output(call: Call, external: dict[str, str]) -> bytes:
    output = await call.json_object()
    known = {"externalId": msgspec.json.encode(external).decode()}
    return msgspec.json.encode({**known, **output})


# As JSON.


async def _parsed(call: Call, document: Any) -> EventHandler:
    # A condition is parsed in a process that may have to be started; nobody else waits for it.
    return await asyncio.to_thread(
        parse_event_handler, document, check_script=call.house.check_script
    )


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > _MAX_LIST:
        raise InvalidInput(f"a call may hold {_MAX_LIST} items, this one has {len(items)}")
    return items


async def _handler(call: Call) -> EventHandler:
    name = call.params["name"]
    return await call.house.engine.database.read(lambda c: store.read_handler(c, name))


def _shown(handler: EventHandler) -> JsonObject:
    """Without what is not there; inside an action, only the details of its own kind are."""
    shown: JsonObject = without_nulls(msgspec.to_builtins(handler))
    return shown


def _execution(execution: EventExecution, payload: bytes | None) -> JsonObject:
    shown: JsonObject = without_nulls(msgspec.to_builtins(execution))
    if payload is not None:
        shown["payload"] = shown["fullMessagePayload"] = msgspec.Raw(payload)
        if execution.status == "SKIPPED":
            shown["output"]["msg"] = payload.decode()
    return shown


def _message(event: str, message: store.KeptMessage) -> JsonObject:
    shown: JsonObject = {
        "id": message.message_id,
        "createdAt": message.received_ms,
        "eventType": "MESSAGE",
        "eventTarget": event,
        "payload": message.payload.decode(),
        "fullPayload": msgspec.Raw(message.payload),
        "status": message.status,
        "eventExecutions": [_execution(one, None) for one in message.executions],
    }
    return shown if message.reason is None else {**shown, "statusDescription": message.reason}
