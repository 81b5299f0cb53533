"""What becomes of a task: a worker's answer, a moment that has come, a worker that went silent.

What a finished task leads to stands in ``flow``.
"""

from __future__ import annotations

import msgspec

from edge.decider import policies
from edge.decider.children import failure_launched, failure_not_launched, give_up_child
from edge.decider.draft import Draft, Ending
from edge.decider.flow import not_followed
from edge.decider.operators import operator_for
from edge.decider.operators.wait import moment_ms
from edge.model.decision import (
    Launched,
    LaunchFailed,
    LaunchNow,
    Lease,
    LeaseExpired,
    LogLine,
    TimerDue,
    UpdateTask,
)
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.errors import NotFound
from edge.model.executions import Task, TaskStatus, WorkflowStatus


def update_task(draft: Draft, command: UpdateTask) -> None:
    """Take over what a worker, a person or an API says.

    A finished task, or any task of a finished workflow, stays as it is.
    """
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is None:
        raise NotFound(f"No such task found by id: {draft.task_id(command.ordinal)}")
    draft.logs += [LogLine(task.ordinal, line, time_ms) for line, time_ms in command.logs]
    if task.status.terminal or draft.snapshot.workflow.status.terminal:
        return
    output = command.output
    if command.merge:
        stored = draft.snapshot.parsed(task.ordinal, "output")
        output = msgspec.json.encode({**stored, **msgspec.json.decode(command.output)})
    lease = command.lease or Lease(None, draft.now_ms, task.polls)
    said: JsonObject = {
        "output": output,
        "output_path": command.output_path,
        "reason": command.reason[: policies.REASON_LIMIT] if command.reason else None,
        "worker": command.worker or lease.worker or task.worker,
        "callback_after_s": command.callback_after_s,
        "updated_ms": draft.now_ms,
        "started_ms": task.started_ms or lease.started_ms,
        "polls": lease.polls,
    }
    if command.status.terminal:
        give_up_child(draft, task, f"The task that started it was reported {command.status}")
        draft.finish(task, command.status, **said)
    elif len(output) > draft.outside.limits.task_most and command.output_path is None:
        # What is said of it, the end says, too.
        draft.finish(task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, **said)
    else:
        _keep_going(draft, draft.change(task, **said))


def _keep_going(draft: Draft, task: Task) -> None:
    """A worker's task goes back into the queue; a task of the engine's own stays in progress."""
    step = draft.step(task)
    if task.kind in policies.SYSTEM_KINDS:
        changed = draft.change(task, status=TaskStatus.IN_PROGRESS)
    else:
        wait_ms = max(0, task.callback_after_s) * 1000
        changed = draft.change(
            task,
            status=TaskStatus.SCHEDULED,
            deliver_ms=draft.now_ms + wait_ms if wait_ms else 0,
        )
        draft.requeue(changed)
    _renew_deadline(draft, step, changed, changed)


def _renew_deadline(draft: Draft, step: WorkflowTask, task: Task, seen: Task) -> None:
    """Set the next moment at which the task is looked at.

    Args:
        draft: the decision.
        step: of the task.
        task: the record.
        seen: the record as its worker sees it, if one holds it.
    """
    moments = [policies.next_deadline_ms(step, seen, draft.jumps)]
    if task.kind == "WAIT":
        moments.append(moment_ms(draft, task))
    # A moment that has passed already stays: its timer has yet to be heard.
    draft.change(task, due_ms=min((moment for moment in moments if moment), default=0))


def _with_lease(draft: Draft, task: Task, lease: Lease | None) -> Task:
    """The record with what is known of its hand-over to a worker."""
    if lease is None:
        return task
    return draft.change(
        task,
        started_ms=task.started_ms or lease.started_ms,
        worker=lease.worker or task.worker,
        polls=lease.polls,
        callback_after_s=0,
    )


def timer_due(draft: Draft, command: TimerDue) -> None:
    """A moment has come: end the wait, or time the task or the workflow out."""
    workflow = draft.snapshot.workflow
    if workflow.status.terminal:
        return
    if command.ordinal == 0:
        _workflow_due(draft)
        return
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is None or task.status.terminal:
        return
    step = draft.step(task)
    if workflow.status is WorkflowStatus.PAUSED:
        _due_in_pause(draft, task)
        return
    seen = task
    if command.lease is not None:
        seen = msgspec.structs.replace(
            task,
            status=TaskStatus.IN_PROGRESS,
            started_ms=task.started_ms or command.lease.started_ms,
        )
    reason = _limit_passed(draft, step, seen)
    if reason is None:
        _own_moment(draft, step, task, seen)
    else:
        _time_out(draft, step, _with_lease(draft, task, command.lease), reason)


def _due_in_pause(draft: Draft, task: Task) -> None:
    """A wait ends in a pause too; limits are looked at again when the workflow is resumed."""
    due = operator_for(task.kind).due
    if due is not None:
        due(draft, task)
    task = draft.snapshot.tasks[task.ordinal]
    if not task.status.terminal:
        draft.change(task, due_ms=moment_ms(draft, task) if task.kind == "WAIT" else 0)


def watch_again(draft: Draft) -> None:
    """Set the deadlines of all open tasks anew; one that has passed is due at once."""
    for task in draft.snapshot.open_tasks():
        _renew_deadline(draft, draft.step(task), task, task)


