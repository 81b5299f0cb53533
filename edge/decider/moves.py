"""Going back or ahead within a workflow: rerun from a task, skip, jump, another definition.

What follows for the tasks stands in ``flow``.
"""

from __future__ import annotations

import msgspec

from edge.decider.again import COME_TO, again, come_again, reset
from edge.decider.branches import Beside
from edge.decider.children import give_up_child, reopen_parent
from edge.decider.draft import Draft, Lap, Visit
from edge.decider.flow import cancel, led_into, new_attempt, schedule, tell_joins
from edge.decider.lifecycle import look_again, reopen, reopen_workflow, start
from edge.decider.operators.do_while import lap_output
from edge.model.decision import (
    Jump,
    Rerun,
    Skip,
    Upgrade,
)
from edge.model.definitions import WorkflowTask, children_of
from edge.model.errors import Conflict, IllegalState, InvalidInput
from edge.model.executions import EMPTY, Task, TaskStatus, WorkflowStatus, workflow_uuid
from edge.model.outline import Place
from edge.model.snapshot import JOINS, join_refs

# Rerun.


def rerun(draft: Draft, command: Rerun) -> None:
    """Run an ended workflow again, under the same id."""
    workflow = draft.snapshot.workflow
    if not workflow.status.terminal:
        raise Conflict(
            f"Workflow: {workflow_uuid(workflow.id)} is not in terminal state, unable to rerun."
        )
    target = draft.snapshot.tasks.get(command.ordinal)
    if command.ordinal and target is None:
        raise InvalidInput(f"Task {draft.task_id(command.ordinal)} not found")
    if command.input is not None:
        draft.change_workflow(input=command.input)
    if command.correlation_id is not None:
        draft.change_workflow(correlation_id=command.correlation_id)
    draft.change_workflow(rerun_from=workflow.id)
    if target is None:
        draft.clear_tasks()
        reopen_workflow(draft)
        reopen_parent(draft, "reran")
        start(draft)
        return
    reopen_workflow(draft)
    reopen_parent(draft, "reran")
    _rerun_from(draft, target, command.task_input)


def _rerun_from(draft: Draft, target: Task, task_input: bytes | None) -> None:
    joins: set[int] = set()
    refs = set(draft.snapshot.latest)
    # A loop that goes back to an earlier iteration comes to the later ones again.
    if target.kind != "SUB_WORKFLOW" or target.loop:
        joins = _drop_later(draft, target)
    gone = refs - draft.snapshot.latest.keys()
    _rewind_loops(draft, target)
    waiting = _reopen_others(draft, target, joins, gone)
    ends = _ends_beside(draft, target)
    if target.kind in COME_TO or target.status is TaskStatus.SKIPPED:
        # A record that was only skipped holds nothing that its task needs.
        _come_again(draft, target, task_input)
    elif target.kind in JOINS:
        reopen(draft, target)
        waiting.append(target)
    else:
        reset(draft, target, task_input=task_input)
    _follow_again(draft, gone)
    # As in a retry: the flow never goes on behind them, and their JOINs would wait for ever.
    for end in ends:
        new_attempt(draft, draft.step(end), end)
    look_again(draft, waiting)


def _follow_again(draft: Draft, gone: set[str]) -> None:
    """Let come again what was taken away with what is younger, and came of others that stay.

    A JOIN that names only some of its branches lets the flow go on beside the rest of them.
    """
    snapshot = draft.snapshot
    for task in list(snapshot.in_order()):
        if task.retried or not task.settled:
            continue
        step = draft.step(task)
        inner = led_into(draft, task, step)
        ref = step.task_reference_name
        following = inner[0] if inner else snapshot.outline_of(ref).next(ref)
        name = "" if following is None else following.task_reference_name + task.suffix
        if name in gone and snapshot.find(name) is None:
            draft.change(task, executed=False)


def _ends_beside(draft: Draft, target: Task) -> list[Task]:
    """What ended the workflow in other branches, and ends it again."""
    newest = (draft.snapshot.tasks[ordinal] for ordinal in sorted(draft.snapshot.latest.values()))
    return [
        task
        for task in newest
        if task.kind == "TERMINATE"
        and task.status is TaskStatus.COMPLETED
        and task.ordinal != target.ordinal
    ]


