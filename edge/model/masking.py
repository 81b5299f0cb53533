"""Masks: values that a definition wants nobody to see who looks at an execution.

Whoever does the work is handed them as they are; nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from edge.model.executions import Task, Workflow

MASK = "***"

ALWAYS = ("_secrets", "_masked")
"""Names whose values are never shown, in any definition."""

_HIDDEN_START = b'"_'
"""With this each of ALWAYS begins in JSON: nearly every payload is without, and is asked often."""

_MAX_DEPTH = 200
"""Maps and lists inside each other; what is deeper is not looked into, and not shown."""


def masked(payload: bytes, fields: Collection[str]) -> bytes:
    """A JSON payload with the values of these fields, and of those that are always, masked.

    Args:
        payload: an input, an output or variables, as it is stored.
        fields: names of the definition's ``maskedFields``; they are hidden wherever they stand.
    """
    if not fields and _HIDDEN_START not in payload:
        return payload
    hidden = [name for name in (*ALWAYS, *fields) if msgspec.json.encode(name) in payload]
    if not hidden:
        return payload
    return msgspec.json.encode(_hide(msgspec.json.decode(payload), frozenset(hidden), 0))


def masked_workflow(workflow: Workflow) -> Workflow:
    """The record of an execution as whoever looks at it may see it."""
    fields = workflow.masked_fields
    payloads = (workflow.input, workflow.output, workflow.variables)
    if not fields and not any(_HIDDEN_START in one for one in payloads):
        return workflow
    shown = [masked(one, fields) for one in payloads]
    return msgspec.structs.replace(workflow, input=shown[0], output=shown[1], variables=shown[2])


def masked_task(task: Task, fields: Collection[str]) -> Task:
    """The record of a task as whoever looks at it may see it."""
    if not fields and _HIDDEN_START not in task.input and _HIDDEN_START not in task.output:
        return task
    shown = masked(task.input, fields), masked(task.output, fields)
    if shown[0] is task.input and shown[1] is task.output:
        return task
    return msgspec.structs.replace(task, input=shown[0], output=shown[1])


def _hide(value: Any, hidden: frozenset[str], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return MASK
    if isinstance(value, dict):
        return {
            key: MASK if key in hidden else _hide(item, hidden, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hide(item, hidden, depth + 1) for item in value]
    return value
