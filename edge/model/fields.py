"""What executions and tasks can be searched and sorted by, and the texts that free text looks into.

How a field is compared is not decided here, and no record is fetched.
"""

from __future__ import annotations

import msgspec

from edge.model.executions import Task, Workflow, task_uuid, workflow_uuid
from edge.model.masking import masked
from edge.model.matching import Field, Fields, FreeText, Kind


class Found(msgspec.Struct, frozen=True, gc=False):
    """An execution as it is searched."""

    workflow: Workflow
    classifier: str = "workflow"
    """Of its definition: ``workflow``, ``agent`` or what its metadata says."""
    archived: bool = False
    """Whether it has been removed and only a copy is left."""


class FoundTask(msgspec.Struct, frozen=True, gc=False):
    """A task as it is searched."""

    workflow: Workflow
    task: Task


def parent_of(workflow: Workflow) -> str:
    """Id of the execution that started this one as a part of itself; empty = none."""
    return workflow_uuid(workflow.parent_id) if workflow.parent else ""


def execution_ms(workflow: Workflow) -> int:
    """How long an execution took; 0 while it has not ended."""
    return max(0, workflow.ended_ms - workflow.created_ms) if workflow.ended_ms else 0


def run_ms(task: Task) -> int:
    """How long a task took from its hand-over; 0 while it has not ended."""
    return max(0, task.ended_ms - task.started_ms) if task.ended_ms and task.started_ms else 0


def wait_ms(task: Task) -> int:
    """How long a task waited for its hand-over; 0 while it still waits."""
    return max(0, task.started_ms - task.scheduled_ms) if task.started_ms else 0


_TEXT, _NUMBER, _TIME = Kind.TEXT, Kind.NUMBER, Kind.TIME

WORKFLOW_FIELDS: Fields[Found] = {
    "workflowId": Field(_TEXT, lambda one: workflow_uuid(one.workflow.id)),
    "workflowType": Field(_TEXT, lambda one: one.workflow.name),
    "workflowName": Field(_TEXT, lambda one: one.workflow.name),
    "version": Field(_NUMBER, lambda one: one.workflow.version),
    "status": Field(_TEXT, lambda one: one.workflow.status.value),
    "correlationId": Field(_TEXT, lambda one: one.workflow.correlation_id),
    "startTime": Field(_TIME, lambda one: one.workflow.created_ms),
    "updateTime": Field(_TIME, lambda one: one.workflow.updated_ms),
    "endTime": Field(_TIME, lambda one: one.workflow.ended_ms),
    "executionTime": Field(_NUMBER, lambda one: execution_ms(one.workflow)),
    "parentWorkflowId": Field(_TEXT, lambda one: parent_of(one.workflow)),
    "classifier": Field(_TEXT, lambda one: one.classifier),
    "priority": Field(_NUMBER, lambda one: one.workflow.priority),
    "event": Field(_TEXT, lambda one: one.workflow.event),
    "createdBy": Field(_TEXT, lambda one: one.workflow.created_by),
    "idempotencyKey": Field(_TEXT, lambda one: one.workflow.idempotency_key),
    "failedReferenceTaskNames": Field(Kind.NAMES, lambda one: one.workflow.failed_refs),
    "failedTaskNames": Field(Kind.NAMES, lambda one: one.workflow.failed_names),
    "reasonForIncompletion": Field(Kind.PROSE, lambda one: one.workflow.reason),
    # Nobody finds out by asking what nobody is shown.
    "input": Field(Kind.PROSE, lambda one: masked(one.workflow.input, one.workflow.masked_fields)),
    "output": Field(
        Kind.PROSE, lambda one: masked(one.workflow.output, one.workflow.masked_fields)
    ),
}


TASK_FIELDS: Fields[FoundTask] = {
    "taskId": Field(_TEXT, lambda one: task_uuid(one.workflow.id, one.task.ordinal)),
    "taskType": Field(_TEXT, lambda one: one.task.type),
    "taskDefName": Field(_TEXT, lambda one: one.task.name),
    "referenceTaskName": Field(_TEXT, lambda one: one.task.ref),
    "status": Field(_TEXT, lambda one: one.task.status.value),
    "workflowId": Field(_TEXT, lambda one: workflow_uuid(one.workflow.id)),
    "workflowType": Field(_TEXT, lambda one: one.workflow.name),
    "correlationId": Field(_TEXT, lambda one: one.workflow.correlation_id),
    "workflowPriority": Field(_NUMBER, lambda one: one.workflow.priority),
    "scheduledTime": Field(_TIME, lambda one: one.task.scheduled_ms),
    "startTime": Field(_TIME, lambda one: one.task.started_ms),
    "updateTime": Field(_TIME, lambda one: one.task.updated_ms),
    "endTime": Field(_TIME, lambda one: one.task.ended_ms),
    "executionTime": Field(_NUMBER, lambda one: run_ms(one.task)),
    "queueWaitTime": Field(_NUMBER, lambda one: wait_ms(one.task)),
    "workerId": Field(_TEXT, lambda one: one.task.worker),
    "domain": Field(_TEXT, lambda one: one.task.domain),
    "reasonForIncompletion": Field(Kind.PROSE, lambda one: one.task.reason),
    "input": Field(Kind.PROSE, lambda one: masked(one.task.input, one.workflow.masked_fields)),
    "output": Field(Kind.PROSE, lambda one: masked(one.task.output, one.workflow.masked_fields)),
}


def workflow_holds(text: FreeText, found: Found) -> bool:
    """Whether a free text occurs in an execution."""
    one = found.workflow
    texts = (
        one.name,
        one.correlation_id,
        one.reason,
        one.status.value,
        one.created_by,
        one.event,
        one.idempotency_key,
        parent_of(one) if text.may_be_id else None,
        *one.failed_refs,
        *one.failed_names,
    )
    return (
        _in_shown(text, one.input, one.masked_fields)
        or _in_shown(text, one.output, one.masked_fields)
        or text.in_any(texts)
        or (text.may_be_id and text.in_any((workflow_uuid(one.id),)))
    )


def _in_shown(text: FreeText, payload: bytes, hidden: list[str]) -> bool:
    """Whether a free text occurs in what is shown of a payload; masks are dear, and put on last."""
    return text.in_payload(payload) and text.in_payload(masked(payload, hidden))


def task_holds(text: FreeText, found: FoundTask) -> bool:
    """Whether a free text occurs in a task."""
    one, workflow = found.task, found.workflow
    texts = (
        one.ref,
        one.type,
        one.name,
        one.status.value,
        one.reason,
        one.worker,
        one.domain,
        workflow.name,
        workflow.correlation_id,
    )
    return (
        _in_shown(text, one.input, workflow.masked_fields)
        or _in_shown(text, one.output, workflow.masked_fields)
        or text.in_any(texts)
        or (
            text.may_be_id
            and text.in_any((workflow_uuid(workflow.id), task_uuid(workflow.id, one.ordinal)))
        )
    )
