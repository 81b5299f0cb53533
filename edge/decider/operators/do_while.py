"""DO_WHILE: runs its body again and again, while a condition holds or a list has items.

An iteration is over when nothing inside it can go on any more, however its steps are nested; loops
may stand inside loops. What the iterations put out is gathered from their records when somebody
asks, and written down once, at the end.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge.decider.draft import Draft, FlowBroken, Lap, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed, is_true
from edge.model.definitions import JsonObject, WorkflowTask, children_of
from edge.model.executions import Task, TaskStatus

_ITEMS = "_items"
"""Where a record keeps the list that it goes through, among its input."""


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    step = visit.step
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    items = _items(draft, step, values)
    if items is not None:
        values[_ITEMS] = items
    if not step.loop_over:
        # One that was not registered, but came with data, has been held against no rule.
        broken = TaskStatus.FAILED_WITH_TERMINAL_ERROR
        reason = "The loop has no tasks: loopOver is empty"
        draft.add(visit, broken, values=values, ordinal=ordinal, reason=reason)
        return
    loop = draft.add(visit, TaskStatus.IN_PROGRESS, values=values, ordinal=ordinal)
    if items == []:
        draft.finish(loop, TaskStatus.COMPLETED, output=_encode({"iteration": 0}))
        return
    # As Conductor runs it: in a fork after all branches and the JOIN have their records.
    draft.once_open(lambda: _begin_lap(draft, loop, step, 1, schedule))


def _items(draft: Draft, step: WorkflowTask, values: JsonObject) -> list[Any] | None:
    """The list to go through; None = the loop has a condition alone."""
    if step.items is not None:
        given = draft.resolve(step.items)
    elif _ITEMS in values:
        given = values[_ITEMS]
    elif "items" in step.input_parameters:
        given = values.get("items")
    else:
        return None
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _begin_lap(
    draft: Draft, loop: Task, step: WorkflowTask, iteration: int, schedule: Schedule
) -> None:
    before, output = loop, _encode(lap_output(draft, loop, iteration))
    loop = draft.change(loop, laps=iteration, output=output, updated_ms=draft.now_ms)
    try:
        schedule(draft, Visit(step.loop_over[0], Lap.of(loop, iteration)))
    except FlowBroken:
        # A retry of the workflow begins this one, not the one after it.
        draft.change(loop, laps=before.laps, output=before.output)
        raise


def lap_output(draft: Draft, loop: Task, iteration: int) -> JsonObject:
    """What a loop that runs keeps in its record: where it is."""
    output: JsonObject = {"iteration": iteration}
    items = draft.snapshot.parsed(loop.ordinal, "input").get(_ITEMS)
    if items is not None and iteration <= len(items):
        item = items[iteration - 1]
        # Conductor's names, and the one that Orkes gives the item.
        output |= {"loopIndex": iteration - 1, "loopItem": item, "item": item}
    return output


def _lap_done(draft: Draft, loop: Task, schedule: Schedule) -> None:
    """Nothing inside can go on: begin another iteration, or end."""
    step = draft.step(loop)
    records = draft.snapshot.laps.get(loop.ordinal, {}).get(loop.laps, {})
    failed = [
        task
        for ordinal in records.values()
        if not (task := draft.snapshot.tasks[ordinal]).status.successful
    ]
    if failed:
        # Only what is permissive fails and lets the loop come here.
        _finish(draft, loop, TaskStatus.FAILED, f"{failed[0].reason or ''} ")
        return
    _forget_laps(draft, loop, step)
    try:
        again = _goes_on(draft, loop, step)
    except ScriptFailed as error:
        reason = f"Unable to evaluate condition {step.loop_condition}, exception {error}"
        _finish(draft, loop, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason)
        return
    if again:
        _begin_lap(draft, loop, step, loop.laps + 1, schedule)
    else:
        _finish(draft, loop, TaskStatus.COMPLETED, None)


def _goes_on(draft: Draft, loop: Task, step: WorkflowTask) -> bool:
    items = draft.snapshot.parsed(loop.ordinal, "input").get(_ITEMS)
    condition = step.loop_condition
    if condition is None or not condition.strip():
        return items is not None and loop.laps < len(items)
    scope = _scope(draft, loop, step)
    if step.evaluator_type == "value-param":
        holds = is_true(scope.get(condition))
    else:
        holds = is_true(draft.scripts.evaluate(condition, scope))
    return holds and (items is None or loop.laps < len(items))


def _scope(draft: Draft, loop: Task, step: WorkflowTask) -> JsonObject:
    """What a condition sees: the inputs as they are now, the loop's output, and the body's."""
    snapshot, ref = draft.snapshot, step.task_reference_name
    scope = draft.input_of(Visit(step, Lap.around(loop)), loop.ordinal)
    if _asks_only_for_the_count(step.loop_condition or "", ref):
        # All outputs of a long loop are too much to hand to a script that counts.
        output: JsonObject = msgspec.json.decode(loop.output)
    else:
        output = snapshot.parsed(loop.ordinal, "output")
    scope[ref] = output
    for name in _refs_in(step.loop_over):
        task = snapshot.find_named(name)
        if task is not None:
            scope[name] = snapshot.parsed(task.ordinal, "output")
    for name in ("loopIndex", "loopItem"):
        if name in output:
            scope[name] = output[name]
    return scope


def _asks_only_for_the_count(condition: str, ref: str) -> bool:
    name = re.escape(ref)
    count = rf"""{name}(?:['"]\])?(?:\.iteration\b|\[['"]iteration['"]\])"""
    return len(re.findall(name, condition)) == len(re.findall(count, condition))


def _refs_in(steps: list[WorkflowTask]) -> list[str]:
    """The references of steps and of all that stands inside them."""
    found: list[str] = []
    waiting = list(steps)
    while waiting:
        step = waiting.pop()
        found.append(step.task_reference_name)
        waiting += [inner for steps in children_of(step) for inner in steps]
    return found


def _forget_laps(draft: Draft, loop: Task, step: WorkflowTask) -> None:
    """Take away the records of iterations that are older than the author wants to keep."""
    keep = step.input_parameters.get("keepLastN")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        return
    laps = draft.snapshot.laps.get(loop.ordinal, {})
    for iteration in [one for one in laps if one <= loop.laps - keep]:
        draft.drop(_records_of(draft, loop.ordinal, iteration))


def _records_of(draft: Draft, loop: int, iteration: int) -> list[int]:
    """All records of an iteration, earlier attempts and inner loops included."""
    found: list[int] = []
    waiting = [(loop, iteration)]
    while waiting:
        place = waiting.pop()
        for ordinal in draft.snapshot.members(*place):
            found.append(ordinal)
            waiting += [(ordinal, lap) for lap in draft.snapshot.laps.get(ordinal, {})]
    return found


def _finish(draft: Draft, loop: Task, status: TaskStatus, reason: str | None) -> None:
    draft.finish(loop, status, output=sealed_output(draft, loop), reason=reason)


def sealed_output(draft: Draft, loop: Task) -> bytes:
    """The output of a loop that ends: from here on its record holds all of it."""
    return _encode(draft.snapshot.parsed(loop.ordinal, "output"))


def _encode(output: JsonObject) -> bytes:
    return msgspec.json.encode(output)


OPERATOR = Operator(_schedule, lap=_lap_done)
