"""PULL_WORKFLOW_MESSAGES: takes messages that were sent to this execution, or waits for some.

The messages are not here: whoever keeps them answers in the same transaction.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.calls import Pull
from edge.model.executions import Task, TaskStatus

KIND = "PULL_WORKFLOW_MESSAGES"

_MAX_BATCH = 100
"""Messages that one task takes at most, as in Conductor."""


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ask(draft, draft.add(visit, TaskStatus.IN_PROGRESS))


def ask(draft: Draft, task: Task) -> None:
    """Ask for what the task takes; it stays in progress while there is nothing to wait for."""
    values = draft.snapshot.parsed(task.ordinal, "input")
    wanted, blocking = values.get("batchSize"), values.get("blocking")
    number = wanted if isinstance(wanted, int | float) and not isinstance(wanted, bool) else 1
    draft.calls.append(
        Pull(
            task.ordinal,
            batch=min(max(int(number), 1), _MAX_BATCH),
            blocking=blocking if isinstance(blocking, bool) else True,
        )
    )


OPERATOR = Operator(_schedule, ask)
