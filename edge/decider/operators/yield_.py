"""YIELD: waits until somebody signals.

What a signal is stands in ``signals``.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import TaskStatus


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    draft.add(visit, TaskStatus.IN_PROGRESS)


OPERATOR = Operator(_schedule)
