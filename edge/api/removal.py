"""Endpoints that take executions away, with or without keeping a copy.

No copy is taken away by its age here; that is the retention's affair.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.api.house import House
from edge.model.errors import Conflict, InvalidInput, NotFound
from edge.model.executions import Workflow, parse_workflow_id
from edge.model.requests import ExecutionView
from edge.responses import Response
from edge.store import archive, executions
from edge.store import search as store
from edge.transactions import Transaction
from edge.wire import Encoder

_TRIES = 5
"""An execution that is taken up again between its copy and its removal is copied once more."""

_ZLIB_LEVEL = 6
"""A copy of three small tasks is 1 KB instead of 7; level 9 spares nothing more."""

_encode = msgspec.json.Encoder().encode


async def remove(call: Call) -> Response:
    """Remove an execution; with a copy for the archive unless it is not wanted."""
    archived = call.flag("archiveWorkflow", default=True)
    await take_away(call.house, call.params["id"], archived=archived)
    return answers.void()


async def terminate_remove(call: Call) -> Response:
    """End an execution, then remove it."""
    archived = call.flag("archiveWorkflow", default=True)
    reason = call.text("reason")
    await end_and_take_away(call.house, call.params["id"], reason, archived=archived)
    return answers.void()


async def end_and_take_away(
    house: House, workflow_id: str, reason: str | None, *, archived: bool
) -> None:
    """Terminate an execution, then remove it.

    Raises:
        NotFound: there is none.
        Conflict: it is completed.
    """
    await house.engine.terminate(workflow_id, reason)
    await take_away(house, workflow_id, archived=archived)


async def take_away(house: House, workflow_id: str, *, archived: bool) -> None:
    """Remove an execution, or the copy of one that was removed before.

    Args:
        house: the rooms around the API.
        workflow_id: its id.
        archived: whether a copy is kept, or stays.

    Raises:
        NotFound: there is neither.
        InvalidInput: a copy is wanted of an execution that has not ended.
    """
    if not archived:
        dropped = await _drop_copy(house, workflow_id)
        try:
            await house.engine.remove(workflow_id)
        except NotFound:
            if not dropped:
                raise
        return
    for _ in range(_TRIES):
        try:
            view = await house.engine.execution(workflow_id)
        except NotFound:
            if not await _has_copy(house, workflow_id):
                raise
            return
        _refuse_open(view.workflow, workflow_id)
        document = await asyncio.to_thread(_copy, view)
        now_ms = house.engine.clock.now_ms()
        if await house.engine.request(_exchange(view, document, now_ms)):
            return
    raise Conflict(f"Workflow {workflow_id} keeps changing; send the request again")


def _refuse_open(workflow: Workflow, workflow_id: str) -> None:
    if not workflow.status.terminal:
        raise InvalidInput(f"Cannot archive workflow: {workflow_id} with status: {workflow.status}")


def _copy(view: ExecutionView) -> bytes:
    """The execution as a client sees it, compressed. Runs on a thread of its own.

    The encoder is a new one: the house's belongs to the event loop.
    """
    shown = Encoder().workflow(view.workflow, view.pinned, view.tasks)
    return zlib.compress(_encode(shown), _ZLIB_LEVEL)


def _exchange(view: ExecutionView, document: bytes, now_ms: int) -> Callable[[Transaction], bool]:
    """Put a copy in the place of an execution; False when it has changed since it was copied."""
    workflow = view.workflow
    classifier = store.classifier_of(view.pinned.definition.metadata)

    def exchange(transaction: Transaction) -> bool:
        transaction.executions.fold(transaction.connection)
        stored = executions.read_workflow(transaction.connection, workflow.id)
        if stored != workflow:
            return False
        archive.put(transaction.connection, workflow, classifier, document, now_ms=now_ms)
        transaction.executions.remove(workflow)
        return True

    return exchange


async def _drop_copy(house: House, workflow_id: str) -> bool:
    key = parse_workflow_id(workflow_id)
    return await house.engine.request(lambda t: archive.drop(t.connection, key))


async def _has_copy(house: House, workflow_id: str) -> bool:
    key = parse_workflow_id(workflow_id)
    return await house.engine.database.read(lambda c: archive.read(c, key)) is not None
