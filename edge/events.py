"""What a message of an event does: each action of each active handler, once.

Where messages come from and when they are looked at is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from edge.decider.expressions import read_path, resolve
from edge.decider.java_text import java_text
from edge.decider.scripts import ScriptFailed, is_true
from edge.model.decision import Terminate, UpdateTask, UpdateVariables
from edge.model.definitions import JsonObject
from edge.model.errors import BatonError, InvalidInput, NotFound
from edge.model.events import (
    Action,
    EventExecution,
    EventHandler,
    Message,
    StartWorkflow,
    TaskDetails,
    TerminateWorkflow,
    UpdateWorkflowVariables,
    expanded,
)
from edge.model.executions import (
    Task,
    TaskStatus,
    parse_uuid,
    parse_workflow_id,
    workflow_uuid,
)
from edge.model.requests import StartRequest
from edge.model.snapshot import Snapshot
from edge.model.validation import parse_start_request
from edge.store import events
from edge.transactions import Transaction

log = structlog.get_logger()


def handle(transaction: Transaction, message: Message) -> int:
    """Let the handlers of a message's event act on it.

    Everything happens in the caller's transaction: the actions, and the record of each by which a
    message that comes again finds it done. An action that cannot be carried out is recorded as
    FAILED and hinders no other.

    Returns:
        The number of actions that were carried out now.
    """
    connection, now_ms = transaction.connection, transaction.now_ms
    handlers = events.handlers_for(connection, message.event)
    payload: JsonObject = msgspec.json.decode(message.payload)
    # Scripts first: what they say depends on the payload alone, and one that takes its time has
    # the request repeated from here.
    verdicts = [_verdict(transaction, handler, payload) for handler in handlers]
    acted = 0
    for handler, verdict in zip(handlers, verdicts, strict=True):
        if isinstance(verdict, EventExecution):
            passed_over = msgspec.structs.replace(
                verdict,
                id=f"{message.message_id}_0",
                message_id=message.message_id,
                event=message.event,
                created=now_ms,
            )
            if not events.is_done(connection, handler.name, message.event, passed_over.id):
                events.add_execution(connection, passed_over)
            continue
        for index, action in enumerate(handler.actions):
            execution_id = f"{message.message_id}_{index}"
            if events.is_done(connection, handler.name, message.event, execution_id):
                log.info("message_came_again", handler=handler.name, execution=execution_id)
                continue
            status, output = _act(transaction, action, payload, message)
            execution = EventExecution(
                execution_id,
                message.message_id,
                handler.name,
                message.event,
                now_ms,
                status,
                action.action,
                output,
            )
            events.add_execution(connection, execution)
            acted += 1
    return acted


def _verdict(
    transaction: Transaction, handler: EventHandler, payload: JsonObject
) -> EventExecution | None:
    """None when the handler's condition holds, else the record of why it does nothing."""
    if not handler.condition:
        return None
    output: JsonObject = {"condition": handler.condition}
    evaluator = "python" if handler.evaluator_type == "python" else "javascript"
    try:
        if is_true(transaction.evaluate(handler.condition, expanded(payload), evaluator)):
            return None
    except ScriptFailed as error:
        output["exception"] = str(error)
        return EventExecution("", "", handler.name, "", 0, "FAILED", None, output)
    return EventExecution("", "", handler.name, "", 0, "SKIPPED", None, output)


def _act(
    transaction: Transaction, action: Action, payload: JsonObject, message: Message
) -> tuple[Any, JsonObject]:
    """Carry out one action; how it ended, and what is told of it."""
    root = expanded(payload) if action.expand_inline_json else payload
    fill = _filler(root)
    marks = {
        "conductor.event.messageId": message.message_id,
        "conductor.event.name": message.event,
    }
    try:
        match getattr(action, action.action):
            case StartWorkflow() as details:
                return "COMPLETED", _start(transaction, details, fill, marks, message.event)
            case TaskDetails() as details:
                status = (
                    TaskStatus.COMPLETED if action.action == "complete_task" else TaskStatus.FAILED
                )
                return "COMPLETED", _end_task(transaction, details, status, fill, marks)
            case TerminateWorkflow() as details:
                return "COMPLETED", _terminate(transaction, details, fill)
            case UpdateWorkflowVariables() as details:
                return "COMPLETED", _update_variables(transaction, details, fill)
            case _:
                raise InvalidInput(
                    f"Action not supported {action.action} for event {message.event}"
                )
    except BatonError as error:
        if error.retryable:
            raise
        log.warning("event_action_failed", action=action.action, reason=error.told)
        return "FAILED", {"exception": error.told}


