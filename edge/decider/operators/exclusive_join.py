"""EXCLUSIVE_JOIN: takes over the output of the one branch that was taken.

The first reference that has a record decides, then the first of the default ones. One that was
skipped decides only where no other can any more.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus
from edge.model.snapshot import join_refs


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    step = visit.step
    values: dict[str, list[str]] = {"joinOn": step.join_on}
    if step.default_exclusive_join_task:
        values["defaultExclusiveJoinTask"] = step.default_exclusive_join_task
    task = draft.add(
        visit,
        TaskStatus.IN_PROGRESS,
        values=values,
        type_="EXCLUSIVE_JOIN",
        name="EXCLUSIVE_JOIN",
    )
    draft.snapshot.await_refs(task.ordinal, join_refs(task))
    _member_finished(draft, task)


def _member_finished(draft: Draft, join: Task) -> None:
    """End the join if the branch that was taken has finished, or if it waits for nobody."""
    if join.status.terminal:
        return
    if not join_refs(join):
        draft.finish(join, TaskStatus.COMPLETED)
        return
    taken = _taken(draft, join)
    if taken is None or not (taken.status.terminal and taken.executed):
        return
    if taken.status.successful:
        draft.finish(join, TaskStatus.COMPLETED, output=taken.output)
    else:
        # Only a permissive task can fail and let the flow come here.
        draft.finish(join, TaskStatus.FAILED, reason=taken.reason)


def _taken(draft: Draft, join: Task) -> Task | None:
    """The record that decides; None while the flow has reached none of the references."""
    refs = join_refs(join)
    found = [task for ref in refs if (task := draft.snapshot.find(ref)) is not None]
    for task in found:
        if task.status is not TaskStatus.SKIPPED:
            return task
    # When all were skipped, Conductor waits for ever.
    return found[0] if len(found) == len(refs) else None


def _nobody_comes(draft: Draft, join: Task) -> None:
    """Only joins are open: what was skipped is the branch that was taken."""
    for ref in join_refs(join):
        task = draft.snapshot.find(ref)
        if task is not None and task.status is TaskStatus.SKIPPED:
            draft.finish(join, TaskStatus.COMPLETED, output=task.output)
            return


OPERATOR = Operator(_schedule, member=_member_finished, alone=_nobody_comes)
