"""System tasks with a side effect, such as HTTP: scheduled here, run by a handler of the daemon.

Nothing is sent from here.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.reuse import schedule_or_reuse


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    schedule_or_reuse(draft, visit, queue=visit.step.type)


OPERATOR = Operator(_schedule)
