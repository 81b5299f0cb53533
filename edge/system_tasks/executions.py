"""Tasks that look at, end or report to other executions, and that start them when it is time.

Each may run again after a power cut: ending what has ended and reporting what is finished change
nothing, and what is started is started by the decision itself, once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.engine import Engine
from edge.model.decision import LaunchNow, Terminate, UpdateTask
from edge.model.definitions import JsonObject
from edge.model.errors import BatonError, NotFound
from edge.model.executions import (
    TaskStatus,
    parse_uuid,
    parse_workflow_id,
    task_uuid,
    workflow_uuid,
)
from edge.model.requests import Answer, TaskView
from edge.transactions import Transaction
from edge.wire import Encoder

_STATUSES = {
    "COMPLETED": TaskStatus.COMPLETED,
    "FAILED": TaskStatus.FAILED,
    "FAILED_WITH_TERMINAL_ERROR": TaskStatus.FAILED_WITH_TERMINAL_ERROR,
}
"""What UPDATE_TASK may report."""


class OtherExecutions:
    """The system tasks of one engine that concern other executions.

    Args:
        engine: where they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._encoder = Encoder()

    async def launch(self, view: TaskView) -> None:
        """Let a task start the execution that it waits for; the decision takes it from there."""
        await self._engine.command(workflow_uuid(view.workflow.id), LaunchNow(view.task.ordinal))

    async def terminate(self, view: TaskView) -> Answer:
        """TERMINATE_WORKFLOW: end executions; those that have ended stay as they are."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        given = values.get("workflowId")
        ids = [str(one) for one in (given if isinstance(given, list) else [given]) if one]
        if not ids:
            return _refused("workflowId: expected an id, or a list of ids")
        reason = values.get("terminationReason")
        command = Terminate(
            None if reason is None else str(reason),
            failure_workflow=values.get("triggerFailureWorkflow") is True,
        )
        ended: list[str] = []
        for one in ids:
            try:
                await self._engine.command(one, command)
            except NotFound as error:
                return Answer(TaskStatus.FAILED, {"terminatedWorkflows": ended}, error.message)
            except BatonError as error:
                if error.retryable:
                    raise
                # It is completed: nothing is left to end.
                continue
            ended.append(one)
        return Answer(TaskStatus.COMPLETED, {"terminatedWorkflows": ended})

    async def update_task(self, view: TaskView) -> Answer:
        """UPDATE_TASK: report a task by its id, or by its workflow and reference."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        status = _STATUSES.get(str(values.get("taskStatus")))
        if status is None:
            return _refused(f"taskStatus: expected one of {', '.join(_STATUSES)}")
        output = values.get("taskOutput") or {}
        if not isinstance(output, dict):
            return _refused("taskOutput: expected a map")
        try:
            return await self._engine.request(lambda t: _update(t, view, values, status, output))
        except BatonError as error:
            if error.retryable:
                raise
            return Answer(TaskStatus.FAILED, reason=error.message)

    async def get_workflow(self, view: TaskView) -> Answer:
        """GET_WORKFLOW: an execution as the task's output."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        try:
            found = await self._engine.execution(str(values.get("id")))
        except NotFound as error:
            return Answer(TaskStatus.FAILED, reason=error.message)
        tasks = found.tasks if values.get("includeTasks") is True else []
        whole = self._encoder.workflow(found.workflow, found.pinned, tasks)
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
        return Answer(TaskStatus.COMPLETED, document)


def _update(
    transaction: Transaction,
    view: TaskView,
    values: JsonObject,
    status: TaskStatus,
    output: JsonObject,
) -> Answer:
    workflow_id, ordinal = _target(transaction, view, values)
    transaction.decide(
        workflow_id,
        UpdateTask(
            ordinal, status, msgspec.json.encode(output), merge=values.get("mergeOutput") is True
        ),
    )
    return Answer(
        TaskStatus.COMPLETED,
        {"updatedTaskId": task_uuid(workflow_id, ordinal), "taskOutput": output},
    )


def _target(transaction: Transaction, view: TaskView, values: JsonObject) -> tuple[bytes, int]:
    task_id = values.get("taskId")
    if task_id:
        parsed = parse_uuid(str(task_id))
        if parsed is None or parsed[1] not in transaction.snapshot(parsed[0]).tasks:
            raise NotFound(f"No such task found by id: {task_id}")
        return parsed
    given = values.get("workflowId") or workflow_uuid(view.workflow.id)
    workflow_id = parse_workflow_id(str(given))
    snapshot = transaction.snapshot(workflow_id)
    ref = str(values.get("taskRefName") or "")
    task = snapshot.meant(ref)
    if task is None:
        raise NotFound(f"No task with reference name {ref} in workflow {given}")
    return workflow_id, task.ordinal


def _refused(reason: str) -> Answer:
    return Answer(TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=reason)
