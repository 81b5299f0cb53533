"""Executions around and inside this one: what is asked of them, and what their news mean here.

How they are started and told stands elsewhere; a decision only says so.
"""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft
from edge.model.calls import MAX_DEPTH, Launch, Tell
from edge.model.decision import Adopted, ChildEnded, ChildReopened, LogLine, Terminate
from edge.model.executions import Task, TaskStatus, WorkflowStatus, task_uuid, workflow_uuid

STATUS_OF_CHILD = {
    WorkflowStatus.COMPLETED: TaskStatus.COMPLETED,
    WorkflowStatus.FAILED: TaskStatus.FAILED,
    WorkflowStatus.TIMED_OUT: TaskStatus.TIMED_OUT,
    WorkflowStatus.TERMINATED: TaskStatus.CANCELED,
}
"""What the end of a child makes of the task that started it."""

FAILURE_WORKFLOW = "conductor.failure_workflow"
"""Where a failed execution's output names the one that was started for it."""


def tell_parent(draft: Draft) -> None:
    """Let the execution around this one know of the end."""
    workflow = draft.snapshot.workflow
    if workflow.parent:
        end = ChildEnded(
            workflow.parent_ordinal,
            workflow.id,
            f"{workflow.name}.{workflow.version}/{workflow_uuid(workflow.id)}",
            workflow.status,
            workflow.output,
            workflow.reason,
        )
        draft.calls.append(Tell(workflow.parent_id, end))


def adopted(draft: Draft, command: Adopted) -> None:
    """Somebody waits for the end from now on; if it has come already, it is told at once."""
    draft.change_workflow(parent=command.parent)
    if draft.snapshot.workflow.status.terminal:
        tell_parent(draft)


def reopen_parent(draft: Draft, how: str) -> None:
    """Let the execution around this one know that it runs again."""
    workflow = draft.snapshot.workflow
    if workflow.parent:
        reopened = ChildReopened(workflow.parent_ordinal, workflow.id, how)
        draft.calls.append(Tell(workflow.parent_id, reopened))


def give_up_child(draft: Draft, task: Task, reason: str) -> None:
    """End the execution that a task has started, if it has."""
    if task.child and task.kind == "SUB_WORKFLOW":
        draft.calls.append(
            Tell(task.child, Terminate(reason, by_parent=draft.snapshot.workflow.id))
        )


def child_ended(draft: Draft, command: ChildEnded) -> None:
    """The end of a child is the end of its task, unless another child has taken its place."""
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is None or task.child != command.child or task.status.terminal:
        return
    status = STATUS_OF_CHILD[command.status]
    output = {
        **msgspec.json.decode(command.output),
        "subWorkflowId": workflow_uuid(command.child),
    }
    reason = None
    if status is not TaskStatus.COMPLETED:
        reason = f"Sub workflow {command.title} failure reason: {command.reason}"
    draft.finish(task, status, output=msgspec.json.encode(output), reason=reason)


def launch_failure_workflow(draft: Draft) -> None:
    """Start what the definition names for the case that it fails."""
    workflow, definition = draft.snapshot.workflow, draft.snapshot.pinned.definition
    if not definition.failure_workflow:
        return
    name = _failure_name(draft, definition.failure_workflow)
    if not name:
        failure_not_launched(draft, f"{definition.failure_workflow} names no workflow")
        return
    if workflow.depth >= MAX_DEPTH:
        failure_not_launched(draft, f"{MAX_DEPTH} executions stand around this one already")
        return
    values = {
        **draft.snapshot.parsed(0, "input"),
        "workflowId": workflow_uuid(workflow.id),
        "reason": workflow.reason,
        "failureStatus": workflow.status,
    }
    if workflow.failed_task:
        values["failureTaskId"] = task_uuid(workflow.id, workflow.failed_task)
    draft.calls.append(
        Launch(
            ordinal=0,
            name=name,
            version=definition.failure_workflow_version,
            input=msgspec.json.encode(values),
            correlation_id=workflow.correlation_id,
            task_to_domain=workflow.task_to_domain,
            depth=workflow.depth + 1,
            explains=True,
        )
    )


def _failure_name(draft: Draft, given: str) -> str:
    """The name itself, or for ``$workflow.input.handler`` what the input says."""
    if not given.startswith("$"):
        return given
    # Conductor takes the third part as it stands; the braces that authors write are taken off.
    parts = given.strip("${} ").split(".")
    value = draft.snapshot.parsed(0, "input").get(parts[2]) if len(parts) > 2 else None
    return value if isinstance(value, str) else ""


def failure_launched(draft: Draft, workflow_id: bytes) -> None:
    """The failure workflow has been started: the output names it."""
    _note(draft, workflow_uuid(workflow_id))


def failure_not_launched(draft: Draft, reason: str) -> None:
    """A failure workflow that cannot be started never keeps the execution from ending."""
    name = draft.snapshot.pinned.definition.failure_workflow
    _note(draft, f"Error workflow {name} failed to start.  reason: {reason}")


def _note(draft: Draft, text: str) -> None:
    output = {**draft.snapshot.parsed(0, "output"), FAILURE_WORKFLOW: text}
    draft.change_workflow(output=msgspec.json.encode(output))


def log_change(draft: Draft, task: Task, how: str) -> None:
    """Leave a line with the task whose child was taken up again."""
    line = f"Sub workflow {workflow_uuid(task.child)} {how}."
    draft.logs.append(LogLine(task.ordinal, line, draft.now_ms))
