"""The short way of a decision: a worker has done its task, and the next one is another worker's.

It says nothing that the long way would not say, word for word, and leaves to that whatever is not as
plain as this: loops, forks, failures, pauses, schemas, caches. Most decisions of most devices are of
this kind, and take a third of the time here. See ``docs/adr/0038-the-short-way.md``.
"""

from __future__ import annotations

import msgspec

from edge.decider import policies
from edge.decider.draft import FlowBroken, Sources
from edge.decider.expressions import SnapshotLookup, resolve
from edge.model.decision import Command, Decision, Start, UpdateTask
from edge.model.executions import (
    EMPTY,
    ORDINAL_BITS,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
)
from edge.model.snapshot import Snapshot
from edge.model.straight import Straight

_COMPLETED = TaskStatus.COMPLETED


def short_way(
    snapshot: Snapshot, command: Command, now_ms: int, sources: Sources
) -> Decision | None:
    """What follows from a command, if that is plain.

    Args:
        snapshot, command, now_ms, sources: as for ``decide``.

    Returns:
        The decision, the snapshot being moved to the state behind it; None = it has to be taken on
        the long way, and the snapshot is as it was.
    """
    if snapshot.lost or snapshot.workflow.rate_limited:
        return None
    if type(command) is UpdateTask:
        return _done(snapshot, command, now_ms, sources)
    if type(command) is Start:
        return _begun(snapshot, now_ms, sources)
    return None


def _begun(snapshot: Snapshot, now_ms: int, sources: Sources) -> Decision | None:
    """An execution begins with such a task."""
    workflow, definition = snapshot.workflow, snapshot.pinned.definition
    first = snapshot.pinned.straight.get(definition.tasks[0].task_reference_name)
    if (
        first is None
        or snapshot.tasks
        or workflow.status is not WorkflowStatus.RUNNING
        or definition.input_schema is not None
        or len(workflow.input) > sources.outside.limits.workflow_most
    ):
        return None
    # What cannot be read is refused before anything is done with it.
    snapshot.parsed(0, "input")
    try:
        scheduled = _scheduled(snapshot, first, now_ms, sources)
    except (RecursionError, FlowBroken):
        return None
    if scheduled is None:
        return None
    due_ms = policies.workflow_deadline_ms(definition, workflow, sources.jumps)
    snapshot.put_workflow(msgspec.structs.replace(workflow, updated_ms=now_ms, due_ms=due_ms))
    snapshot.put(scheduled)
    here = (scheduled.ordinal,)
    return Decision(snapshot.workflow, (scheduled,), moved=here, queued=here)


def _done(
    snapshot: Snapshot, command: UpdateTask, now_ms: int, sources: Sources
) -> Decision | None:
    """The only task that is under way has been done."""
    task = snapshot.tasks.get(command.ordinal)
    if (
        task is None
        or command.status is not _COMPLETED
        or command.ordinal not in snapshot.open
        or len(snapshot.open) != 1
        or snapshot.unfollowed
        or snapshot.workflow.status is not WorkflowStatus.RUNNING
        or task.kind != "SIMPLE"
        or task.step is not None
        or task.loop
        or command.merge
        or command.logs
        or command.output_path is not None
        or len(command.output) > sources.outside.limits.task_most
    ):
        return None
    place = snapshot.pinned.straight.get(task.ref)
    if place is None or place.following in snapshot.latest:
        return None
    snapshot.put(_completed(task, command, now_ms))
    try:
        decision = _followed(snapshot, place, task.ordinal, now_ms, sources)
    except (RecursionError, FlowBroken):
        decision = None
    if decision is None:
        snapshot.put_back(task)
    return decision


def _completed(task: Task, command: UpdateTask, now_ms: int) -> Task:
    """The record with what its worker says, and with the note that it has been followed."""
    lease = command.lease
    return msgspec.structs.replace(
        task,
        status=_COMPLETED,
        executed=True,
        output=command.output,
        output_path=None,
        reason=command.reason[: policies.REASON_LIMIT] if command.reason else None,
        worker=command.worker or (lease.worker if lease is not None else None) or task.worker,
        callback_after_s=command.callback_after_s,
        started_ms=task.started_ms or (now_ms if lease is None else lease.started_ms),
        polls=task.polls if lease is None else lease.polls,
        updated_ms=now_ms,
        ended_ms=now_ms,
        due_ms=0,
        deliver_ms=0,
    )


def _followed(
    snapshot: Snapshot, place: Straight, ordinal: int, now_ms: int, sources: Sources
) -> Decision | None:
    """What follows a task that is done; None = nothing as plain."""
    done = snapshot.tasks[ordinal]
    here = (ordinal,)
    if place.following is None:
        workflow = _ended(snapshot, now_ms, sources)
        if workflow is None:
            return None
        snapshot.put_workflow(workflow)
        return Decision(workflow, (done,), moved=here, ended=here)
    following = snapshot.pinned.straight.get(place.following)
    if following is None:
        return None
    scheduled = _scheduled(snapshot, following, now_ms, sources)
    if scheduled is None:
        return None
    snapshot.put(scheduled)
    both, queued = (ordinal, scheduled.ordinal), (scheduled.ordinal,)
    return Decision(None, (done, scheduled), moved=both, queued=queued, ended=here)


def _scheduled(snapshot: Snapshot, place: Straight, now_ms: int, sources: Sources) -> Task | None:
    """The record of a step that workers may have from now on."""
    ordinal = snapshot.next_ordinal
    if ordinal >> ORDINAL_BITS or snapshot.workflow.task_to_domain:
        return None
    step = place.step
    values = resolve(step.input_parameters, SnapshotLookup(snapshot, ordinal, sources.outside))
    task = Task(
        ordinal=ordinal,
        seq=snapshot.next_seq,
        ref=step.task_reference_name,
        kind=step.type,
        type=step.name,
        name=step.name,
        status=TaskStatus.SCHEDULED,
        input=msgspec.json.encode(values) if values else EMPTY,
        scheduled_ms=now_ms,
        first_scheduled_ms=now_ms,
        updated_ms=now_ms,
        queue=place.queue,
    )
    if len(task.input) > sources.outside.limits.task_most:
        return None
    due_ms = policies.next_deadline_ms(step, task, sources.jumps)
    return msgspec.structs.replace(task, due_ms=due_ms) if due_ms else task


def _ended(snapshot: Snapshot, now_ms: int, sources: Sources) -> Workflow | None:
    """The record of an execution all of whose tasks are done."""
    workflow, definition = snapshot.workflow, snapshot.pinned.definition
    if workflow.parent or definition.output_schema is not None:
        return None
    if any(task.status is not _COMPLETED for task in snapshot.tasks.values()):
        return None
    if definition.output_parameters:
        lookup = SnapshotLookup(snapshot, outside=sources.outside)
        output = msgspec.json.encode(resolve(definition.output_parameters, lookup))
    else:
        output = max(snapshot.tasks.values(), key=_place_in_list).output
    if len(output) > sources.outside.limits.workflow_most:
        return None
    # What could not be read again fails the execution.
    msgspec.json.decode(output)
    return msgspec.structs.replace(
        workflow,
        updated_ms=now_ms,
        status=WorkflowStatus.COMPLETED,
        reason=None,
        output=output,
        ended_ms=now_ms,
        due_ms=0,
        rate_limited=False,
        failed_task=0,
        failed_refs=[],
        failed_names=[],
    )


def _place_in_list(task: Task) -> int:
    return task.seq
