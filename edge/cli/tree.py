"""How the tasks of an execution stand in one another: branches, loops, sub-workflows.

Nothing is printed or asked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_ITERATION = re.compile(r"(__\d+)+$")
"""What a loop puts behind the reference names of its tasks."""

_MAX_DEPTH = 20
"""Levels that are shown; what lies deeper is shown at the last one."""

_MAX_CHILDREN = 500
"""Sub-workflows that are read for one tree; the rest keep their line and are not expanded."""

Child = Callable[[str], dict[str, Any] | None]


def placed(execution: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Each task with its depth, in the order in which they were scheduled."""
    parents = _parents(execution)
    tasks = sorted(execution.get("tasks", []), key=lambda task: task.get("seq", 0))
    return [(_depth(task["referenceTaskName"], parents), task) for task in tasks]


def expanded(execution: dict[str, Any], child: Child) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same with the tasks of sub-workflows below the task that started them.

    Args:
        execution: the outermost one.
        child: reads an execution by its id; None = it is gone.
    """
    left = [_MAX_CHILDREN]
    yield from _expanded(execution, child, 0, left)


def _expanded(
    execution: dict[str, Any], child: Child, indent: int, left: list[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for depth, task in placed(execution):
        here = min(indent + depth, _MAX_DEPTH)
        yield here, task
        child_id = task.get("subWorkflowId")
        if not child_id or left[0] <= 0 or here == _MAX_DEPTH:
            continue
        left[0] -= 1
        inner = child(child_id)
        if inner is not None:
            yield from _expanded(inner, child, here + 1, left)


def _parents(execution: dict[str, Any]) -> dict[str, str]:
    """By reference name, the task that a task stands in."""
    found: dict[str, str] = {}
    definition = execution.get("workflowDefinition") or {}
    waiting: list[tuple[str, Any]] = [("", definition.get("tasks"))]
    while waiting:
        parent, steps = waiting.pop()
        if steps and isinstance(steps[0], list):
            waiting += [(parent, branch) for branch in steps]
            continue
        for step in steps or []:
            ref = step["taskReferenceName"]
            if parent:
                found[ref] = parent
            inner = (step.get("defaultCase"), step.get("loopOver"), step.get("forkTasks"))
            cases = (step.get("decisionCases") or {}).values()
            waiting += [(ref, one) for one in (*inner, *cases)]
    for task in execution.get("tasks", []):
        # The branches of a dynamic fork stand in no definition; the fork's own record names them.
        forked = (task.get("inputData") or {}).get("forkedTasks")
        if task.get("taskType") == "FORK" and isinstance(forked, list):
            found.update({str(ref): task["referenceTaskName"] for ref in forked})
    return found


def _depth(ref: str, parents: dict[str, str]) -> int:
    depth = 0
    while depth < _MAX_DEPTH:
        parent = parents.get(ref) or parents.get(_ITERATION.sub("", ref))
        if parent is None:
            return depth
        depth, ref = depth + 1, parent
    return depth
