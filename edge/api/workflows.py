"""Endpoints under ``/api/workflow``: start, look at and steer executions.

No task is handed out here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from edge import wire
from edge.api import answers, definitions, external, search
from edge.api.call import Call
from edge.api.idempotency import with_idempotency
from edge.model.errors import BatonError, InvalidInput
from edge.model.executions import TaskStatus, Workflow, workflow_uuid
from edge.model.requests import StartRequest
from edge.model.validation import PostedStart, parse_start_request

_MAX_PAGE = 5_000
"""Conductor's limit of one page of a search."""

_MAX_FULL_PAGE = 200
"""Executions with all their tasks on one page; each is read by itself."""

_MAX_BULK = 1_000
"""Conductor's limit of ids in one bulk call."""

_encode = msgspec.json.Encoder().encode


async def start(call: Call) -> Response:
    """Start a workflow; answers its id as text."""
    request = parse_start_request(with_idempotency(call, await call.document({})))
    return answers.text(await call.house.engine.start(await start_request(call, request)))


async def start_by_name(call: Call) -> Response:
    """Start a workflow by name, the body being its input."""
    document = {
        "name": call.params["name"],
        "version": _version(call),
        "correlationId": call.text("correlationId"),
        "priority": call.number("priority", 0),
        "input": await call.json_object(),
    }
    posted = parse_start_request(with_idempotency(call, document))
    return answers.text(await call.house.engine.start(await start_request(call, posted)))


async def get(call: Call) -> Response:
    """One execution, with its tasks unless they are not wanted."""
    with_tasks = call.flag("includeTasks", default=True)
    return answers.json(await full(call, call.params["id"], with_tasks=with_tasks))


async def get_status(call: Call) -> Response:
    """Where an execution stands."""
    workflow = await call.house.engine.workflow(call.params["id"])
    return answers.json(
        wire.status(
            workflow,
            output=call.flag("includeOutput", default=False),
            variables=call.flag("includeVariables", default=False),
        )
    )


async def get_tasks(call: Call) -> Response:
    """A page of an execution's tasks."""
    view = await call.house.engine.execution(call.params["id"])
    offset, count = _page(call, default=15, size_name="count")
    wanted = set(call.texts("status"))
    unknown = wanted - set(TaskStatus)
    if unknown:
        raise InvalidInput(f"status: {min(unknown)[:80]!r} is no status of a task")
    tasks = [task for task in view.tasks if not wanted or task.status in wanted]
    shown = call.house.encoder.workflow(
        view.workflow,
        view.pinned,
        sorted(tasks, key=lambda task: task.seq)[offset : offset + count],
    )
    return answers.json({"totalHits": len(tasks), "results": shown.tasks})


async def terminate(call: Call) -> Response:
    """End an execution now."""
    await call.house.engine.terminate(
        call.params["id"],
        call.text("reason"),
        failure_workflow=call.flag("triggerFailureWorkflow", default=False),
    )
    return answers.void()


async def pause(call: Call) -> Response:
    """Stop scheduling what comes next."""
    await call.house.engine.pause(call.params["id"])
    return answers.void()


async def resume(call: Call) -> Response:
    """Go on after a pause."""
    await call.house.engine.resume(call.params["id"])
    return answers.void()


async def restart(call: Call) -> Response:
    """Run an ended execution from its beginning."""
    latest = call.flag("useLatestDefinitions", default=False)
    await call.house.engine.restart(call.params["id"], latest=latest)
    return answers.nothing()


async def retry(call: Call) -> Response:
    """Try the failed tasks of an ended execution once more."""
    resume = call.flag("resumeSubworkflowTasks", default=False)
    await call.house.engine.retry(call.params["id"], resume_children=resume)
    return answers.nothing()


async def remove(call: Call) -> Response:
    """Delete an execution; an archive is kept for ended ones only, as in Conductor."""
    workflow_id = call.params["id"]
    if call.flag("archiveWorkflow", default=True):
        workflow = await call.house.engine.workflow(workflow_id)
        if not workflow.status.terminal:
            raise InvalidInput(
                f"Cannot archive workflow: {workflow_id} with status: {workflow.status}"
            )
    await call.house.engine.remove(workflow_id)
    return answers.void()


async def decide(call: Call) -> Response:
    """Nothing has to be nudged here: every change decides at once. Only the id is checked."""
    await call.house.engine.workflow(call.params["id"])
    return answers.void()


async def running(call: Call) -> Response:
    """Ids of the executions of a workflow that have not ended."""
    version = call.number("version", 1)
    from_ms, to_ms = call.number("startTime", 0), call.number("endTime", 0)
    ids = await call.house.engine.running(call.params["name"], version)
    if from_ms and to_ms:
        ids = [
            one
            for one in ids
            if from_ms <= (await call.house.engine.workflow(one)).created_ms <= to_ms
        ]
    return answers.json(ids)


async def correlated(call: Call) -> Response:
    """Executions of a workflow with one correlation id."""
    return answers.json(await _correlated(call, call.params["correlation"]))


async def correlated_list(call: Call) -> Response:
    """Executions of a workflow with each of several correlation ids."""
    ids = _ids(await call.json_list())
    return answers.json({one: await _correlated(call, one) for one in ids})


