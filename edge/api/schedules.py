"""Endpoints under ``/api/scheduler``: schedules, the records of their ticks, their tags.

No tick is found and nothing is started here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.api import answers, bulk, definitions, schedule_query
from edge.api.call import Call
from edge.model.errors import InvalidInput
from edge.model.schedules import (
    Schedule,
    ScheduleExecution,
    next_tick,
    parse_schedule,
    read_cron,
    read_zone,
)
from edge.model.tags import parse_tags, without
from edge.responses import Response
from edge.store.schedules import ExecutionQuery, ScheduleQuery, Timed

_FEW = 5
"""Conductor's limit of a preview."""

_MAX_PAGE = 5_000
_MAX_BULK = 1_000
"""Conductor's limits of one page of a search and of names in one bulk call."""

_ALL = ScheduleQuery(limit=_MAX_PAGE)


async def put(call: Call) -> Response:
    """Add or replace a schedule; answers it as it is kept."""
    schedule = parse_schedule(await call.json_object())
    inline = schedule.start_workflow_request.get("workflowDef")
    if inline is not None:
        await definitions.checked_workflow(call, {"name": schedule.workflow, **inline})
    return answers.json(_document(await call.house.schedules.put(schedule)))


async def list_(call: Call) -> Response:
    """All schedules, or those of one workflow."""
    query = msgspec.structs.replace(_ALL, workflow=call.text("workflowName"))
    _, found = await call.house.schedules.search(query)
    return answers.json([_document(one) for one in found])


async def get(call: Call) -> Response:
    """One schedule."""
    return answers.json(_document(await call.house.schedules.get(call.params["name"])))


async def remove(call: Call) -> Response:
    """Forget a schedule."""
    await call.house.schedules.remove(call.params["name"])
    return answers.void()


async def pause(call: Call) -> Response:
    """Run no more ticks of a schedule for now."""
    await call.house.schedules.pause(call.params["name"], call.text("reason"))
    return answers.void()


async def resume(call: Call) -> Response:
    """Let a schedule go on."""
    await call.house.schedules.resume(call.params["name"])
    return answers.void()


async def next_few(call: Call) -> Response:
    """The next moments of a cron expression that nobody has saved yet."""
    text = call.required("cronExpression")
    zone_id = call.text("zoneId", "UTC") or "UTC"
    read_cron(text, "cronExpression")
    read_zone(zone_id)
    schedule = Schedule(
        cron_expression=text,
        zone_id=zone_id,
        schedule_start_time=call.optional_number("scheduleStartTime"),
        schedule_end_time=call.optional_number("scheduleEndTime"),
    )
    moments: list[int] = []
    tick = next_tick(schedule, call.house.engine.clock.now_ms())
    for _ in range(min(_FEW, call.number("limit", _FEW))):
        if tick is None:
            break
        moments.append(tick.moment_ms)
        tick = next_tick(schedule, tick.moment_ms)
    return answers.json(moments)


async def find(call: Call) -> Response:
    """Search for schedules."""
    offset, size = _page(call)
    query = ScheduleQuery(
        workflow=call.text("workflowName"),
        part_of_name=call.text("scheduleName"),
        paused=call.flag("paused", default=False) if call.text("paused") else None,
        text=_free_text(call),
        offset=offset,
        limit=size,
    )
    total, found = await call.house.schedules.search(query)
    return answers.json({"totalHits": total, "results": [_document(one) for one in found]})


async def find_executions(call: Call) -> Response:
    """Search for the records of ticks."""
    offset, size = _page(call)
    terms = schedule_query.parse(call.text("query", "") or "")
    query = ExecutionQuery(
        schedules=terms.schedules,
        states=terms.states,
        part_of_workflow=terms.part_of_workflow,
        execution_id=terms.execution_id,
        after_ms=terms.after_ms,
        before_ms=terms.before_ms,
        text=_free_text(call),
        sort=schedule_query.parse_sort(call.texts("sort")),
        offset=offset,
        limit=size,
    )
    total, found = await call.house.schedules.executions(query)
    return answers.json({"totalHits": total, "results": [_record(one) for one in found]})


# All at once.


async def pause_all(call: Call) -> Response:
    """Stop the scheduler."""
    await call.house.schedules.pause_all(paused=True)
    return answers.json({"paused": True})


async def resume_all(call: Call) -> Response:
    """Let the scheduler go on."""
    await call.house.schedules.pause_all(paused=False)
    return answers.json({"paused": False})


async def requeue(call: Call) -> Response:
    """Find all next ticks anew. No record ever waits here, which is what Conductor requeues."""
    moved = await call.house.schedules.requeue()
    return answers.json({"recordIds.size": 0, "sampleIds": [], "movedSchedules": moved})


async def bulk_pause(call: Call) -> Response:
    """Pause each of a list."""
    return await bulk.each(call, call.house.schedules.pause, _listed_names)


async def bulk_resume(call: Call) -> Response:
    """Resume each of a list."""
    return await bulk.each(call, call.house.schedules.resume, _listed_names)


# Tags.


async def get_tags(call: Call) -> Response:
    """The tags of a schedule."""
    return answers.json((await call.house.schedules.get(call.params["name"])).schedule.tags)


async def put_tags(call: Call) -> Response:
    """Give a schedule these tags instead of those that it has."""
    tags = parse_tags(await call.document())
    await call.house.schedules.set_tags(call.params["name"], lambda _: tags)
    return answers.void()


async def remove_tags(call: Call) -> Response:
    """Take tags off a schedule."""
    gone = parse_tags(await call.document())
    await call.house.schedules.set_tags(call.params["name"], lambda old: without(old, gone))
    return answers.void()


async def tagged(call: Call) -> Response:
    """The schedules with a tag, which is named by its key, its value or ``key:value``."""
    wanted = call.required("tag")
    found = [
        one
        for one in await call.house.schedules.all()
        if any(wanted in (t.key, t.value, f"{t.key}:{t.value}") for t in one.schedule.tags)
    ]
    return answers.json([_document(one) for one in found])


def _document(timed: Timed) -> dict[str, Any]:
    """A schedule as clients see it: no nulls, and the next tick."""
    document: dict[str, Any] = msgspec.to_builtins(timed.schedule)
    document["nextRunTime"] = timed.next_ms
    for field in ("cronSchedules", "tags"):
        document[field] = document[field] or None
    return {key: value for key, value in document.items() if value is not None}


def _record(execution: ScheduleExecution) -> dict[str, Any]:
    """The record of a tick as clients see it."""
    document = {
        "executionId": execution.id,
        "scheduleName": execution.schedule,
        "scheduledTime": execution.scheduled_ms,
        "executionTime": execution.executed_ms,
        "workflowName": execution.workflow,
        "workflowId": execution.workflow_id,
        "reason": execution.reason,
        "startWorkflowRequest": msgspec.Raw(execution.request),
        "state": execution.state,
        "zoneId": execution.zone_id,
    }
    return {key: value for key, value in document.items() if value is not None}


def _listed_names(names: list[Any]) -> list[str]:
    if not names or len(names) > _MAX_BULK or not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"Expected a list of 1 to {_MAX_BULK} names of schedules")
    return list(dict.fromkeys(names))


def _free_text(call: Call) -> str | None:
    text = (call.text("freeText", "*") or "*").strip().strip("\"'")
    return None if text in ("*", "") else text


def _page(call: Call) -> tuple[int, int]:
    offset, size = call.number("start", 0), call.number("size", 100)
    if offset < 0 or not 0 <= size <= _MAX_PAGE:
        raise InvalidInput(f"start must be >= 0, and size within 0-{_MAX_PAGE}")
    return offset, size
