"""How a workflow moves: what a finished record leads to, and how the whole comes to its end.

No task type's own rules stand here; those are in ``operators``.
"""

from __future__ import annotations

import contextlib

import msgspec

from edge.decider import children, policies, reuse
from edge.decider.draft import Draft, Ending, FlowBroken, Lap, Visit
from edge.decider.java_text import java_text
from edge.decider.operators import operator_for
from edge.decider.operators.do_while import sealed_output
from edge.decider.schemas import output_fault, task_input_fault
from edge.model.definitions import WorkflowTask
from edge.model.executions import EMPTY, Task, TaskStatus, WorkflowStatus, workflow_uuid
from edge.model.snapshot import JOINS

STEPS_AT_ONCE = 500
"""Records whose consequences one decision draws. The rest follows in the next one, at once but
behind whatever else waits for the disk: a loop that never ends holds up nobody, and can be
terminated."""

_WAITING = JOINS | {"DO_WHILE"}
"""Kinds whose open records go on only when others do."""

TOO_DEEP = "The values of the workflow are nested too deeply"
"""Why one fails whose data put inside each other are more than JSON can be read back from."""


def schedule(draft: Draft, visit: Visit) -> None:
    """Create the records of a step, unless it is under way or done already.

    Steps that are to be skipped are passed by.
    """
    while visit.replaces is None and (known := draft.snapshot.find(visit.ref)) is not None:
        ref = visit.step.task_reference_name
        following = draft.snapshot.outline_of(ref).next(ref)
        if known.status is not TaskStatus.SKIPPED or following is None:
            return
        visit = Visit(following, visit.lap)
    if draft.snapshot.pinned.outline.place(visit.step.task_reference_name) is None:
        visit = visit._replace(brought=True)
    if _input_refused(draft, visit):
        return
    operator_for(visit.step.type).schedule(draft, visit, schedule)


def _input_refused(draft: Draft, visit: Visit) -> bool:
    """Fail a step whose input its schema refuses, before it does anything."""
    settings = policies.settings(visit.step)
    if settings.input_schema is None or not settings.enforce_schema:
        return False
    values = draft.input_of(visit, draft.next_ordinal)
    fault = task_input_fault(draft.outside, settings, values)
    if fault is None:
        return False
    draft.add(visit, TaskStatus.FAILED_WITH_TERMINAL_ERROR, values=values, reason=fault)
    return True


def run_agenda(draft: Draft, *, limit: int = STEPS_AT_ONCE) -> None:
    """Draw the consequences of all finished records, until nothing is left or the end is clear."""
    if not draft.agenda and draft.snapshot.workflow.status is WorkflowStatus.RUNNING:
        # What an earlier decision has left to a later one may be left to this one.
        draft.agenda.extend(not_followed(draft))
    for _ in range(limit):
        if not draft.agenda:
            _tell_who_waits_in_vain(draft)
        if draft.ending is not None or not draft.agenda:
            break
        workflow = draft.snapshot.workflow
        if workflow.status is WorkflowStatus.PAUSED or workflow.rate_limited:
            return
        task = draft.snapshot.tasks.get(draft.agenda.popleft())
        # A loop that keeps its last iterations only may have taken the record away.
        if task is not None:
            _follow_or_stay(draft, task)
    if draft.agenda and draft.ending is None:
        draft.change_workflow(due_ms=draft.now_ms)
        return
    if draft.ending is None:
        _complete_if_done(draft)
    if draft.ending is not None:
        end_workflow(draft, draft.ending)


def _follow_or_stay(draft: Draft, task: Task) -> None:
    """Follow a record; where the flow breaks, a retry of the workflow comes from here once more.

    Raises:
        FlowBroken, RecursionError: it has broken.
    """
    try:
        _follow(draft, task)
    except (FlowBroken, RecursionError):
        draft.change(draft.snapshot.tasks[task.ordinal], executed=False)
        raise


def _follow(draft: Draft, task: Task) -> None:
    """What a finished record leads to: another attempt, the end, or its successors."""
    if task.executed:
        return
    step = draft.step(task)
    if not task.status.successful:
        if _retry_or_end(draft, step, task):
            return
        task = draft.snapshot.tasks[task.ordinal]
    elif step.cache_config is not None:
        reuse.keep(draft, step, task)
    task = draft.change(task, executed=True)
    begin = operator_for(task.kind).begin
    if begin is not None and task.status is TaskStatus.COMPLETED:
        begin(draft, task, schedule)
    inner = led_into(draft, task, step)
    ref = step.task_reference_name
    # What a record has begun itself, such as the JOIN of a fork, is not begun again.
    following = inner[0] if inner else draft.snapshot.outline_of(ref).next(ref)
    if following is not None:
        schedule(draft, Visit(following, Lap.around(task)))
    tell_joins(draft, draft.snapshot.joins_waiting_for(task.ref))
    if task.loop:
        tell_loop(draft, task.loop)


def tell_loop(draft: Draft, loop: int) -> None:
    """Let an open loop look whether its iteration is done."""
    if draft.snapshot.unsettled.get(loop):
        return
    task = draft.snapshot.tasks[loop]
    operator = operator_for(task.kind)
    if not task.status.terminal and operator.lap is not None:
        operator.lap(draft, task, schedule)


