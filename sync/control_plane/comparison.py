"""Compares two executions: step by step what differs in status, duration, input and output.

Pure: two views go in, differences come out. Steps are matched by their reference name, iteration and
attempt, which are the same in two runs of one definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from sync.control_plane.views import ExecutionView, TaskView

DIFFERENCES_LIMIT = 200
"""Of one payload; there are as many as are listed, or more."""
_DEPTH_LIMIT = 20
_TEXT_LIMIT = 2_000


class Difference(msgspec.Struct, frozen=True):
    """One place in which two payloads differ."""

    path: str
    """Such as ``$.detections[0].label``."""
    left: Any
    right: Any
    kind: str
    """``changed``, ``added`` (only the right one has it) or ``removed``."""


class Side(msgspec.Struct, frozen=True, rename="camel"):
    """A step in one of the two runs."""

    task_id: str
    status: str
    duration_ms: int
    """From its start to its end; -1 = it has not ended, or never started."""
    waited_ms: int
    """From when it was scheduled to its start; -1 = it never started."""
    worker: str | None
    reason: str | None


class Step(msgspec.Struct, frozen=True, rename="camel"):
    """One step, side by side."""

    ref: str
    type: str
    iteration: int
    attempt: int
    left: Side | None
    """None = the left run has no such step."""
    right: Side | None
    same_status: bool
    duration_change_ms: int
    """Right less left; 0 where one of them has none."""
    input: list[Difference]
    output: list[Difference]
    differs: bool


class Comparison(msgspec.Struct, frozen=True, rename="camel"):
    """Two runs, side by side."""

    same_workflow: bool
    same_version: bool
    same_status: bool
    left_duration_ms: int
    """-1 = it has not ended."""
    right_duration_ms: int
    input: list[Difference]
    output: list[Difference]
    steps: list[Step]
    """In the order of the left run; what only the right one has stands where it was reached."""
    first_difference: str | None
    """Reference name of the first step that differs in more than its duration; None = none does."""


def compare(left: ExecutionView, right: ExecutionView) -> Comparison:
    """What differs between two runs."""
    steps = [_step(key, one, other) for key, one, other in _pairs(left.tasks, right.tasks)]
    return Comparison(
        same_workflow=left.row.name == right.row.name,
        same_version=(left.row.name, left.row.version) == (right.row.name, right.row.version),
        same_status=left.row.status == right.row.status,
        left_duration_ms=_length(left.row.created_ms, left.row.ended_ms),
        right_duration_ms=_length(right.row.created_ms, right.row.ended_ms),
        input=differences(left.input, right.input),
        output=differences(left.output, right.output),
        steps=steps,
        first_difference=next((step.ref for step in steps if step.differs), None),
    )


_Key = tuple[str, int, int]


def _pairs(
    left: list[TaskView], right: list[TaskView]
) -> Iterator[tuple[_Key, TaskView | None, TaskView | None]]:
    ours = {_key(task): task for task in left}
    theirs = {_key(task): task for task in right}
    waiting = [_key(task) for task in right]
    told: set[_Key] = set()
    for key, task in ours.items():
        if key in theirs:
            # What the right run reached before this step and the left one never did.
            while waiting and waiting[0] != key:
                other = waiting.pop(0)
                if other not in ours and other not in told:
                    told.add(other)
                    yield other, None, theirs[other]
            if waiting:
                waiting.pop(0)
        yield key, task, theirs.get(key)
    for other in waiting:
        if other not in ours and other not in told:
            yield other, None, theirs[other]


def _key(task: TaskView) -> _Key:
    return task.ref, task.iteration, task.attempt


def _step(key: _Key, left: TaskView | None, right: TaskView | None) -> Step:
    one = left or right
    assert one is not None
    ours, theirs = _side(left), _side(right)
    both = ours is not None and theirs is not None
    given = differences(left.input, right.input) if left and right else []
    made = differences(left.output, right.output) if left and right else []
    same = ours is not None and theirs is not None and ours.status == theirs.status
    change = 0
    if ours and theirs and ours.duration_ms >= 0 and theirs.duration_ms >= 0:
        change = theirs.duration_ms - ours.duration_ms
    return Step(
        ref=key[0],
        type=one.type,
        iteration=key[1],
        attempt=key[2],
        left=ours,
        right=theirs,
        same_status=same,
        duration_change_ms=change,
        input=given,
        output=made,
        differs=not both or not same or bool(given or made),
    )


def _side(task: TaskView | None) -> Side | None:
    if task is None:
        return None
    return Side(
        task_id=task.task_id,
        status=task.status,
        duration_ms=_length(task.started_ms, task.ended_ms),
        waited_ms=_length(task.scheduled_ms, task.started_ms),
        worker=task.worker,
        reason=task.reason,
    )


def _length(begin_ms: int, end_ms: int) -> int:
    return max(0, end_ms - begin_ms) if begin_ms and end_ms else -1


def differences(left: Any, right: Any) -> list[Difference]:
    """The places in which two payloads differ, as far as there is room for them."""
    found: list[Difference] = []
    for one in _differences("$", left, right, 0):
        found.append(one)
        if len(found) >= DIFFERENCES_LIMIT:
            break
    return found


def _differences(path: str, left: Any, right: Any, depth: int) -> Iterator[Difference]:
    # 1 and True are equal to Python and are not the same JSON.
    if left == right and type(left) is type(right) and not isinstance(left, dict | list):
        return
    if depth < _DEPTH_LIMIT and isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys([*left, *right]):
            below = f"{path}.{key}"
            if key not in right:
                yield Difference(below, _short(left[key]), None, "removed")
            elif key not in left:
                yield Difference(below, None, _short(right[key]), "added")
            else:
                yield from _differences(below, left[key], right[key], depth + 1)
        return
    if depth < _DEPTH_LIMIT and isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            below = f"{path}[{index}]"
            if index >= len(right):
                yield Difference(below, _short(left[index]), None, "removed")
            elif index >= len(left):
                yield Difference(below, None, _short(right[index]), "added")
            else:
                yield from _differences(below, left[index], right[index], depth + 1)
        return
    if left != right or type(left) is not type(right):
        yield Difference(path, _short(left), _short(right), "changed")


def _short(value: Any) -> Any:
    """A value as far as there is room for it."""
    text = msgspec.json.encode(value)
    if len(text) <= _TEXT_LIMIT:
        return value
    return f"{text[:_TEXT_LIMIT].decode(errors='replace')}... ({len(text)} bytes)"
