"""EVENT: hands a message over to be published, in the transaction that completes the task.

Nothing is sent from here: a broker that is away delays the message and never the workflow.
"""

from __future__ import annotations

import re

import msgspec

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.decision import Publication
from edge.model.executions import TaskStatus, workflow_uuid

_MQTT = "mqtt:"

_TOPIC_BYTES = 1_000
_PAYLOAD_BYTES = 100_000
"""What any broker takes, and what a slow link can carry between two records."""

_RESERVED = re.compile(r"\$|baton(/\d|$)")
"""Topics of the broker and of the sync protocol."""


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    step, workflow = visit.step, draft.snapshot.workflow
    ordinal = draft.new_ordinal()
    sink = java_text(draft.resolve(step.sink or ""))
    values = draft.input_of(visit, ordinal)
    values |= {"sink": sink, "asyncComplete": step.async_complete}
    topic = sink.removeprefix(_MQTT)
    if not sink.startswith(_MQTT) or not _may_be_published_to(topic):
        draft.add(
            visit,
            TaskStatus.FAILED,
            values=values,
            ordinal=ordinal,
            reason=f"Invalid / Unsupported sink specified: {sink}. "
            "Give a topic without wildcards, for example mqtt:site/events",
        )
        return
    payload = {
        **values,
        "workflowInstanceId": workflow_uuid(workflow.id),
        "workflowType": workflow.name,
        "workflowVersion": workflow.version,
        "correlationId": workflow.correlation_id,
        "taskToDomain": workflow.task_to_domain,
        "event_produced": sink,
    }
    message = msgspec.json.encode(payload)
    if len(message) > _PAYLOAD_BYTES:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason=f"The message has {len(message)} bytes and {_PAYLOAD_BYTES} are allowed: "
            "send a reference instead",
        )
        return
    draft.publications.append(Publication(draft.task_id(ordinal), topic, message))
    status = TaskStatus.IN_PROGRESS if step.async_complete else TaskStatus.COMPLETED
    draft.add(visit, status, values=values, output=payload, ordinal=ordinal)


def _may_be_published_to(topic: str) -> bool:
    """Whether a message may go there: the uplink would set aside what is let through here."""
    if not topic or len(topic.encode()) > _TOPIC_BYTES or _RESERVED.match(topic):
        return False
    return not set("+#\0") & set(topic)


OPERATOR = Operator(_schedule)