def tell_joins(draft: Draft, joins: list[int]) -> None:
    """Let open joins look whether they are done."""
    for join in joins:
        task = draft.snapshot.tasks[join]
        member = operator_for(task.kind).member
        assert member is not None, "only joins wait for references"
        member(draft, task)


def _tell_who_waits_in_vain(draft: Draft) -> None:
    """Let open joins know that nobody will come, when nothing is open but what waits for others."""
    snapshot = draft.snapshot
    if draft.ending is not None or snapshot.workflow.status is not WorkflowStatus.RUNNING:
        return
    # Mostly the first of them is a task that somebody works on.
    if not all(snapshot.tasks[ordinal].kind in _WAITING for ordinal in snapshot.open):
        return
    for task in draft.snapshot.open_tasks():
        alone = operator_for(task.kind).alone
        if alone is not None:
            alone(draft, task)


def led_into(draft: Draft, task: Task, step: WorkflowTask) -> list[WorkflowTask]:
    """The steps of the branch whose last task, not this record, leads to what follows."""
    branch = operator_for(task.kind).branch
    if branch is None or task.status is not TaskStatus.COMPLETED:
        return []
    return branch(step, draft.snapshot.parsed(task.ordinal, "output"))


def _retry_or_end(draft: Draft, step: WorkflowTask, task: Task) -> bool:
    """Deal with a failure. True when the flow does not go on from this record."""
    definition = policies.settings(step)
    if policies.attempts_left(step, task):
        if not policies.total_timeout_passed(definition, task, draft.now_ms, draft.jumps):
            new_attempt(
                draft,
                step,
                task,
                delay_s=policies.retry_delay_s(definition, task.attempt),
                jitter_ms=policies.jitter_ms(definition, draft.task_id(task.ordinal)),
            )
            return True
        elapsed = draft.passed_s(task.first_scheduled_ms)
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
    brought = task.step is not None
    schedule(draft, Visit(step, Lap.around(task), old, delay_s, jitter_ms, brought))


def not_followed(draft: Draft) -> list[int]:
    """Ordinals of finished records whose consequences were never drawn.

    The workflow was paused or had ended when they finished.
    """
    tasks = draft.snapshot.tasks
    return sorted(draft.snapshot.unfollowed, key=lambda ordinal: tasks[ordinal].seq)


def _complete_if_done(draft: Draft) -> None:
    snapshot = draft.snapshot
    workflow = snapshot.workflow
    if workflow.status is not WorkflowStatus.RUNNING or workflow.rate_limited or snapshot.open:
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
    """Give the workflow its end: output, cancelled tasks, failed references, and who is told."""
    draft.agenda.clear()
    ending, output = _with_output(draft, ending)
    reason = java_text(ending.reason)
    for task in draft.snapshot.open_tasks():
        cancel(draft, task, f"Parent workflow has been terminated with reason: {reason}")
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
        rate_limited=False,
        failed_task=ending.task,
        failed_refs=list(dict.fromkeys(task.ref for task in failed)),
        failed_names=list(dict.fromkeys(task.name for task in failed)),
    )
    if ending.failure_workflow and ending.status is not WorkflowStatus.COMPLETED:
        children.launch_failure_workflow(draft)
    children.tell_parent(draft)


def cancel(draft: Draft, task: Task, reason: str) -> None:
    """Give a task up, and the execution that it has started."""
    children.give_up_child(draft, task, reason)
    output = task.output
    if task.kind == "DO_WHILE":
        # Where its iterations' outputs nest too deeply to stand in one, the record says less.
        with contextlib.suppress(RecursionError):
            output = sealed_output(draft, task)
    fields = {} if output is task.output else {"output": output}
    draft.change(
        task, status=TaskStatus.CANCELED, ended_ms=draft.now_ms, updated_ms=draft.now_ms, **fields
    )


def _with_output(draft: Draft, ending: Ending) -> tuple[Ending, bytes]:
    """The end and its output; none is so deep that an execution could not be brought to its end."""
    try:
        output = ending.output if ending.output is not None else _output(draft, ending)
        return _judged(draft, ending, output)
    except RecursionError:
        if ending.status is WorkflowStatus.COMPLETED:
            ending = ending._replace(status=WorkflowStatus.FAILED, reason=TOO_DEEP)
        return ending, EMPTY


def _judged(draft: Draft, ending: Ending, output: bytes) -> tuple[Ending, bytes]:
    """The end and its output, when the output is held to its limit and to its schema."""
    fault = None
    if len(output) > draft.outside.limits.workflow_most:
        fault, output = too_large(draft, len(output)), EMPTY
    elif ending.status is WorkflowStatus.COMPLETED:
        definition = draft.snapshot.pinned.definition
        fault = output_fault(draft.outside, definition, msgspec.json.decode(output))
    if fault is None or ending.status is not WorkflowStatus.COMPLETED:
        return ending, output
    return ending._replace(status=WorkflowStatus.FAILED, reason=fault), output


def too_large(draft: Draft, size: int) -> str:
    """What Conductor says of a workflow's payload that exceeds its limit."""
    return (
        f"The payload size: {size} of workflow: {workflow_uuid(draft.snapshot.workflow.id)} is "
        f"greater than the permissible limit: {draft.outside.limits.workflow_most} bytes"
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