def _drop_later(draft: Draft, target: Task) -> set[int]:
    """Take away what came of a task; returns the JOINs that wait for it once more.

    Other branches of the forks around it did not come of it, though they are younger: nobody would
    begin them again, and nobody would begin what stands before it. The JOINs of these forks were
    opened with the branches.
    """
    beside = Beside(draft.snapshot, target)
    later = [task for task in draft.snapshot.in_order() if task.seq > target.seq]
    gone = [task for task in later if task.ordinal not in beside.joins and not beside.stays(task)]
    _drop(draft, gone, target.ref)
    return beside.joins


def _drop(draft: Draft, gone: list[Task], kept: str = "") -> None:
    """Take records away with their earlier attempts, for the next one will be the first again.

    Args:
        draft: the decision.
        gone: the records.
        kept: a reference whose earlier attempts stay.
    """
    ordinals: set[int] = set()
    for task in gone:
        ordinals.add(task.ordinal)
        earlier = 0 if task.ref == kept else task.retried_from
        while earlier in draft.snapshot.tasks:
            ordinals.add(earlier)
            earlier = draft.snapshot.tasks[earlier].retried_from
    draft.drop(sorted(ordinals))


def _come_again(draft: Draft, target: Task, task_input: bytes | None) -> None:
    """Take the record away and let the flow arrive at its step."""
    step = draft.step(target)
    place = draft.snapshot.pinned.outline.place(target.ref)
    if target.kind in JOINS and place is not None:
        # As in a jump to it: what it waits for was passed by with it.
        step = _with_members(draft, place)
        _skip_members(draft, step)
    posted = msgspec.json.decode(task_input) if task_input is not None else None
    come_again(draft, target, step, posted=posted, attempt=target.attempt)


def _rewind_loops(draft: Draft, target: Task) -> None:
    """Take the loops around a task back to the iteration that it belongs to."""
    inner = target
    while inner.loop:
        loop = draft.snapshot.tasks[inner.loop]
        output = msgspec.json.encode(lap_output(draft, loop, inner.iteration))
        loop = draft.change(loop, laps=inner.iteration)
        if loop.status.terminal:
            reopen(draft, loop)
            loop = draft.snapshot.tasks[loop.ordinal]
        inner = draft.change(loop, output=output)


def _reopen_others(draft: Draft, target: Task, joins: set[int], gone: set[str]) -> list[Task]:
    """Let what had failed, or was cancelled, beside the target go on; returns who waits.

    The JOINs wait in any case: what followed them is gone, and comes again with their end. Others
    wait if what they wait for comes again, not if they had ended without it.
    """
    snapshot = draft.snapshot
    waiting: list[Task] = []
    for task in [snapshot.tasks[ordinal] for ordinal in sorted(snapshot.latest.values())]:
        passed_by = task.status is TaskStatus.SKIPPED and task.ordinal not in joins
        if task.ordinal == target.ordinal or passed_by:
            continue
        if task.kind in JOINS:
            comes = {*gone, target.ref}
            undone = task.ordinal in joins or not comes.isdisjoint(join_refs(task))
            if task.status.terminal and (undone or not task.status.successful):
                reopen(draft, task)
                waiting.append(task)
        elif task.kind == "DO_WHILE":
            if not task.status.successful:
                reopen(draft, task)
                waiting.append(task)
        elif not task.status.successful:
            again(draft, task, attempt=task.attempt)
    return waiting


# Skip and jump.


