"""Executions and tasks as lines of a search result, whose times are ISO texts.

Nothing is looked up here.
"""

from __future__ import annotations

import msgspec

from edge import wire
from edge.model.executions import TaskStatus, task_uuid, workflow_uuid
from edge.model.fields import Found, FoundTask, run_ms, wait_ms
from edge.model.masking import masked_task


class WireTaskSummary(msgspec.Struct, rename="camel", omit_defaults=True):
    """A task as a line. A time that has not come is that of the epoch, as in Conductor."""

    workflow_id: str
    workflow_type: str
    scheduled_time: str
    start_time: str
    update_time: str
    end_time: str
    status: TaskStatus
    execution_time: int
    queue_wait_time: int
    task_def_name: str
    task_type: str
    input: str
    output: str
    task_id: str
    workflow_priority: int
    external_input_payload_storage_path: str | None = None
    external_output_payload_storage_path: str | None = None
    correlation_id: str | None = None
    reason_for_incompletion: str | None = None
    domain: str | None = None


def of_workflow(found: Found) -> wire.WireSummary:
    """An execution as a line."""
    line = wire.summary(found.workflow)
    line.classifier = found.classifier
    return line


def of_task(found: FoundTask) -> WireTaskSummary:
    """A task as a line."""
    workflow = found.workflow
    task = masked_task(found.task, workflow.masked_fields)
    return WireTaskSummary(
        workflow_id=workflow_uuid(workflow.id),
        workflow_type=workflow.name,
        scheduled_time=wire.iso(task.scheduled_ms),
        start_time=wire.iso(task.started_ms),
        update_time=wire.iso(task.updated_ms),
        end_time=wire.iso(task.ended_ms),
        status=task.status,
        execution_time=run_ms(task),
        queue_wait_time=wait_ms(task),
        task_def_name=task.name,
        task_type=task.type,
        input=task.input.decode(),
        output=task.output.decode(),
        task_id=task_uuid(workflow.id, task.ordinal),
        workflow_priority=workflow.priority,
        external_input_payload_storage_path=wire.input_path(task),
        external_output_payload_storage_path=wire.output_path(task),
        correlation_id=workflow.correlation_id,
        reason_for_incompletion=task.reason,
        domain=task.domain,
    )
