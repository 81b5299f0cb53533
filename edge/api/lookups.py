"""Endpoints that look executions and tasks up: searches, running ones, ones that belong together.

Nothing is changed here.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from edge import wire
from edge.api import answers, executions, summaries
from edge.api.call import Call
from edge.api.house import House
from edge.model.errors import InvalidInput, NotFound
from edge.model.executions import workflow_uuid
from edge.model.fields import Found, FoundTask
from edge.model.requests import TaskView
from edge.responses import Response
from edge.searches import Ask
from edge.store import metadata

_MAX_PAGE = 5_000
"""Conductor's limit of one page of a search."""

_MAX_WITH_TASKS = 200
"""Executions on a page that are shown with their tasks unless asked otherwise; each is read by
itself. Conductor's own server leaves the tasks out of every page."""

_MAX_IDS = 1_000
"""Correlation ids, names of workflows, and pairs of both, in one call; each pair is a read."""

# Executions that belong together.


async def running(call: Call) -> Response:
    """Ids of the executions of a workflow that have not ended."""
    name, version = call.params["name"], call.number("version", 1)
    from_ms, to_ms = call.number("startTime", 0), call.number("endTime", 0)
    created_ms = (from_ms, to_ms) if from_ms and to_ms else None
    return answers.json(await call.house.engine.running(name, version, created_ms=created_ms))


async def correlated(call: Call) -> Response:
    """Executions of a workflow with one correlation id."""
    return answers.json(await _correlated(call, [call.params["name"]], call.params["correlation"]))


async def correlated_list(call: Call) -> Response:
    """Executions of a workflow with each of several correlation ids."""
    ids = _texts(await call.json_list(), "correlation ids")
    return answers.json({one: await _correlated(call, [call.params["name"]], one) for one in ids})


async def correlated_batch(call: Call) -> Response:
    """Executions of several workflows with each of several correlation ids."""
    body = await call.json_object()
    names = _texts(body.get("workflowNames"), "workflowNames")
    ids = _texts(body.get("correlationIds"), "correlationIds")
    if len(names) * len(ids) > _MAX_IDS:
        raise InvalidInput(
            f"workflowNames, correlationIds: {len(names)} names with {len(ids)} ids each are more "
            f"than {_MAX_IDS} look-ups; ask in several calls"
        )
    return answers.json({one: await _correlated(call, names, one) for one in ids})


async def _correlated(call: Call, names: list[str], correlation_id: str) -> list[Any]:
    """The executions that belong together; one that has gone meanwhile is left out."""
    with_tasks = call.flag("includeTasks", default=False)
    include_closed = call.flag("includeClosed", default=False)
    found: list[Any] = []
    for name in names:
        some = await call.house.engine.correlated(
            name, correlation_id, include_closed=include_closed
        )
        for one in some:
            with contextlib.suppress(NotFound):
                found.append(
                    await executions.stored(
                        call.house, workflow_uuid(one.id), with_tasks=with_tasks
                    )
                )
    return found


def _texts(items: Any, what: str) -> list[str]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InvalidInput(f"{what}: expected a list of texts")
    if not 0 < len(items) <= _MAX_IDS:
        raise InvalidInput(f"{what}: expected 1 to {_MAX_IDS} of them")
    return list(dict.fromkeys(items))


# Searches.


async def search(call: Call) -> Response:
    """Search executions; the results are summaries."""
    hits = await call.house.searches.workflows(_workflow_ask(call))
    return answers.json(_page(hits.total, [summaries.of_workflow(one) for one in hits.page]))


async def search_full(call: Call) -> Response:
    """Search executions; the results are whole."""
    hits = await call.house.searches.workflows(_workflow_ask(call))
    return answers.json(_page(hits.total, await _full(call, hits.page)))


async def search_by_tasks(call: Call) -> Response:
    """Search executions by their tasks; the results are summaries."""
    hits = await call.house.searches.workflows_by_tasks(_ask(call, "workflows"))
    return answers.json(_page(hits.total, [summaries.of_workflow(one) for one in hits.page]))


async def search_by_tasks_full(call: Call) -> Response:
    """Search executions by their tasks; the results are whole."""
    hits = await call.house.searches.workflows_by_tasks(_ask(call, "workflows"))
    return answers.json(_page(hits.total, await _full(call, hits.page)))


async def search_tasks(call: Call) -> Response:
    """Search tasks; the results are summaries."""
    hits = await call.house.searches.tasks(_ask(call, "tasks"))
    return answers.json(_page(hits.total, [summaries.of_task(one) for one in hits.page]))


async def search_tasks_full(call: Call) -> Response:
    """Search tasks; the results are whole."""
    hits = await call.house.searches.tasks(_ask(call, "tasks"))
    return answers.json(_page(hits.total, await whole_tasks(call.house, hits.page)))


async def whole_tasks(house: House, found: list[FoundTask]) -> list[wire.WireTask]:
    """Tasks as clients see them."""
    keys = {one.workflow.pinned for one in found}
    pinned = await house.engine.database.read(
        lambda c: {key: metadata.read_pinned(c, key) for key in keys}
    )
    return [
        house.encoder.task(TaskView(one.workflow, pinned[one.workflow.pinned], one.task))
        for one in found
    ]


async def _full(call: Call, page: list[Found]) -> list[Any]:
    """The executions of a page; one that has gone meanwhile is left out."""
    with_tasks = call.flag("includeTasks", default=len(page) <= _MAX_WITH_TASKS)
    shown = []
    for one in page:
        try:
            shown.append(
                await executions.whole(
                    call.house, workflow_uuid(one.workflow.id), with_tasks=with_tasks
                )
            )
        except NotFound:
            continue
    return shown


def _page(total: int, results: list[Any]) -> dict[str, Any]:
    return {"totalHits": total, "results": results}


def _workflow_ask(call: Call) -> Ask:
    """A search of executions; two parameters are terms of the query by another name."""
    ask = _ask(call, "workflows")
    terms: list[str] = []
    classifiers = [one.strip() for one in call.texts("classifier") if one.strip()]
    if classifiers:
        terms.append(f"classifier IN ({', '.join(quoted(one) for one in classifiers)})")
    if call.flag("topLevelOnly", default=False):
        terms.append('parentWorkflowId = ""')
    if not terms:
        return ask
    if ask.query.strip():
        terms.append(f"({ask.query})")
    return msgspec.structs.replace(ask, query=" AND ".join(terms))


def quoted(text: str) -> str:
    """A text as a value of a query."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _ask(call: Call, what: str) -> Ask:
    offset, size = executions.page_of(call, default=100, size_name="size")
    if size > _MAX_PAGE:
        raise InvalidInput(f"Cannot return more than {_MAX_PAGE} {what}. Please use pagination.")
    return Ask(
        query=call.text("query", "") or "",
        free_text=call.text("freeText", "*") or "*",
        sort="|".join(call.query.get("sort", ())),
        offset=offset,
        limit=size,
    )
