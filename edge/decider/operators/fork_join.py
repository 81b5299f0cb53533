"""FORK_JOIN: goes on in all branches at once, and opens the JOIN that follows.

When the JOIN is done stands in ``join``.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Ending, Lap, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus, WorkflowStatus


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    step = visit.step
    following = draft.snapshot.outline_of(step.task_reference_name).following(
        step.task_reference_name
    )
    if following is None or following.type != "JOIN":
        reason = "Fork task definition is not followed by a join task.  Check the blueprint"
        fork = draft.add(visit, TaskStatus.FAILED, type_="FORK", name="FORK", reason=reason)
        draft.end(Ending(WorkflowStatus.FAILED, reason, fork.ordinal))
        return
    fork = draft.add(visit, TaskStatus.COMPLETED, type_="FORK", name="FORK")
    with draft.opening():
        _begin(draft, fork, schedule)
        schedule(draft, Visit(following, visit.lap))


def _begin(draft: Draft, fork: Task, schedule: Schedule) -> None:
    for branch in draft.step(fork).fork_tasks:
        # Only one that was not registered, but came with data, has branches without tasks.
        if branch:
            schedule(draft, Visit(branch[0], Lap.around(fork)))


OPERATOR = Operator(_schedule, begin=_begin)
