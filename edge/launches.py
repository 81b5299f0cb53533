"""Executions that start others: what they ask for as a start, and what an earlier start answers.

Nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge.model.calls import MAX_DEPTH, Launch
from edge.model.errors import Conflict
from edge.model.executions import (
    EMPTY,
    Pinned,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    workflow_uuid,
)
from edge.model.requests import StartRequest
from edge.model.snapshot import Snapshot
from edge.model.validation import parse_inline_definition, parse_start_request
from edge.wire import Encoder


def failed_first(snapshot: Snapshot, find: Callable[[bytes], Snapshot | None]) -> bytes:
    """Which execution the first failure of one comes from: a child, one of its, or itself.

    Args:
        snapshot: of the execution.
        find: an execution by its id.
    """
    while (child := _failed_child(snapshot)) is not None:
        deeper = find(child)
        if deeper is None or not deeper.workflow.status.terminal:
            break
        snapshot = deeper
    return snapshot.workflow.id


def _failed_child(snapshot: Snapshot) -> bytes | None:
    if not snapshot.workflow.status.terminal:
        return None
    newest = sorted(
        (snapshot.tasks[ordinal] for ordinal in snapshot.latest.values()),
        key=lambda task: task.seq,
    )
    failed = [task for task in newest if not task.status.successful and task.kind != "DO_WHILE"]
    if not failed or failed[0].kind != "SUB_WORKFLOW" or not failed[0].child:
        return None
    return failed[0].child


def still_wanted(snapshot: Snapshot, call: Launch) -> bool:
    """Whether an execution still waits for what it asked to be started."""
    if call.ordinal == 0:
        return snapshot.workflow.status.terminal
    task = snapshot.tasks.get(call.ordinal)
    return (
        task is not None
        and task.status is TaskStatus.SCHEDULED
        and not snapshot.workflow.status.terminal
    )


def refuse_adoption(
    workflow: Workflow, task: bytes, find: Callable[[bytes], Snapshot | None]
) -> None:
    """See to it that an execution may become the child of a task.

    Args:
        workflow: the execution, which an idempotency key has led to.
        task: id of the task.
        find: an execution by its id.

    Raises:
        Conflict: another task waits for it already, or the task stands inside it.
    """
    if _stands_inside(task, workflow.id, find):
        fault = "stands around the task, which would wait for itself"
    elif workflow.parent and not workflow.status.terminal:
        fault = "is the child of another task"
    else:
        return
    raise Conflict(
        f"Workflow {workflow_uuid(workflow.id)}, which the idempotency key "
        f"{workflow.idempotency_key} names, {fault}"
    )


def _stands_inside(
    task: bytes, workflow_id: bytes, find: Callable[[bytes], Snapshot | None]
) -> bool:
    around = task[:12] + bytes(4)
    for _ in range(MAX_DEPTH + 1):
        if around == workflow_id:
            return True
        snapshot = find(around)
        if snapshot is None or not snapshot.workflow.parent:
            return False
        around = snapshot.workflow.parent_id
    # What was adopted can stand deeper than what was started; it ends here as well.
    return True


def start_request(snapshot: Snapshot, call: Launch, encoder: Encoder) -> StartRequest:
    """A launch as the start that it is.

    What expressions have made of its fields is anything: it is held against what any start is.

    Raises:
        InvalidInput: it is no start, or its own definition is none.
    """
    # Not its version, which is looked for as it is: no definition has one that is out of range.
    posted = parse_start_request(
        {
            "name": call.name,
            "priority": call.priority,
            "taskToDomain": call.task_to_domain,
            "idempotencyKey": call.idempotency_key,
            "idempotencyStrategy": call.idempotency_strategy or None,
        }
    )
    values = call.input
    if call.explains:
        whole = encoder.workflow(snapshot.workflow, snapshot.pinned, list(snapshot.tasks.values()))
        values = msgspec.json.encode({**msgspec.json.decode(values), "failedWorkflow": whole})
    definition = None
    if call.definition is not None:
        definition = parse_inline_definition({"name": call.name, **call.definition})
    return StartRequest(
        name=call.name,
        version=call.version,
        input=values,
        correlation_id=call.correlation_id,
        priority=posted.priority,
        task_to_domain=posted.task_to_domain,
        definition=definition,
        created_by=call.created_by,
        idempotency_key=posted.idempotency_key,
        idempotency_strategy=posted.idempotency_strategy,
    )


def answered_by(found: Workflow, request: StartRequest) -> bool:
    """Whether the execution that an idempotency key names is what a start with that key gets.

    Raises:
        Conflict: it gets nothing, as its strategy will have it.
    """
    strategy = request.idempotency_strategy or "FAIL"
    if strategy == "RETURN_EXISTING":
        return True
    if strategy == "FAIL" or not found.status.terminal:
        raise Conflict(
            f"Workflow {found.name} has been started with the idempotency key "
            f"{request.idempotency_key} before: {workflow_uuid(found.id)}"
        )
    return False


def with_template(posted: bytes, pinned: Pinned) -> bytes:
    """The input with the template's keys that it lacks; an empty input takes none of them."""
    template = pinned.definition.input_template
    if not template:
        return posted
    values = msgspec.json.decode(posted)
    return msgspec.json.encode({**template, **values}) if values else posted


def new_workflow(
    request: StartRequest,
    pinned: Pinned,
    *,
    key: int,
    workflow_id: bytes,
    now_ms: int,
    parent: bytes,
    depth: int,
) -> Workflow:
    """The record of an execution that begins.

    Args:
        request: what is started, and with what.
        pinned: its definition.
        key: in the database.
        workflow_id: of the execution.
        now_ms: when it begins, in epoch milliseconds.
        parent: id of the task that waits for it; b"" = none.
        depth: how many executions it stands in.
    """
    definition = pinned.definition
    return Workflow(
        key=key,
        id=workflow_id,
        name=definition.name,
        version=definition.version,
        pinned=pinned.key,
        status=WorkflowStatus.RUNNING,
        input=with_template(request.input, pinned),
        variables=msgspec.json.encode(definition.variables) if definition.variables else EMPTY,
        correlation_id=request.correlation_id,
        priority=request.priority,
        created_ms=now_ms,
        updated_ms=now_ms,
        task_to_domain=request.task_to_domain,
        created_by=request.created_by,
        event=request.event,
        idempotency_key=request.idempotency_key,
        input_path=request.input_path,
        parent=parent,
        depth=depth,
        masked_fields=definition.masked_fields,
    )