def skip(draft: Draft, command: Skip) -> None:
    """Count a task that the flow has not come to as done."""
    snapshot = draft.snapshot
    workflow = snapshot.workflow
    if workflow.status is not WorkflowStatus.RUNNING:
        raise IllegalState(
            f"The workflow {workflow_uuid(workflow.id)} is not running so the task referenced by "
            f"{command.ref} cannot be skipped"
        )
    place = snapshot.pinned.outline.place(command.ref)
    if place is None:
        raise IllegalState(
            f"The task referenced by {command.ref} does not exist in the WorkflowDefinition "
            f"{workflow.name}"
        )
    if snapshot.find(command.ref) is not None:
        raise IllegalState(
            f"The task referenced {command.ref} has already been processed, cannot be skipped"
        )
    _pass_by(draft, Visit(place.step), command.input, command.output)
    _skip_inside(draft, place.step)
    if place.step.type == "FORK_JOIN":
        for following in place.siblings[place.position + 1 :][:1]:
            _skip_members(draft, following)
    # One may be waiting for it alone, and the flow tells nobody of what it passes by.
    tell_joins(draft, snapshot.joins_waiting_for(command.ref))


def _skip_inside(draft: Draft, step: WorkflowTask) -> None:
    """Count as done what joins name of the steps inside a skipped one: nobody comes to these."""
    named = draft.snapshot.pinned.outline.joined()
    waiting = [] if step.type == "DO_WHILE" else children_of(step)
    while waiting:
        steps = waiting.pop()
        _skip_before(draft, [one for one in steps if one.task_reference_name in named], {})
        # No join looks into a loop from outside.
        waiting += [inner for one in steps if one.type != "DO_WHILE" for inner in children_of(one)]


def _skip_members(draft: Draft, join: WorkflowTask) -> None:
    """Count what a JOIN waits for as done: it would wait for ever for what nobody has begun."""
    members = [draft.snapshot.pinned.outline.place(ref) for ref in join.join_on]
    _skip_before(draft, [member.step for member in members if member is not None], {})


def _pass_by(draft: Draft, visit: Visit, posted: bytes, output: bytes) -> None:
    """A record that says that a step is done, though nobody did it."""
    task = draft.add(
        visit,
        TaskStatus.SKIPPED,
        values=msgspec.json.decode(posted),
        output=msgspec.json.decode(output),
        type_=visit.step.name,
    )
    # The flow goes on behind it when it comes there, not now.
    draft.agenda.remove(task.ordinal)
    draft.change(task, executed=True)


def jump(draft: Draft, command: Jump) -> None:
    """Go on from another task: what is open is given up, what lies between counts as skipped."""
    snapshot = draft.snapshot
    workflow = snapshot.workflow
    if workflow.status is not WorkflowStatus.RUNNING:
        raise Conflict(
            f"The workflow {workflow_uuid(workflow.id)} is {workflow.status}: only a RUNNING one "
            "can jump to a task"
        )
    if workflow.rate_limited:
        raise Conflict(
            f"The workflow {workflow_uuid(workflow.id)} waits for its turn: others with the rate "
            f"limit key {workflow.rate_limit_key!r} are running. Jump when it has begun"
        )
    outline = snapshot.pinned.outline
    place = outline.place(command.ref)
    if place is None:
        raise InvalidInput(
            f"The task referenced by {command.ref} does not exist in the WorkflowDefinition "
            f"{workflow.name}"
        )
    if place.parent is not None:
        raise InvalidInput(
            f"The task referenced by {command.ref} stands inside {place.parent}: jump to a task "
            "at the top level of the workflow"
        )
    _leave(draft, f"The workflow went on from {command.ref}")
    _drop_from(draft, command.ref)
    _skip_before(draft, place.siblings[: place.position], {})
    step = place.step
    if step.type in JOINS:
        step = _with_members(draft, place)
        _skip_members(draft, step)
    schedule(draft, Visit(step, posted=msgspec.json.decode(command.input)))


def _leave(draft: Draft, reason: str) -> None:
    """Give up what is open, and let nothing come of what has ended."""
    snapshot = draft.snapshot
    left = snapshot.open_tasks()
    for task in left:
        give_up_child(draft, task, reason)
        draft.change(
            task,
            status=TaskStatus.SKIPPED,
            executed=True,
            ended_ms=draft.now_ms,
            updated_ms=draft.now_ms,
        )
    for ordinal in list(snapshot.unfollowed):
        draft.change(snapshot.tasks[ordinal], executed=True)
    draft.agenda.clear()
    for task in left:
        if task.kind in JOINS:
            _pass_by_members(draft, task)


