"""How a workflow moves: what a finished record leads to, and how the whole comes to its end.

No task type's own rules stand here; those are in ``operators``.
"""

from __future__ import annotations

import msgspec

from edge.decider import policies
from edge.decider.draft import Draft, Ending, FlowBroken, Visit
from edge.decider.java_text import java_text
from edge.decider.operators import operator_for
from edge.model.definitions import WorkflowTask
from edge.model.executions import Task, TaskStatus, WorkflowStatus

_MAX_STEPS = 1_000_000
"""Records that one decision may finish. A decision that has not come to rest by then is circling,
which no definition can cause; the limit turns such a fault into an error."""


def schedule(draft: Draft, visit: Visit) -> None:
    """Create the records of a step, unless it is under way or done already."""
    if visit.replaces is None and draft.snapshot.find(visit.ref) is not None:
        return
    operator_for(visit.step.type).schedule(draft, visit, schedule)


def run_agenda(draft: Draft, *, limit: int = _MAX_STEPS) -> None:
    """Draw the consequences of all finished records, until nothing is left or the end is clear."""
    for _ in range(limit):
        if draft.ending is not None or not draft.agenda:
            break
        if draft.snapshot.workflow.status is WorkflowStatus.PAUSED:
            return
        _follow(draft, draft.snapshot.tasks[draft.agenda.popleft()])
    else:
        raise AssertionError("a decision does not come to rest")
    if draft.ending is None:
        _complete_if_done(draft)
    if draft.ending is not None:
        end_workflow(draft, draft.ending)


def _follow(draft: Draft, task: Task) -> None:
    """What a finished record leads to: another attempt, the end, or its successors."""
    if task.executed:
        return
    step = draft.step(task)
    if not task.status.successful:
        if _retry_or_end(draft, step, task):
            return
        task = draft.snapshot.tasks[task.ordinal]
    task = draft.change(task, executed=True)
    if not _leads_into_children(draft, task, step):
        # For a fork this is its JOIN, which it has opened already.
        following = draft.snapshot.pinned.outline.next(step.task_reference_name)
        if following is not None:
            schedule(draft, Visit(following, task.iteration))
    tell_joins(draft, draft.snapshot.joins_waiting_for(task.ref))


def tell_joins(draft: Draft, joins: list[int]) -> None:
    """Let open joins look whether they are done."""
    for join in joins:
        task = draft.snapshot.tasks[join]
        member = operator_for(task.kind).member
        assert member is not None, "only joins wait for references"
        member(draft, task)


def _leads_into_children(draft: Draft, task: Task, step: WorkflowTask) -> bool:
    """Whether the last task of a branch, not this record, leads to what follows."""
    branch = operator_for(task.kind).branch
    if branch is None or task.status is not TaskStatus.COMPLETED:
        return False
    return bool(branch(step, draft.snapshot.parsed(task.ordinal, "output")))


def _retry_or_end(draft: Draft, step: WorkflowTask, task: Task) -> bool:
    """Deal with a failure. True when the flow does not go on from this record."""
    definition = policies.settings(step)
    if policies.attempts_left(step, task):
        if not policies.total_timeout_passed(definition, task, draft.now_ms):
            new_attempt(
                draft,
                step,
                task,
                delay_s=policies.retry_delay_s(definition, task.attempt),
                jitter_ms=policies.jitter_ms(definition, draft.task_id(task.ordinal)),
            )
            return True
        elapsed = (draft.now_ms - task.first_scheduled_ms) // 1000
        draft.end(
            _ending_of(
                task,
                f"Task {draft.task_id(task.ordinal)}/{task.name} exceeded total timeout of "
                f"{definition.total_timeout_seconds} seconds (elapsed {elapsed} seconds across "
                "all attempts). No further retries will be attempted.",
            )
        )
        return True
    if step.optional:
        draft.change(task, status=TaskStatus.COMPLETED_WITH_ERRORS)
        return False
    if step.permissive:
        return False
    ending = _ending_of(task, "")
    draft.end(
        ending._replace(
            reason=f"Task {draft.task_id(task.ordinal)} failed with status: {ending.status} "
            f"and reason: '{java_text(task.reason)}'"
        )
    )
    return True


def _ending_of(task: Task, reason: str) -> Ending:
    if task.status is TaskStatus.CANCELED:
        return Ending(WorkflowStatus.TERMINATED, reason, task.ordinal)
    if task.status is TaskStatus.TIMED_OUT:
        return Ending(WorkflowStatus.TIMED_OUT, reason, task.ordinal)
    return Ending(WorkflowStatus.FAILED, reason, task.ordinal)


def new_attempt(
    draft: Draft, step: WorkflowTask, task: Task, *, delay_s: int = 0, jitter_ms: int = 0
) -> None:
    """Replace a finished record by a new one of the same step, which may be told to wait."""
    old = draft.change(task, retried=True, executed=True)
    schedule(draft, Visit(step, task.iteration, old, delay_s, jitter_ms))


def not_followed(draft: Draft) -> list[int]:
    """Ordinals of finished records whose consequences were never drawn.

    The workflow was paused or had ended when they finished.
    """
    return [
        task.ordinal
        for task in draft.snapshot.in_order()
        if task.status.terminal and not task.executed
    ]


def _complete_if_done(draft: Draft) -> None:
    snapshot = draft.snapshot
    if snapshot.workflow.status is not WorkflowStatus.RUNNING or snapshot.open:
        return
    failures = [
        f"Task {draft.task_id(task.ordinal)} failed with status: {task.status} "
        f"and reason: '{java_text(task.reason)}'"
        for task in snapshot.in_order()
        if not task.status.successful and not task.retried
    ]
    # Only permissive tasks leave a failure behind and let the flow go on.
    status = WorkflowStatus.FAILED if failures else WorkflowStatus.COMPLETED
    draft.end(Ending(status, ". ".join(failures) or None, 0))


def end_workflow(draft: Draft, ending: Ending) -> None:
    """Give the workflow its end: output, cancelled tasks, failed references."""
    draft.agenda.clear()
    output = ending.output if ending.output is not None else _output(draft, ending)
    for task in draft.snapshot.open_tasks():
        draft.change(
            task, status=TaskStatus.CANCELED, ended_ms=draft.now_ms, updated_ms=draft.now_ms
        )
    failed = [
        task
        for task in draft.snapshot.in_order()
        if task.status in (TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    ]
    draft.change_workflow(
        status=ending.status,
        reason=ending.reason,
        output=output,
        ended_ms=draft.now_ms,
        due_ms=0,
        failed_task=ending.task,
        failed_refs=list(dict.fromkeys(task.ref for task in failed)),
        failed_names=list(dict.fromkeys(task.name for task in failed)),
    )


def _output(draft: Draft, ending: Ending) -> bytes:
    """The output parameters resolved; without any, the output of the last (or failing) task."""
    snapshot = draft.snapshot
    parameters = snapshot.pinned.definition.output_parameters
    if parameters:
        return msgspec.json.encode(draft.resolve(parameters))
    if ending.task:
        return snapshot.tasks[ending.task].output
    last = max(snapshot.tasks.values(), key=lambda task: task.seq, default=None)
    return b"{}" if last is None else last.output


def fail_broken(draft: Draft, error: FlowBroken) -> None:
    """End the workflow because its definition cannot be followed."""
    end_workflow(draft, Ending(WorkflowStatus.FAILED, str(error), 0))