Fill = Callable[[Any], Any]
"""A value with its expressions replaced."""


def _filler(payload: JsonObject) -> Fill:
    """Replaces the expressions in a value, the root of their paths being a payload."""

    def root(name: str) -> Any:
        return payload if name == "$" else payload.get(name)

    return lambda value: resolve(value, lambda path: read_path(root, path))


def _start(
    transaction: Transaction,
    details: StartWorkflow,
    fill: Fill,
    marks: JsonObject,
    event: str,
) -> JsonObject:
    domains = details.task_to_domain
    if domains is None:
        domains = fill("${taskToDomain}")
    # What a message has filled in is held against what any start is.
    posted = parse_start_request(
        {
            "name": _text(fill(details.name)),
            "version": _number("version", fill(details.version)),
            "priority": _number("priority", fill(details.priority)),
            "idempotencyKey": _text(fill(details.idempotency_key)),
            "idempotencyStrategy": details.idempotency_strategy,
        }
    )
    request = StartRequest(
        name=posted.name,
        version=posted.version,
        input=msgspec.json.encode({**fill(details.input), **marks}),
        correlation_id=_text(fill(details.correlation_id)),
        priority=posted.priority,
        task_to_domain=_domains(domains),
        event=event,
        idempotency_key=posted.idempotency_key,
        idempotency_strategy=posted.idempotency_strategy,
    )
    workflow_id, _ = transaction.start(request)
    return {"workflowId": workflow_uuid(workflow_id)}


def _end_task(
    transaction: Transaction,
    details: TaskDetails,
    status: TaskStatus,
    fill: Fill,
    marks: JsonObject,
) -> JsonObject:
    """Complete or fail a task; one that is not there is told in what is recorded."""
    values = fill(
        {
            "workflowId": details.workflow_id,
            "taskId": details.task_id,
            "taskRefName": details.task_ref_name,
            "reasonForIncompletion": details.reason_for_incompletion,
            **details.output,
        }
    )
    workflow_id, task_id, ref = (
        _text(values.get(name)) for name in ("workflowId", "taskId", "taskRefName")
    )
    try:
        found = _find(transaction, workflow_id, task_id, ref)
    except NotFound:
        return {**values, "error": f"No workflow found with ID: {workflow_id}"}
    if found is None:
        shown = [java_text(one) for one in (task_id, ref, workflow_id)]
        error = (
            f"No task found with taskId: {shown[0]}, reference name: {shown[1]}, "
            f"workflowId: {shown[2]}"
        )
        return {**values, "error": error}
    snapshot, task = found
    output = {**values, **marks}
    command = UpdateTask(
        task.ordinal,
        status,
        msgspec.json.encode(output),
        reason=None if status.successful else _text(values.get("reasonForIncompletion")),
    )
    transaction.decide(snapshot.workflow.id, command)
    return output


def _find(
    transaction: Transaction, workflow_id: str | None, task_id: str | None, ref: str | None
) -> tuple[Snapshot, Task] | None:
    """The task that an action means, with its execution.

    Raises:
        NotFound: there is no such workflow.
    """
    if task_id:
        parsed = parse_uuid(task_id)
        if parsed is None:
            return None
        try:
            snapshot = transaction.snapshot(parsed[0])
        except NotFound:
            return None
        task = snapshot.tasks.get(parsed[1])
    elif workflow_id and ref:
        snapshot = transaction.snapshot(parse_workflow_id(workflow_id))
        task = snapshot.meant(ref)
    else:
        return None
    return None if task is None else (snapshot, task)


def _terminate(transaction: Transaction, details: TerminateWorkflow, fill: Fill) -> JsonObject:
    values: JsonObject = fill(
        {
            "workflowId": details.workflow_id,
            "terminationReason": details.termination_reason,
        }
    )
    key = parse_workflow_id(_text(values["workflowId"]) or "")
    transaction.decide(key, Terminate(_text(values["terminationReason"])))
    return values


def _update_variables(
    transaction: Transaction, details: UpdateWorkflowVariables, fill: Fill
) -> JsonObject:
    values: JsonObject = fill({"workflowId": details.workflow_id, "variables": details.variables})
    command = UpdateVariables(
        msgspec.json.encode(values["variables"]), append=details.append_array is not False
    )
    transaction.decide(parse_workflow_id(_text(values["workflowId"]) or ""), command)
    return values


def _text(value: Any) -> str | None:
    return None if value is None else java_text(value)


def _number(field: str, value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    try:
        return int(str(value))
    except ValueError as error:
        raise InvalidInput(f"{field}: {str(value)[:80]!r} is not a whole number") from error


def _domains(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, str)}
