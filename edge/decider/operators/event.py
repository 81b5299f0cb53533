"""EVENT: hands a message over to be published, in the transaction that completes the task.

Nothing is sent from here: a broker that is away delays the message and never the workflow.
"""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.decision import Publication
from edge.model.definitions import JsonObject
from edge.model.events import CONDUCTOR, MQTT, PAYLOAD_BYTES, may_be_published_to
from edge.model.executions import TaskStatus, workflow_uuid


class _Refused(Exception):
    """There is no such queue, or no message may go there; the text is for the task's reason."""


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    step, workflow = visit.step, draft.snapshot.workflow
    ordinal = draft.new_ordinal()
    sink = java_text(draft.resolve(step.sink or ""))
    values = draft.input_of(visit, ordinal)
    values |= {"sink": sink, "asyncComplete": step.async_complete}
    payload: JsonObject = {
        **values,
        "workflowInstanceId": workflow_uuid(workflow.id),
        "workflowType": workflow.name,
        "workflowVersion": workflow.version,
        "correlationId": workflow.correlation_id,
        "taskToDomain": workflow.task_to_domain,
    }
    status, reason = _publish(draft, visit, ordinal, sink, payload)
    if reason is None and step.async_complete:
        status = TaskStatus.IN_PROGRESS
    too_large = status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    draft.add(
        visit,
        status,
        values=values,
        output=None if too_large else payload,
        ordinal=ordinal,
        reason=reason,
    )


def _publish(
    draft: Draft, visit: Visit, ordinal: int, sink: str, payload: JsonObject
) -> tuple[TaskStatus, str | None]:
    """Put the message into the decision; says how the task ends, and why if it fails."""
    try:
        queue = _queue_of(sink, draft.snapshot.workflow.name, visit.ref)
        payload["event_produced"] = queue
        _check(queue, draft.task_id(ordinal))
    except _Refused as refused:
        return TaskStatus.FAILED, str(refused)
    message = msgspec.json.encode(payload)
    if len(message) > PAYLOAD_BYTES:
        fault = (
            f"The message has {len(message)} bytes and {PAYLOAD_BYTES} are allowed: "
            "send a reference instead"
        )
        return TaskStatus.FAILED_WITH_TERMINAL_ERROR, fault
    draft.publications.append(Publication(draft.task_id(ordinal), queue, message))
    return TaskStatus.COMPLETED, None


def _queue_of(sink: str, workflow: str, ref: str) -> str:
    """The queue that a sink means: the internal ones belong to the workflow that names them."""
    if sink == CONDUCTOR[:-1]:
        return f"{CONDUCTOR}{workflow}:{ref}"
    if sink.startswith(CONDUCTOR):
        return f"{CONDUCTOR}{workflow}:{sink.replace(CONDUCTOR, '')}"
    if sink.startswith(CONDUCTOR[:-1]):
        raise _Refused(f"Invalid / Unsupported sink specified: {sink}")
    return sink


def _check(queue: str, task_id: str) -> None:
    """Raise unless there is such a queue."""
    if queue.startswith(CONDUCTOR):
        return
    if queue.startswith(MQTT):
        if not may_be_published_to(queue.removeprefix(MQTT)):
            raise _Refused(
                f"Invalid / Unsupported sink specified: {queue}. "
                "Give a topic without wildcards, for example mqtt:site/events"
            )
        return
    kind, colon, _ = queue.partition(":")
    fault = f"Unknown queue type {kind}" if colon else f"Illegal event {queue}"
    raise _Refused(f"Error loading queue:{queue}, for task:{task_id}, error: {fault}")


OPERATOR = Operator(_schedule)