def _pass_by_members(draft: Draft, join: Task) -> None:
    """Count what a join still waited for as done: a rerun may open it again, and nobody comes."""
    lap = Lap.around(join)
    for ref in join_refs(join):
        name = ref.removesuffix(lap.suffix)
        place = draft.snapshot.outline_of(name).place(name)
        if place is not None and draft.snapshot.find(ref) is None:
            brought = draft.snapshot.pinned.outline.place(name) is None
            _pass_by(draft, Visit(place.step, lap, brought=brought), EMPTY, EMPTY)


def _drop_from(draft: Draft, ref: str) -> None:
    """Take away what a step and all that followed it have left.

    What stands before it in the definition stays, though it may be younger: a JOIN is older than
    much of what it gathers.
    """
    snapshot = draft.snapshot
    records = [task for task in snapshot.in_order() if task.ref == ref]
    if not records:
        return
    beside = Beside(snapshot, records[-1])
    later = [task for task in snapshot.in_order() if task.seq >= records[0].seq]
    _drop(draft, [task for task in later if not beside.stays(task)])


def _with_members(draft: Draft, place: Place) -> WorkflowTask:
    """A join that waits for what was begun for it, and for nobody who never comes."""
    snapshot, names = draft.snapshot, place.step.join_on
    fork = place.siblings[place.position - 1] if place.position else None
    if fork is not None and fork.type == "FORK_JOIN_DYNAMIC":
        names = []
        record = snapshot.find(fork.task_reference_name)
        if record is not None:
            names = snapshot.parsed(record.ordinal, "input").get("forkedTasks") or []
    known = [
        name
        for name in names
        if snapshot.find(name) is not None or snapshot.pinned.outline.place(name) is not None
    ]
    return msgspec.structs.replace(place.step, join_on=known)


def _skip_before(
    draft: Draft, steps: list[WorkflowTask], outputs: dict[str, dict[str, object]]
) -> None:
    for step in steps:
        if draft.snapshot.find(step.task_reference_name) is None:
            output = outputs.get(step.task_reference_name)
            _pass_by(draft, Visit(step), EMPTY, msgspec.json.encode(output or {}))


# Another definition.


def upgrade(draft: Draft, command: Upgrade) -> None:
    """Go on by another definition, which the Snapshot has already.

    What is under way goes on where the new definition has the same reference, and is given up
    elsewhere; steps before it that have no record count as done, with the outputs that were given.
    """
    snapshot = draft.snapshot
    definition, outline = snapshot.pinned.definition, snapshot.pinned.outline
    if snapshot.workflow.status.terminal:
        raise Conflict(
            f"Workflow {workflow_uuid(snapshot.workflow.id)} has ended and cannot be upgraded"
        )
    # The Snapshot knows the definition already, and within one millisecond of the last change
    # nothing else of the record differs.
    draft.moved_before()
    if command.input is not None:
        draft.change_workflow(input=command.input)
    draft.change_workflow(
        name=definition.name, version=definition.version, pinned=snapshot.pinned.key
    )
    for task in snapshot.open_tasks():
        if outline.place(task.step_ref) is None and task.step is None:
            cancel(draft, task, "The workflow goes on by another definition")
            draft.change(snapshot.tasks[task.ordinal], executed=True, retried=True)
    kept = {_top_level(draft, task) for task in snapshot.open_tasks()}
    positions = [
        index for index, step in enumerate(definition.tasks) if step.task_reference_name in kept
    ]
    reached = [
        index
        for index, step in enumerate(definition.tasks)
        if snapshot.find(step.task_reference_name) is not None
    ]
    current = min(positions, default=max(reached, default=-1) + 1)
    _skip_before(draft, definition.tasks[:current], command.outputs)
    waits = snapshot.workflow.rate_limited
    if not positions and current < len(definition.tasks) and not waits:
        schedule(draft, Visit(definition.tasks[current]))


def _top_level(draft: Draft, task: Task) -> str:
    """The step at the top of the definition that a record stands in."""
    outline = draft.snapshot.pinned.outline
    ref = task.step_ref
    while (place := outline.place(ref)) is not None and place.parent is not None:
        ref = place.parent
    return ref
