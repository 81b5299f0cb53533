"""What a definition may say, and yet looks like a slip of whoever wrote it.

A daemon takes all of it, as Conductor does: any type may be a worker's, any field another
release's. So nothing is refused here, and no daemon is asked.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

import msgspec

from edge.model.definitions import TaskDefinition, WorkflowDefinition, WorkflowTask
from edge.model.task_rules import KNOWN_TYPES

_DYNAMIC = frozenset({"FORK_JOIN_DYNAMIC", "DYNAMIC"})

_MOST = 20
"""Slips that are told of one definition; who has made more has meant something else."""


def slips(document: dict[str, Any], steps: list[dict[str, Any]]) -> list[str]:
    """A sentence for each thing that was probably meant otherwise.

    Args:
        document: a definition as its author wrote it.
        steps: all steps of it; none = it is a task definition.
    """
    kind = WorkflowDefinition if "tasks" in document else TaskDefinition
    found = _misspelt(document, kind, "")
    refs = {step.get("taskReferenceName") for step in steps}
    # Branches that an execution puts together itself have names that stand nowhere.
    is_static = not any(step.get("type") in _DYNAMIC for step in steps)
    for step in steps:
        where = f"step {step.get('taskReferenceName') or step.get('name')}: "
        found += _misspelt(step, WorkflowTask, where)
        step_type = step.get("type")
        if isinstance(step_type, str) and step_type not in KNOWN_TYPES:
            meant = _meant(step_type.upper(), KNOWN_TYPES)
            if meant:
                found.append(
                    f"{where}the type {step_type} is no built-in one, so a worker has to poll for "
                    f"it; did you mean {meant}?"
                )
        awaited = step.get("joinOn")
        missing = [ref for ref in awaited if ref not in refs] if isinstance(awaited, list) else []
        if is_static and missing:
            found.append(f"{where}it waits for ever for {missing[0]}, which no step is called")
    return found[:_MOST]


def _misspelt(document: dict[str, Any], kind: type[msgspec.Struct], where: str) -> list[str]:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    found = []
    for key in document:
        meant = "" if key in known else _meant(key, known - document.keys())
        if meant:
            found.append(f"{where}nobody reads the field {key}; did you mean {meant}?")
    return found


def _meant(text: str, known: Collection[str]) -> str:
    """The one of these that a text is nearly; empty = it is something of its own."""
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.8)
    return close[0] if close else ""