async def find(call: Call) -> Response:
    """Search; the results are summaries."""
    total, found = await _search(call, limit=_MAX_PAGE)
    return answers.json({"totalHits": total, "results": [wire.summary(one) for one in found]})


async def find_full(call: Call) -> Response:
    """Search; the results are whole executions."""
    total, found = await _search(call, limit=_MAX_FULL_PAGE)
    shown = [await full(call, workflow_uuid(one.id), with_tasks=True) for one in found]
    return answers.json({"totalHits": total, "results": shown})


# Many at once: each id is done by itself, and what failed is told per id.


async def bulk_pause(call: Call) -> Response:
    """Pause each of a list."""
    return await _bulk(call, call.house.engine.pause)


async def bulk_resume(call: Call) -> Response:
    """Resume each of a list."""
    return await _bulk(call, call.house.engine.resume)


async def bulk_retry(call: Call) -> Response:
    """Retry each of a list."""
    return await _bulk(call, call.house.engine.retry)


async def bulk_restart(call: Call) -> Response:
    """Restart each of a list."""
    latest = call.flag("useLatestDefinitions", default=False)
    return await _bulk(call, lambda one: call.house.engine.restart(one, latest=latest))


async def bulk_terminate(call: Call) -> Response:
    """Terminate each of a list."""
    reason = call.text("reason")
    also = call.flag("triggerFailureWorkflow", default=False)
    engine = call.house.engine
    return await _bulk(call, lambda one: engine.terminate(one, reason, failure_workflow=also))


async def _bulk(call: Call, act: Callable[[str], Awaitable[None]]) -> Response:
    errors: dict[str, str] = {}
    done: list[str] = []
    for one in _ids(await call.json_list()):
        try:
            await act(one)
        except BatonError as error:
            errors[one] = error.message
        else:
            done.append(one)
    return answers.json(answers.bulk(errors, done))


def _ids(items: list[Any]) -> list[str]:
    if not items:
        raise InvalidInput("WorkflowIds list cannot be null.")
    if len(items) > _MAX_BULK:
        raise InvalidInput(
            f"Cannot process more than {_MAX_BULK} workflows. Please use multiple requests."
        )
    if not all(isinstance(item, str) for item in items):
        raise InvalidInput("Expected a list of ids, each a text")
    # Each id once: to pause the same execution twice is nobody's wish.
    return list(dict.fromkeys(items))


async def start_request(call: Call, posted: PostedStart) -> StartRequest:
    """A posted start as the engine takes it, its own definition checked."""
    definition = None
    if posted.workflow_def is not None:
        inline = {"name": posted.name, **posted.workflow_def}
        definition = await definitions.checked_workflow(call, inline)
    path = posted.external_input_payload_storage_path or None
    return StartRequest(
        name=posted.name,
        version=posted.version or None,
        input=_encode(posted.input)
        if path is None
        else await external.payload(call, path, "externalInputPayloadStoragePath"),
        input_path=path,
        correlation_id=posted.correlation_id,
        priority=posted.priority,
        task_to_domain=posted.task_to_domain,
        definition=definition,
        created_by=call.author or posted.created_by,
        event=posted.event,
        idempotency_key=posted.idempotency_key,
        idempotency_strategy=posted.idempotency_strategy,
    )


async def full(call: Call, workflow_id: str, *, with_tasks: bool) -> wire.WireWorkflow:
    """An execution as clients see it."""
    view = await call.house.engine.execution(workflow_id)
    tasks = view.tasks if with_tasks else []
    return call.house.encoder.workflow(view.workflow, view.pinned, tasks)


async def _correlated(call: Call, correlation_id: str) -> list[wire.WireWorkflow]:
    with_tasks = call.flag("includeTasks", default=False)
    found = await call.house.engine.correlated(
        call.params["name"],
        correlation_id,
        include_closed=call.flag("includeClosed", default=False),
    )
    return [await full(call, workflow_uuid(one.id), with_tasks=with_tasks) for one in found]


async def _search(call: Call, *, limit: int) -> tuple[int, list[Workflow]]:
    offset, size = _page(call, default=100, size_name="size")
    if size > limit:
        raise InvalidInput(f"Cannot return more than {limit} workflows. Please use pagination.")
    terms = search.parse(call.text("query", "") or "")
    free_text = (call.text("freeText", "*") or "*").strip().strip("\"'")
    return await call.house.engine.search(
        name=terms.names,
        status=terms.statuses,
        correlation_id=terms.correlation_id,
        workflow_ids=terms.workflow_ids,
        start_from_ms=terms.start_from_ms,
        start_to_ms=terms.start_to_ms,
        free_text=None if free_text in ("*", "") else free_text,
        offset=offset,
        limit=size,
    )


def _version(call: Call) -> int | None:
    """Of the path where it has one, else of the query."""
    given = call.params.get("version")
    if given is None:
        return call.optional_number("version")
    if not given.isdigit() or len(given) > 9:
        raise InvalidInput(f"version: {given[:80]!r} is not a whole number")
    return int(given)


def _page(call: Call, *, default: int, size_name: str) -> tuple[int, int]:
    offset, size = call.number("start", 0), call.number(size_name, default)
    if offset < 0 or size < 0:
        raise InvalidInput(f"start and {size_name} must be >= 0")
    return offset, size