def _limit_passed(draft: Draft, step: WorkflowTask, task: Task) -> str | None:
    """What to say of the limit that a task has passed; None = it has passed none that counts."""
    definition = policies.settings(step)
    if definition.timeout_policy == "ALERT_ONLY":
        return None
    if policies.total_timeout_passed(definition, task, draft.now_ms, draft.jumps):
        elapsed = draft.passed_s(task.first_scheduled_ms)
        return (
            f"Task {draft.task_id(task.ordinal)}/{task.name} exceeded total timeout of "
            f"{definition.total_timeout_seconds} seconds (elapsed {elapsed} seconds across all "
            f"attempts including retry delays). Timeout policy: {definition.timeout_policy}"
        )
    if policies.poll_timeout_passed(definition, task, draft.now_ms, draft.jumps):
        waited = draft.passed_s(task.scheduled_ms)
        return (
            f"Task poll timed out after {waited} seconds. Poll timeout configured as "
            f"{definition.poll_timeout_seconds} seconds. Timeout policy configured to "
            f"{definition.timeout_policy}"
        )
    if policies.run_time_passed(definition, task, draft.now_ms, draft.jumps):
        return _run_time_reason(step, draft.passed_s(task.started_ms))
    return None


def _own_moment(draft: Draft, step: WorkflowTask, task: Task, seen: Task) -> None:
    """No limit has passed: the moment is the task's own, or one that does not count any more."""
    due = operator_for(task.kind).due
    if due is not None:
        due(draft, task)
    task = draft.snapshot.tasks[task.ordinal]
    if not task.status.terminal:
        _renew_deadline(draft, step, task, seen)


def _run_time_reason(step: WorkflowTask, elapsed_s: int) -> str:
    definition = policies.settings(step)
    return (
        f"Task timed out after {elapsed_s} seconds. Timeout configured as "
        f"{definition.timeout_seconds} seconds. Timeout policy configured to "
        f"{definition.timeout_policy}"
    )


def _time_out(draft: Draft, step: WorkflowTask, task: Task, reason: str) -> None:
    """End the task by the policy of its definition."""
    give_up_child(draft, task, reason)
    draft.finish(task, TaskStatus.TIMED_OUT, reason=reason)
    if policies.settings(step).timeout_policy == "TIME_OUT_WF":
        # The workflow ends at once: no retry, no optional, no permissive helps.
        draft.end(Ending(WorkflowStatus.TIMED_OUT, reason, task.ordinal))


def _workflow_due(draft: Draft) -> None:
    workflow, definition = draft.snapshot.workflow, draft.snapshot.pinned.definition
    if not workflow.due_ms or workflow.due_ms > draft.now_ms:
        return
    deadline_ms = policies.workflow_deadline_ms(definition, workflow, draft.jumps)
    if not 0 < deadline_ms <= draft.now_ms:
        # An earlier decision has left work to this one.
        draft.change_workflow(due_ms=deadline_ms)
        draft.agenda.extend(not_followed(draft))
        return
    started = workflow.last_retried_ms or workflow.created_ms
    draft.end(
        Ending(
            WorkflowStatus.TIMED_OUT,
            f"Workflow timed out after {draft.passed_s(started)} seconds. Timeout "
            f"configured as {definition.timeout_seconds} seconds. Timeout policy configured to "
            f"{definition.timeout_policy}",
            0,
        )
    )


def lease_expired(draft: Draft, command: LeaseExpired) -> None:
    """The worker that holds a task has been silent, or busy, for too long."""
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is None or task.status.terminal:
        return
    if draft.snapshot.workflow.status is not WorkflowStatus.RUNNING:
        # In a pause nobody is timed out; whoever holds the lease is asked again after it.
        return
    if command.lease.polls <= task.polls:
        # The worker has answered in the meantime; the hand-over is over.
        return
    step = draft.step(task)
    if command.whole_attempt and policies.settings(step).timeout_policy == "ALERT_ONLY":
        return
    task = _with_lease(draft, task, command.lease)
    if command.whole_attempt:
        _time_out(draft, step, task, _run_time_reason(step, command.elapsed_s))
        return
    # Silence is answered with a new attempt whatever the policy says.
    draft.finish(
        task,
        TaskStatus.TIMED_OUT,
        reason=f"responseTimeout: {policies.settings(step).response_timeout_seconds} exceeded "
        f"for the taskId: {draft.task_id(task.ordinal)} with Task Definition: {task.name}",
    )


def launch_now(draft: Draft, command: LaunchNow) -> None:
    """Ask for what a task waits for: its delay is over, or the transaction had no room before."""
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is None or task.status is not TaskStatus.SCHEDULED:
        return
    launch = operator_for(task.kind).launch
    if launch is not None and not draft.snapshot.workflow.status.terminal:
        draft.calls.append(launch(draft, task))


def launched(draft: Draft, command: Launched) -> None:
    """What a task asked for has been started."""
    if command.ordinal == 0:
        failure_launched(draft, command.workflow_id)
        return
    task = draft.snapshot.tasks[command.ordinal]
    take_over = operator_for(task.kind).launched
    if take_over is not None and not task.status.terminal:
        take_over(draft, task, command)


def launch_failed(draft: Draft, command: LaunchFailed) -> None:
    """What a task asked for cannot be started: the task has failed."""
    if command.ordinal == 0:
        failure_not_launched(draft, command.reason)
        return
    task = draft.snapshot.tasks[command.ordinal]
    if not task.status.terminal:
        draft.finish(task, TaskStatus.FAILED, reason=command.reason)
