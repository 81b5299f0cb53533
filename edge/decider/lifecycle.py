"""What is done to a whole workflow: start, pause, resume, terminate, retry, restart, variables.

What follows for its tasks stands in ``flow``; going back or ahead within it in ``moves``.
"""

from __future__ import annotations

import msgspec

from edge.decider import policies
from edge.decider.again import again
from edge.decider.children import STATUS_OF_CHILD, log_change, reopen_parent
from edge.decider.draft import Draft, Ending, Visit
from edge.decider.flow import (
    new_attempt,
    not_followed,
    schedule,
    tell_joins,
    tell_loop,
    too_large,
)
from edge.decider.schemas import refuse_input
from edge.decider.updates import watch_again
from edge.model.calls import Tell
from edge.model.decision import (
    Admit,
    ChildEnded,
    ChildReopened,
    Retry,
    Terminate,
    UpdateVariables,
)
from edge.model.definitions import JsonObject
from edge.model.errors import Conflict, IllegalState, InvalidInput, NotFound
from edge.model.executions import EMPTY, Task, TaskStatus, WorkflowStatus, workflow_uuid
from edge.model.snapshot import JOINS, join_refs

_RETRYABLE = frozenset(
    {
        TaskStatus.FAILED,
        TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        TaskStatus.TIMED_OUT,
        TaskStatus.CANCELED,
    }
)

_REOPENED_IN_PLACE = JOINS | {"DO_WHILE"}
"""Kinds whose record waits for others: it goes on waiting, and is no attempt of its own."""

_END_OF_CHILD = {task: child for child, task in STATUS_OF_CHILD.items()}

_OWN_OUTPUT = frozenset({"iteration", "loopIndex", "loopItem", "item"})
"""What a loop that runs keeps in its record; the rest is gathered from its iterations."""


def begin(draft: Draft) -> None:
    """Start a new execution."""
    draft.begin()
    start(draft)


def start(draft: Draft) -> None:
    """Schedule the first task, unless the execution has to wait for its turn.

    Raises:
        ValidationFailed: its input is not as its definition wants it.
    """
    snapshot = draft.snapshot
    size, most = len(snapshot.workflow.input), draft.outside.limits.workflow_most
    if size > most and snapshot.workflow.input_path is None:
        draft.change_workflow(input=EMPTY)
        draft.end(Ending(WorkflowStatus.FAILED, too_large(draft, size), 0))
        return
    refuse_input(draft.outside, snapshot.pinned.definition, snapshot.parsed(0, "input"))
    draft.change_workflow(due_ms=_deadline(draft))
    if not draft.snapshot.workflow.rate_limited:
        schedule(draft, Visit(draft.snapshot.pinned.definition.tasks[0]))


def admit(draft: Draft, command: Admit) -> None:
    """Let an execution begin, or begin again, that had to wait for its turn."""
    if not draft.snapshot.workflow.waits:
        return
    if command.later:
        draft.change_workflow(due_ms=draft.now_ms)
        return
    draft.change_workflow(rate_limited=False)
    if draft.snapshot.tasks:
        _try_again(draft)
    schedule(draft, Visit(draft.snapshot.pinned.definition.tasks[0]))


def _deadline(draft: Draft) -> int:
    snapshot = draft.snapshot
    return policies.workflow_deadline_ms(snapshot.pinned.definition, snapshot.workflow, draft.jumps)


def pause(draft: Draft) -> None:
    """Stop scheduling; tasks that are queued or running go on and their results are kept."""
    status = draft.snapshot.workflow.status
    if status.terminal:
        raise Conflict(f"Workflow {_id(draft)} has ended, status cannot be updated.")
    if status is WorkflowStatus.RUNNING:
        draft.change_workflow(status=WorkflowStatus.PAUSED)


def resume(draft: Draft) -> None:
    """Go on: whatever became ready during the pause is scheduled now."""
    status = draft.snapshot.workflow.status
    if status is not WorkflowStatus.PAUSED:
        raise IllegalState(
            f"The workflow {_id(draft)} is not PAUSED so cannot resume. Current status is {status}"
        )
    draft.change_workflow(status=WorkflowStatus.RUNNING, last_retried_ms=draft.now_ms)
    draft.change_workflow(due_ms=_deadline(draft))
    watch_again(draft)
    draft.agenda.extend(not_followed(draft))


