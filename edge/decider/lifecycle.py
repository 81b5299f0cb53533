"""What is done to a whole workflow: start, pause, resume, terminate, retry, restart.

What follows for its tasks stands in ``flow``.
"""

from __future__ import annotations

from edge.decider import policies
from edge.decider.draft import Draft, Ending, Visit
from edge.decider.flow import new_attempt, not_followed, schedule, tell_joins
from edge.decider.updates import watch_again
from edge.model.decision import JOINS, Terminate, join_refs
from edge.model.errors import Conflict, IllegalState, NotFound
from edge.model.executions import EMPTY, Task, TaskStatus, WorkflowStatus, workflow_uuid

_RETRYABLE = frozenset(
    {
        TaskStatus.FAILED,
        TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        TaskStatus.TIMED_OUT,
        TaskStatus.CANCELED,
    }
)


def start(draft: Draft) -> None:
    """Schedule the first task of a new execution."""
    draft.change_workflow(due_ms=_timeout_from(draft, draft.now_ms))
    schedule(draft, Visit(draft.snapshot.pinned.definition.tasks[0]))


def _timeout_from(draft: Draft, start_ms: int) -> int:
    definition = draft.snapshot.pinned.definition
    if definition.timeout_policy != "TIME_OUT_WF" or definition.timeout_seconds <= 0:
        return 0
    return start_ms + definition.timeout_seconds * 1000


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
    draft.change_workflow(
        status=WorkflowStatus.RUNNING,
        last_retried_ms=draft.now_ms,
        due_ms=_timeout_from(draft, draft.now_ms),
    )
    watch_again(draft)
    draft.agenda.extend(not_followed(draft))


def terminate(draft: Draft, command: Terminate) -> None:
    """End the workflow from outside."""
    status = draft.snapshot.workflow.status
    if status is WorkflowStatus.COMPLETED:
        raise Conflict("Cannot terminate a COMPLETED workflow.")
    if status is not WorkflowStatus.TERMINATED:
        draft.end(Ending(WorkflowStatus.TERMINATED, command.reason, 0))


def restart(draft: Draft) -> None:
    """Run the workflow again under the same id; input and variables stay."""
    workflow = draft.snapshot.workflow
    if not workflow.status.terminal:
        raise Conflict(f"Workflow: {_id(draft)} is not in terminal state, unable to restart.")
    definition = draft.snapshot.pinned.definition
    if workflow.status is WorkflowStatus.COMPLETED and not definition.restartable:
        raise NotFound(f"Workflow: {_id(draft)} is non-restartable")
    draft.clear_tasks()
    draft.change_workflow(
        status=WorkflowStatus.RUNNING,
        output=EMPTY,
        reason=None,
        created_ms=draft.now_ms,
        last_retried_ms=0,
        ended_ms=0,
        failed_task=0,
        failed_refs=[],
        failed_names=[],
    )
    start(draft)


def retry(draft: Draft) -> None:
    """Give every reference whose newest record failed another attempt."""
    snapshot = draft.snapshot
    status = snapshot.workflow.status
    if not status.terminal:
        raise NotFound(f"Workflow is still running.  status={status}")
    if not snapshot.tasks:
        raise Conflict("Workflow has not started yet")
    newest = [snapshot.tasks[ordinal] for ordinal in sorted(snapshot.latest.values())]
    failed = [task for task in newest if task.status in _RETRYABLE]
    joins = [task for task in failed if task.kind in JOINS]
    again = [task for task in failed if task.kind not in JOINS]
    if not again and status is not WorkflowStatus.TIMED_OUT:
        raise Conflict(
            "There are no retryable tasks! Use restart if you want to attempt entire workflow "
            "execution again."
        )
    # What ended the workflow from inside ends it again; the flow never goes on behind it.
    again += [task for task in newest if task.kind == "TERMINATE" and task.status.successful]
    draft.change_workflow(
        status=WorkflowStatus.RUNNING,
        last_retried_ms=draft.now_ms,
        due_ms=_timeout_from(draft, draft.now_ms),
        reason=None,
        output=EMPTY,
        ended_ms=0,
        failed_task=0,
        failed_refs=[],
        failed_names=[],
    )
    for join in joins:
        _reopen(draft, join)
    for task in again:
        new_attempt(draft, draft.step(task), task)
    # Their members may all have finished before the workflow was cancelled around them.
    tell_joins(draft, [join.ordinal for join in joins])
    draft.agenda.extend(not_followed(draft))


def _reopen(draft: Draft, join: Task) -> None:
    """Let a JOIN wait again, in the same record."""
    reopened = draft.change(
        join,
        status=TaskStatus.IN_PROGRESS,
        attempt=join.attempt + 1,
        started_ms=draft.now_ms,
        ended_ms=0,
        updated_ms=draft.now_ms,
        executed=False,
        output=EMPTY,
        reason=None,
    )
    due_ms = policies.next_deadline_ms(draft.step(join), reopened)
    draft.change(reopened, due_ms=due_ms)
    draft.snapshot.await_refs(join.ordinal, join_refs(reopened))


def _id(draft: Draft) -> str:
    return workflow_uuid(draft.snapshot.workflow.id)
