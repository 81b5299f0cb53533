"""Endpoints for whoever looks after the device: what is set, what waits, what should be put right.

No execution is steered here.
"""

from __future__ import annotations

from edge.api import answers, executions, lookups
from edge.api.call import Call
from edge.model.executions import parse_uuid, task_uuid
from edge.model.fields import FoundTask
from edge.responses import Response
from edge.searches import Ask

_MAX_PAGE = 5_000
"""Tasks on one page."""


async def config(call: Call) -> Response:
    """What is in force, as texts; what is secret, or names where a secret lies, is left out."""
    return answers.json({"version": call.house.version, **call.house.settings})


async def pending_tasks(call: Call) -> Response:
    """A page of the tasks of a type that are not finished, oldest first."""
    offset, count = executions.page_of(call, default=100, size_name="count")
    found = await _pending(call, offset, min(count, _MAX_PAGE))
    return answers.json(await lookups.whole_tasks(call.house, found))


async def requeue(call: Call) -> Response:
    """Put every unfinished task of a type into its queue; answers how many are there now.

    That takes them away from the workers that hold them, which may be working still.
    """
    count, offset = 0, 0
    while page := await _pending(call, offset, _MAX_PAGE):
        offset += len(page)
        # Tasks without a queue are nobody's to fetch: a WAIT, a JOIN.
        ids = [task_uuid(one.workflow.id, one.task.ordinal) for one in page if one.task.queue]
        call.house.engine.hand_over.give_back(ids)
        count += len(ids)
    return answers.text(str(count))


async def _pending(call: Call, offset: int, limit: int) -> list[FoundTask]:
    ask = Ask(
        query=f"taskType = {lookups.quoted(call.params['type'])} "
        "AND status IN (SCHEDULED, IN_PROGRESS)",
        sort="scheduledTime:ASC",
        offset=offset,
        limit=limit,
    )
    return (await call.house.searches.tasks(ask, open_only=True)).page


async def acknowledge(call: Call) -> Response:
    """Whether a task is in a worker's hands. Polling acknowledges; old clients still ask."""
    parsed = parse_uuid(call.params["task"])
    lease = None if parsed is None else call.house.engine.hand_over.lease_of(parsed)
    return answers.json(lease is not None)


async def requeue_sweep(call: Call) -> Response:
    """Whether an execution will be looked at again. Nothing has to be queued here for that."""
    workflow = await call.house.engine.workflow(call.params["id"])
    going_on = "false" if workflow.status.terminal else "true"
    return answers.text(f"{going_on}.{call.params['id']}")


async def verify_and_repair(call: Call) -> Response:
    """Whether something of an execution had to be put right."""
    engine = call.house.engine
    repaired = engine.hand_over.repair(await engine.execution(call.params["id"]))
    return answers.text("true" if repaired else "false")


async def event_queues(call: Call) -> Response:
    """The queues that event handlers listen to: none."""
    del call
    return answers.json({})
