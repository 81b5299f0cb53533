"""Schemas of inputs and outputs: what is said of a payload that does not fulfil its own.

Whether it does is answered from outside; what follows from that stands where the payload comes in.
"""

from __future__ import annotations

import msgspec

from edge.decider.outside import Fault, Outside
from edge.model.definitions import JsonObject, SchemaRef, TaskDefinition, WorkflowDefinition
from edge.model.errors import FieldError, ValidationFailed

_MAX_REASON = 500
"""Characters of a reason, as everywhere."""


def refuse_input(outside: Outside, definition: WorkflowDefinition, values: JsonObject) -> None:
    """Refuse to start a workflow whose input is not as its definition wants it.

    Raises:
        ValidationFailed: it is not; every fault is listed.
    """
    schema = definition.input_schema
    if schema is None or not definition.enforce_schema:
        return
    faults = outside.faults(schema, values)
    if faults:
        raise ValidationFailed([FieldError(_place("input", at), why) for at, why in faults])


def output_fault(
    outside: Outside, definition: WorkflowDefinition, output: JsonObject
) -> str | None:
    """Why a workflow's output is not as its definition wants it; None = it is."""
    schema = definition.output_schema
    if schema is None or not definition.enforce_schema:
        return None
    return _reason("Workflow output", "output", schema, outside.faults(schema, output))


def task_input_fault(outside: Outside, settings: TaskDefinition, values: JsonObject) -> str | None:
    """Why a task's input is not as its definition wants it; None = it is."""
    schema = settings.input_schema
    if schema is None or not settings.enforce_schema:
        return None
    return _reason("Task input", "inputData", schema, outside.faults(schema, values))


def task_output_fault(outside: Outside, settings: TaskDefinition, output: bytes) -> str | None:
    """Why a task's output is not as its definition wants it; None = it is."""
    schema = settings.output_schema
    if schema is None or not settings.enforce_schema:
        return None
    faults = outside.faults(schema, msgspec.json.decode(output))
    return _reason("Task output", "outputData", schema, faults)


def _reason(noun: str, root: str, schema: SchemaRef, faults: list[Fault]) -> str | None:
    if not faults:
        return None
    name = f" {schema.name}" if schema.name else ""
    told = "; ".join(f"{_place(root, at)}: {why}" for at, why in faults)
    reason = f"{noun} does not match the schema{name}: {told}"
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 3]}..."


def _place(root: str, at: str) -> str:
    if not at:
        return root
    return f"{root}{at}" if at.startswith("[") else f"{root}.{at}"
