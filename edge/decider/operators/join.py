"""JOIN: waits until all the references it names are finished, and gathers their outputs.

A member costs the same however many there are; all are looked at once, at the end.
"""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft, Lap, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed, is_true
from edge.model.definitions import JsonObject, WorkflowTask
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
    """End the JOIN if it waits for nothing any more, or if its script says so."""
    if join.status.terminal:
        return
    step = draft.step(join)
    if step.expression and step.expression.strip():
        _ask_script(draft, join, step)
        return
    if draft.snapshot.unfinished.get(join.ordinal):
        return
    members = _members(draft, join)
    status, reason = _verdict(draft, [member for _, member in members])
    draft.finish(join, status, output=_outputs(draft, members), reason=reason)


def _members(draft: Draft, join: Task) -> list[tuple[str, Task]]:
    """What it waits for, as far as it has records, under the names without suffix."""
    names = draft.snapshot.parsed(join.ordinal, "input").get("joinOn") or []
    return [
        (name, member)
        for name, ref in zip(names, join_refs(join), strict=True)
        if (member := draft.snapshot.find(ref)) is not None
    ]


def _outputs(draft: Draft, members: list[tuple[str, Task]]) -> bytes:
    return msgspec.json.encode(
        {
            name: parsed
            for name, member in members
            if (parsed := draft.snapshot.parsed(member.ordinal, "output"))
        }
    )


# A script of the author's in place of "all of them".


def _ask_script(draft: Draft, join: Task, step: WorkflowTask) -> None:
    """Let the script look at the members as they are; it says nothing while it wants to wait.

    Once all have finished nobody will ask again, so the JOIN then ends as one without a script.
    """
    members = _members(draft, join)
    scope: JsonObject = {
        **draft.input_of(Visit(step, Lap.around(join)), join.ordinal),
        "joinOn": [name for name, _ in members],
    }
    for name, member in members:
        output = draft.snapshot.parsed(member.ordinal, "output")
        scope[name] = {"status": member.status, "output": output}
    try:
        answer = draft.scripts.evaluate(step.expression or "", scope)
    except ScriptFailed as error:
        draft.finish(join, TaskStatus.FAILED, reason=str(error))
        return
    if isinstance(answer, dict) and answer.get("status"):
        _end_as_told(draft, join, answer, _outputs(draft, members))
    elif is_true(answer):
        draft.finish(join, TaskStatus.COMPLETED, output=_outputs(draft, members))
    elif not draft.snapshot.unfinished.get(join.ordinal):
        status, reason = _verdict(draft, [member for _, member in members])
        draft.finish(join, status, output=_outputs(draft, members), reason=reason)


def _end_as_told(draft: Draft, join: Task, answer: JsonObject, output: bytes) -> None:
    told = str(answer["status"])
    if told not in TaskStatus.__members__:
        wrong = f"The join script answered the status {told[:80]}, which is none of a task"
        draft.finish(join, TaskStatus.FAILED, reason=wrong)
        return
    if not TaskStatus(told).terminal:
        return
    given = answer.get("outputData")
    reason = answer.get("reasonForIncompletion")
    draft.finish(
        join,
        TaskStatus(told),
        output=msgspec.json.encode(given) if isinstance(given, dict) else output,
        reason=None if reason is None else java_text(reason),
    )


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
