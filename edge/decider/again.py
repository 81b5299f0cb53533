"""Records that have ended and are under way once more, each under its own number.

Which of them go on, and why, is said by those who ask.
"""

from __future__ import annotations

import msgspec

from edge.decider import policies
from edge.decider.draft import Draft, Lap, Visit
from edge.decider.flow import schedule
from edge.decider.operators import operator_for
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import EMPTY, Task, TaskStatus

COME_TO = frozenset(
    {
        "SWITCH",
        "DECISION",
        "FORK_JOIN",
        "FORK_JOIN_DYNAMIC",
        "DO_WHILE",
        "DYNAMIC",
        "INLINE",
        "LAMBDA",
        "SET_VARIABLE",
        "TERMINATE",
        "START_WORKFLOW",
        "EVENT",
        "NOOP",
        "WAIT",
        "JSON_JQ_TRANSFORM",
        "EXCLUSIVE_JOIN",
        "PULL_WORKFLOW_MESSAGES",
    }
)
"""Kinds that are run by coming to their step: they come to it once more, with a new record."""


def again(draft: Draft, task: Task, *, attempt: int) -> None:
    """Let a task that failed, or was cancelled, run again beside one that was asked for.

    No record of its end is left, as none is in Conductor: whoever looks for the task finds one.
    """
    if task.kind in COME_TO:
        come_again(draft, task, draft.step(task), posted=None, attempt=attempt)
    else:
        reset(draft, draft.change(task, attempt=attempt), task_input=None)


def come_again(
    draft: Draft, task: Task, step: WorkflowTask, *, posted: JsonObject | None, attempt: int
) -> None:
    """Take the record away and let the flow arrive at its step."""
    lap, brought = Lap.around(task), task.step is not None
    draft.drop([task.ordinal])
    schedule(draft, Visit(step, lap, brought=brought, posted=posted, attempt=attempt))
    anew = draft.snapshot.find(task.ref)
    if anew is not None and task.retried_from:
        # Who takes it away takes its earlier attempts away, too.
        draft.change(anew, retried_from=task.retried_from)


def reset(draft: Draft, task: Task, *, task_input: bytes | None) -> None:
    """Let a task run again in the same record."""
    operator = operator_for(task.kind)
    queued = task.queue is not None
    if task_input is not None and task.kind == "SUB_WORKFLOW":
        task_input = _of_child(draft, task, task_input)
    changed = draft.change(
        task,
        status=TaskStatus.SCHEDULED if queued else TaskStatus.IN_PROGRESS,
        input=task.input if task_input is None else task_input,
        output=EMPTY,
        reason=None,
        scheduled_ms=draft.now_ms,
        started_ms=0 if queued else draft.now_ms,
        ended_ms=0,
        updated_ms=draft.now_ms,
        deliver_ms=0,
        start_delay_s=0,
        callback_after_s=0,
        polls=0,
        worker=None,
        retried=False,
        executed=False,
        child=b"",
    )
    draft.requeue(changed)
    due_ms = policies.next_deadline_ms(draft.step(task), changed, draft.jumps)
    draft.change(changed, due_ms=due_ms)
    if operator.launch is not None:
        draft.calls.append(operator.launch(draft, draft.snapshot.tasks[task.ordinal]))


def _of_child(draft: Draft, task: Task, task_input: bytes) -> bytes:
    """What is posted for a SUB_WORKFLOW: its child's input, or fields of the task's own input."""
    own = draft.snapshot.parsed(task.ordinal, "input")
    posted = msgspec.json.decode(task_input)
    is_own = "workflowInput" in posted or "subWorkflowName" in posted
    return msgspec.json.encode({**own, **(posted if is_own else {"workflowInput": posted})})
