"""JOIN: waits until all the references it names are finished, and gathers their outputs.

A member costs the same however many there are; all are looked at once, at the end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus
from edge.model.snapshot import join_refs


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    task = draft.add(
        visit,
        TaskStatus.IN_PROGRESS,
        values={"joinOn": visit.step.join_on},
        type_="JOIN",
        name="JOIN",
    )
    draft.snapshot.await_refs(task.ordinal, join_refs(task))
    _member_finished(draft, task)


def _member_finished(draft: Draft, join: Task) -> None:
    """End the JOIN if it waits for nothing any more."""
    if join.status.terminal or draft.snapshot.unfinished.get(join.ordinal):
        return
    names = draft.snapshot.parsed(join.ordinal, "input").get("joinOn") or []
    members = [
        (name, member)
        for name, ref in zip(names, join_refs(join), strict=True)
        if (member := draft.snapshot.find(ref)) is not None
    ]
    output: dict[str, Any] = {
        name: parsed
        for name, member in members
        if (parsed := draft.snapshot.parsed(member.ordinal, "output"))
    }
    status, reason = _verdict(draft, [member for _, member in members])

    draft.finish(join, status, output=msgspec.json.encode(output), reason=reason)


def _verdict(draft: Draft, members: list[Task]) -> tuple[TaskStatus, str | None]:
    """Status and reason of a JOIN whose members have all finished.

    A failure that is neither optional nor permissive has ended the workflow before this is asked.
    """
    failed = [member for member in members if not member.status.successful]
    if failed:
        canceled = all(member.status is TaskStatus.CANCELED for member in failed)
        reason = " ".join(member.reason or "" for member in failed)
        return (TaskStatus.CANCELED if canceled else TaskStatus.FAILED), reason
    lenient = [m for m in members if m.status is TaskStatus.COMPLETED_WITH_ERRORS]
    if lenient:
        reason = " ".join(f"{member.name}/{draft.task_id(member.ordinal)}" for member in lenient)
        return TaskStatus.COMPLETED_WITH_ERRORS, f"{reason} completed with errors"
    return TaskStatus.COMPLETED, None


OPERATOR = Operator(_schedule, member=_member_finished)