def terminate(draft: Draft, command: Terminate) -> None:
    """End the workflow from outside."""
    status = draft.snapshot.workflow.status
    if command.by_parent and status.terminal:
        return
    if status is WorkflowStatus.COMPLETED:
        raise Conflict("Cannot terminate a COMPLETED workflow.")
    if status is not WorkflowStatus.TERMINATED:
        draft.end(
            Ending(
                WorkflowStatus.TERMINATED,
                command.reason,
                0,
                failure_workflow=command.failure_workflow,
            )
        )


def update_variables(draft: Draft, command: UpdateVariables) -> None:
    """Lay values over the variables, or add lists to the lists that are there."""
    workflow = draft.snapshot.workflow
    if workflow.status.terminal:
        raise Conflict(f"Workflow {_id(draft)} has ended, its variables cannot be updated.")
    values: JsonObject = msgspec.json.decode(command.values)
    stored = draft.snapshot.parsed(0, "variables")
    if command.append:
        for key, value in values.items():
            if isinstance(stored.get(key), list):
                values[key] = stored[key] + (value if isinstance(value, list) else [value])
    variables = msgspec.json.encode({**stored, **values})
    most = draft.outside.limits.variables_most
    if len(variables) > most:
        raise InvalidInput(
            f"The variables payload size: {len(variables)} of workflow: {_id(draft)} is greater "
            f"than the permissible limit: {most // 1024} kilobytes"
        )
    draft.change_workflow(variables=variables)


def reset_callbacks(draft: Draft) -> None:
    """Hand out at once what waits for a delay that its worker asked for."""
    status = draft.snapshot.workflow.status
    if status.terminal:
        raise Conflict(f"Workflow is in terminal state. Status = {status}")
    for task in draft.snapshot.open_tasks():
        if task.status is TaskStatus.SCHEDULED and task.callback_after_s > 0:
            draft.requeue(draft.change(task, callback_after_s=0, deliver_ms=0))


def reopen_workflow(draft: Draft, *, created_ms: int | None = None) -> None:
    """Let an ended workflow run again; the time that it may take begins anew."""
    workflow = draft.snapshot.workflow
    draft.change_workflow(
        status=WorkflowStatus.RUNNING,
        output=EMPTY,
        reason=None,
        created_ms=workflow.created_ms if created_ms is None else created_ms,
        last_retried_ms=draft.now_ms if created_ms is None else 0,
        ended_ms=0,
        failed_task=0,
        failed_refs=[],
        failed_names=[],
    )
    draft.change_workflow(due_ms=_deadline(draft))


def restart(draft: Draft) -> None:
    """Run the workflow again under the same id; input and variables stay."""
    workflow = draft.snapshot.workflow
    if not workflow.status.terminal:
        raise Conflict(f"Workflow: {_id(draft)} is not in terminal state, unable to restart.")
    definition = draft.snapshot.pinned.definition
    if workflow.status is WorkflowStatus.COMPLETED and not definition.restartable:
        raise NotFound(f"Workflow: {_id(draft)} is non-restartable")
    draft.clear_tasks()
    reopen_workflow(draft, created_ms=draft.now_ms)
    reopen_parent(draft, "restarted")
    start(draft)


def retry(draft: Draft) -> None:
    """Give every reference whose newest record failed another attempt."""
    snapshot = draft.snapshot
    status = snapshot.workflow.status
    if not status.terminal:
        raise NotFound(f"Workflow is still running.  status={status}")
    if not snapshot.tasks:
        raise Conflict("Workflow has not started yet")
    failed = [task for task in _newest(draft) if task.status in _RETRYABLE]
    worth = [task for task in failed if task.kind not in _REOPENED_IN_PLACE]
    # A loop whose own condition failed is worth another look, too.
    broken = [task for task in failed if task.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR]
    if not worth and not broken and status is not WorkflowStatus.TIMED_OUT:
        raise Conflict(
            "There are no retryable tasks! Use restart if you want to attempt entire workflow "
            "execution again."
        )
    reopen_workflow(draft)
    reopen_parent(draft, "retried")
    if not snapshot.workflow.rate_limited:
        _try_again(draft)


def _try_again(draft: Draft) -> None:
    """Let what failed, or was cancelled, go on."""
    newest = _newest(draft)
    failed = [task for task in newest if task.status in _RETRYABLE]
    anew = [task for task in failed if task.kind not in _REOPENED_IN_PLACE]
    # What ended the workflow from inside ends it again; the flow never goes on behind it.
    ends = [task for task in newest if task.kind == "TERMINATE"]
    anew += [task for task in ends if task.status is TaskStatus.COMPLETED]
    waiting = [task for task in failed if task.kind in _REOPENED_IN_PLACE]
    for task in waiting:
        # As Conductor counts: those two were cancelled with the rest, and have not failed.
        if task.status is not TaskStatus.CANCELED or task.kind not in ("JOIN", "DO_WHILE"):
            draft.change(task, attempt=task.attempt + 1)
    _go_on(draft, [draft.snapshot.tasks[task.ordinal] for task in waiting], anew)


