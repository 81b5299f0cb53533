"""Where an execution has got to, in the shapes that the caller of a synchronous call may ask for.

Nothing is waited for here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.model.executions import Task, task_uuid, workflow_uuid
from edge.model.requests import ExecutionView
from edge.steering import Blocked
from edge.wire import Encoder

Run = dict[str, Any]


def target(encoder: Encoder, blocked: Blocked, request_id: str) -> Run:
    """The execution that was asked for."""
    return _workflow_run(encoder, blocked, blocked.view, "TARGET_WORKFLOW", request_id)


def _blocking(encoder: Encoder, blocked: Blocked, request_id: str) -> Run:
    """The execution that holds the task at which it waits."""
    return _workflow_run(encoder, blocked, blocked.holder, "BLOCKING_WORKFLOW", request_id)


def _task(encoder: Encoder, blocked: Blocked, request_id: str) -> Run | None:
    """The task itself; None when it waits at none."""
    return _task_run(encoder, blocked, "BLOCKING_TASK", request_id)


def _task_input(encoder: Encoder, blocked: Blocked, request_id: str) -> Run | None:
    """The same, for those who look at its input."""
    return _task_run(encoder, blocked, "BLOCKING_TASK_INPUT", request_id)


RUNS: Mapping[str, Callable[[Encoder, Blocked, str], Run | None]] = {
    "TARGET_WORKFLOW": target,
    "BLOCKING_WORKFLOW": _blocking,
    "BLOCKING_TASK": _task,
    "BLOCKING_TASK_INPUT": _task_input,
}
"""The shapes by their names."""


def _shared(blocked: Blocked, view: ExecutionView, kind: str, request_id: str) -> Run:
    workflow, wanted = view.workflow, blocked.view.workflow
    run: Run = {
        "responseType": kind,
        "targetWorkflowId": workflow_uuid(wanted.id),
        "targetWorkflowStatus": wanted.status,
        "requestId": request_id,
        "workflowId": workflow_uuid(workflow.id),
        "signalTimeout": blocked.timed_out,
        "priority": workflow.priority,
    }
    if workflow.correlation_id is not None:
        run["correlationId"] = workflow.correlation_id
    return run


def _workflow_run(
    encoder: Encoder, blocked: Blocked, view: ExecutionView, kind: str, request_id: str
) -> Run:
    shown = encoder.workflow(view.workflow, view.pinned, view.tasks)
    run = _shared(blocked, view, kind, request_id) | {
        "status": shown.status,
        "input": shown.input,
        "output": shown.output,
        "variables": shown.variables,
        "tasks": shown.tasks,
        "createTime": shown.create_time,
        "updateTime": shown.update_time,
    }
    for name, value in (
        ("createdBy", shown.created_by),
        ("reasonForIncompletion", shown.reason_for_incompletion),
    ):
        if value is not None:
            run[name] = value
    return run


def _task_run(encoder: Encoder, blocked: Blocked, kind: str, request_id: str) -> Run | None:
    task, view = blocked.task, blocked.holder
    if task is None:
        return None
    shown = encoder.workflow(view.workflow, view.pinned, [task])
    run = _shared(blocked, view, kind, request_id) | _task_fields(view, task)
    return run | {
        "input": shown.tasks[0].input_data,
        "output": shown.tasks[0].output_data,
        "variables": shown.variables,
        "tasks": shown.tasks,
    }


def _task_fields(view: ExecutionView, task: Task) -> Run:
    fields: Run = {
        "taskType": task.type,
        "taskId": task_uuid(view.workflow.id, task.ordinal),
        "referenceTaskName": task.ref,
        "retryCount": task.attempt,
        "taskDefName": task.name,
        "workflowType": view.workflow.name,
        "status": task.status,
        "createTime": task.started_ms,
        "updateTime": task.updated_ms,
    }
    if task.retried_from:
        fields["retriedTaskId"] = task_uuid(view.workflow.id, task.retried_from)
    if task.reason is not None:
        fields["reasonForIncompletion"] = task.reason
    if task.worker is not None:
        fields["createdBy"] = task.worker
    return fields
