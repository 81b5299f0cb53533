"""YIELD: waits until somebody signals.

No signal is known here: it comes as the result of the task.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import TaskStatus


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    draft.add(visit, TaskStatus.IN_PROGRESS)


OPERATOR = Operator(_schedule)