def _newest(draft: Draft) -> list[Task]:
    """The newest record of each reference, oldest first."""
    snapshot = draft.snapshot
    return [snapshot.tasks[ordinal] for ordinal in sorted(snapshot.latest.values())]


def _go_on(draft: Draft, waiting: list[Task], anew: list[Task]) -> None:
    """Reopen what waits for others, and give the others another attempt."""
    for task in waiting:
        reopen(draft, task)
    for task in anew:
        new_attempt(draft, draft.step(task), task)
    look_again(draft, waiting)


def look_again(draft: Draft, waiting: list[Task]) -> None:
    """Draw the consequences that an end had cut off: of members, of iterations, of records."""
    # All that they wait for may have finished before the workflow was cancelled around them.
    tell_joins(draft, [task.ordinal for task in waiting if task.kind in JOINS])
    draft.agenda.extend(not_followed(draft))
    for task in waiting:
        if task.kind == "DO_WHILE" and task.ordinal in draft.snapshot.open:
            tell_loop(draft, task.ordinal)


def reopen(draft: Draft, task: Task) -> None:
    """Let a JOIN or a loop wait again, in the same record."""
    output = EMPTY
    if task.kind == "DO_WHILE":
        stored = msgspec.json.decode(task.output)
        output = msgspec.json.encode({k: v for k, v in stored.items() if k in _OWN_OUTPUT})
    reopened = draft.change(
        task,
        status=TaskStatus.IN_PROGRESS,
        started_ms=draft.now_ms,
        ended_ms=0,
        updated_ms=draft.now_ms,
        executed=False,
        output=output,
        reason=None,
    )
    due_ms = policies.next_deadline_ms(draft.step(task), reopened, draft.jumps)
    draft.change(reopened, due_ms=due_ms)
    if task.kind in JOINS:
        draft.snapshot.await_refs(task.ordinal, join_refs(reopened))


def child_reopened(draft: Draft, command: ChildReopened) -> None:
    """A child runs again after its end: so does its task, and all that stands around it."""
    snapshot = draft.snapshot
    task = snapshot.tasks.get(command.ordinal)
    if task is None or task.child != command.child or task.retried:
        return
    if draft.step(task).optional:
        # Whatever becomes of the child, nobody waits for it.
        return
    log_change(draft, task, command.how)
    if task.status.terminal:
        task = _under_way(draft, task)
    if snapshot.workflow.status.terminal:
        _revive(draft, task)
        reopen_parent(draft, command.how)


def _revive(draft: Draft, child: Task) -> None:
    """Let an ended workflow run again because of a child; what ended with it goes on, too."""
    reopen_workflow(draft)
    failed = [task for task in _newest(draft) if task.status in _RETRYABLE and task is not child]
    for task in failed:
        if task.kind == "SUB_WORKFLOW" and task.child:
            _take_up(draft, task)
        elif task.kind not in _REOPENED_IN_PLACE and task.status is TaskStatus.CANCELED:
            again(draft, task, attempt=task.attempt + 1)
    _go_on(draft, [task for task in failed if task.kind in _REOPENED_IN_PLACE], [])


def _take_up(draft: Draft, task: Task) -> None:
    """Let the child of a task that has ended try again.

    The task is under way before the child says so: a JOIN looks at it in this very decision.
    """
    # Where that is refused, the task has ended as it had before.
    ended = _END_OF_CHILD.get(task.status, WorkflowStatus.FAILED)
    title, reason = workflow_uuid(task.child), "It cannot be retried"
    lost = ChildEnded(task.ordinal, task.child, title, ended, task.output, reason)
    _under_way(draft, task)
    draft.calls.append(Tell(task.child, Retry(), lost))


def _under_way(draft: Draft, task: Task) -> Task:
    return draft.change(
        task,
        status=TaskStatus.IN_PROGRESS,
        executed=False,
        ended_ms=0,
        updated_ms=draft.now_ms,
        reason=None,
    )


def _id(draft: Draft) -> str:
    return workflow_uuid(draft.snapshot.workflow.id)
