"""Endpoints that show one execution: whole, where it stands, its tasks page by page.

One that was removed is shown by the copy that was kept of it. Nothing is changed here.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from edge import wire
from edge.api import answers
from edge.api.call import Call
from edge.api.house import House
from edge.model.errors import InvalidInput, NotFound
from edge.model.executions import TaskStatus, Workflow, parse_workflow_id
from edge.responses import Response
from edge.store import archive

ARCHIVED = {"X-Workflow-Archived": "true"}
"""Header of an answer that a copy gave. Bodies stay as clients know them."""


async def get(call: Call) -> Response:
    """One execution, with its tasks unless they are not wanted."""
    workflow_id, with_tasks = call.params["id"], call.flag("includeTasks", default=True)
    try:
        return answers.json(await stored(call.house, workflow_id, with_tasks=with_tasks))
    except NotFound:
        copy = await _copy_of(call.house, workflow_id)
        if copy is None:
            raise
    return _archived(copy if with_tasks else {**copy, "tasks": []})


async def get_status(call: Call) -> Response:
    """Where an execution stands."""
    output = call.flag("includeOutput", default=False)
    variables = call.flag("includeVariables", default=False)
    try:
        workflow = await call.house.engine.workflow(call.params["id"])
    except NotFound:
        copy = await _record_of_copy(call.house, call.params["id"])
        if copy is None:
            raise
        return _archived(wire.status(copy, output=output, variables=variables))
    return answers.json(wire.status(workflow, output=output, variables=variables))


async def get_tasks(call: Call) -> Response:
    """A page of an execution's tasks."""
    offset, count = page_of(call, default=15, size_name="count")
    wanted = set(call.texts("status"))
    unknown = wanted - set(TaskStatus)
    if unknown:
        raise InvalidInput(f"status: {min(unknown)[:80]!r} is no status of a task")
    try:
        view = await call.house.engine.execution(call.params["id"])
    except NotFound:
        copy = await _copy_of(call.house, call.params["id"])
        if copy is None:
            raise
        kept = [task for task in copy["tasks"] if not wanted or task["status"] in wanted]
        return _archived({"totalHits": len(kept), "results": kept[offset : offset + count]})
    tasks = [task for task in view.tasks if not wanted or task.status in wanted]
    shown = call.house.encoder.workflow(
        view.workflow,
        view.pinned,
        sorted(tasks, key=lambda task: task.seq)[offset : offset + count],
    )
    return answers.json({"totalHits": len(tasks), "results": shown.tasks})


async def whole(house: House, workflow_id: str, *, with_tasks: bool) -> Any:
    """An execution as clients see it, or the copy of it.

    Raises:
        NotFound: there is neither.
    """
    try:
        return await stored(house, workflow_id, with_tasks=with_tasks)
    except NotFound:
        copy = await _copy_of(house, workflow_id)
        if copy is None:
            raise
    return copy if with_tasks else {**copy, "tasks": []}


async def stored(house: House, workflow_id: str, *, with_tasks: bool) -> wire.WireWorkflow:
    """An execution as clients see it.

    Raises:
        NotFound: there is none, or only a copy of it.
    """
    view = await house.engine.execution(workflow_id, with_tasks=with_tasks)
    return house.encoder.workflow(view.workflow, view.pinned, view.tasks)


def page_of(call: Call, *, default: int, size_name: str) -> tuple[int, int]:
    """Offset and size of a page.

    Raises:
        InvalidInput: one of them is negative.
    """
    offset, size = call.number("start", 0), call.number(size_name, default)
    if offset < 0 or size < 0:
        raise InvalidInput(f"start and {size_name} must be >= 0")
    return offset, size


async def _copy_of(house: House, workflow_id: str) -> dict[str, Any] | None:
    """The copy of an execution that was removed, as clients saw it."""
    key = parse_workflow_id(workflow_id)
    packed = await house.engine.database.read(lambda c: archive.read_document(c, key))
    if packed is None:
        return None
    document: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed))
    return document


async def _record_of_copy(house: House, workflow_id: str) -> Workflow | None:
    key = parse_workflow_id(workflow_id)
    found = await house.engine.database.read(lambda c: archive.read(c, key))
    return None if found is None else found.workflow


def _archived(value: Any) -> Response:
    response = answers.json(value)
    response.add(ARCHIVED)
    return response
