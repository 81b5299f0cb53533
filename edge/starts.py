"""Hand-overs that are to be told: those of steps with an onStart event.

All other hand-overs are leases in memory and are not written.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.model.decision import Started
from edge.model.requests import TaskView
from edge.model.snapshot import step_of
from edge.transactions import Transaction


def are_plain(views: Iterable[TaskView]) -> bool:
    """Whether tasks can go to their worker as they are, as nearly all can."""
    for view in views:
        if view.fault is not None or view.pinned.announces or view.task.step is not None:
            return False
        if view.revealed is not None:
            # Time has passed since it was taken.
            return False
    return True


def to_be_told(views: Iterable[TaskView]) -> list[TaskView]:
    """The tasks whose steps want their start published."""
    return [view for view in views if _wants_start(view)]


def _wants_start(view: TaskView) -> bool:
    if not view.pinned.announces and view.task.step is None:
        return False
    step = step_of(view.task) or view.pinned.step(view.task)
    return step is not None and any("onStart" in states for states in step.on_state_change)


def note(transaction: Transaction, views: Iterable[TaskView]) -> None:
    """Write that workers hold these tasks now."""
    for view in views:
        command = Started(view.task.ordinal, view.task.started_ms)
        transaction.decide(view.workflow.id, command)
