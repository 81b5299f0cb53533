"""WAIT: until a time, for a duration, or until somebody says so.

The moment is kept with the record, so that it survives a restart.
"""

from __future__ import annotations

from typing import Any

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus
from edge.model.times import BadTime, duration_ms, until_ms

BOTH = "Both 'duration' and 'until' specified. Please provide only one input"

_MOMENT = "waitTimeout"
"""Where a record keeps its moment, among its input."""

_FOR_EVER_S = 2**31 - 1
"""What clients read as the seconds that are left, when there is no moment."""


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    # The name is the engine's own; an earlier attempt may have left its moment there.
    values.pop(_MOMENT, None)
    duration, until = _given(values.get("duration")), _given(values.get("until"))
    due_ms = 0
    try:
        if duration and until:
            raise BadTime(BOTH)
        if duration:
            due_ms = draft.now_ms + duration_ms(duration)
        elif until:
            # Zero would mean that there is no moment, and before 1970 it is long over too.
            due_ms = max(1, until_ms(until))
    except BadTime as error:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason=str(error),
        )
        return
    over = 0 < due_ms <= draft.now_ms
    task = draft.add(
        visit,
        TaskStatus.COMPLETED if over else TaskStatus.IN_PROGRESS,
        values={**values, _MOMENT: due_ms} if due_ms else values,
        ordinal=ordinal,
        due_ms=0 if over else due_ms,
    )
    wait_s = max(0, due_ms - draft.now_ms) // 1000 if due_ms else _FOR_EVER_S
    draft.change(task, callback_after_s=min(wait_s, _FOR_EVER_S))


def _given(value: Any) -> str:
    return "" if value is None else java_text(value)


def moment_ms(draft: Draft, task: Task) -> int:
    """When a wait is over; 0 = somebody has to say so.

    One for a duration is over when that has passed, however the wall clock has jumped.
    """
    values = draft.snapshot.parsed(task.ordinal, "input")
    moment = int(values.get(_MOMENT, 0))
    duration = _given(values.get("duration")) if draft.jumps else ""
    if not moment or not duration:
        return moment
    wait_ms = duration_ms(duration)
    return draft.jumps.moment_ms(moment - wait_ms, wait_ms)


def _due(draft: Draft, task: Task) -> None:
    if 0 < moment_ms(draft, task) <= draft.now_ms:
        draft.finish(task, TaskStatus.COMPLETED)


OPERATOR = Operator(_schedule, _due)
