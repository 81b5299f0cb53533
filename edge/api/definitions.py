"""Posted definitions, checked with what this device knows.

No rule stands here; those are the model's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from edge.api.call import Call
from edge.model.definitions import (
    JsonObject,
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    children_of,
)
from edge.model.errors import FieldError, ValidationFailed
from edge.model.validation import parse_task_definition, parse_workflow_definition

Templates = dict[str, JsonObject]
"""Input templates of the registered tasks, by their names."""


async def input_templates(call: Call) -> Templates:
    """What definitions are held against; one reading does for a whole list of them."""
    known = await call.house.engine.task_definitions()
    return {one.name: one.input_template for one in known}


async def checked_workflow(
    call: Call, document: Any, templates: Templates | None = None
) -> WorkflowDefinition:
    """A workflow definition that breaks no rule.

    Args:
        call: the request.
        document: as it was posted.
        templates: of the registered tasks; None = they are read here.

    Raises:
        InvalidInput: it breaks some, or is none.
    """
    house = call.house
    if templates is None:
        templates = await input_templates(call)
    # A definition may hold many scripts, and they are parsed elsewhere: nobody else waits.
    definition = await asyncio.to_thread(
        parse_workflow_definition,
        document,
        owner_required=house.owner_required,
        check_script=house.check_script,
        template_of=templates,
        process=house.engine.lookups.process,
    )
    faults = list(_schema_faults(call, definition, "workflowDef"))
    for step in _steps(definition.tasks):
        if step.task_definition is not None:
            path = f"{step.task_reference_name}.taskDefinition"
            faults += _schema_faults(call, step.task_definition, path)
    if faults:
        raise ValidationFailed(faults)
    return definition


def checked_task(call: Call, document: Any, index: int) -> TaskDefinition:
    """A task definition that breaks no rule.

    Raises:
        InvalidInput: it breaks some, or is none.
    """
    path = f"registerTaskDef.taskDefinitions[{index}]"
    definition = parse_task_definition(
        document, owner_required=call.house.owner_required, path=path
    )
    faults = list(_schema_faults(call, definition, path))
    if faults:
        raise ValidationFailed(faults)
    return definition


def _schema_faults(
    call: Call, holder: WorkflowDefinition | TaskDefinition, path: str
) -> Iterator[FieldError]:
    """What is wrong with the schemas that a definition holds itself; a name may be known later."""
    for field, schema in (
        ("inputSchema", holder.input_schema),
        ("outputSchema", holder.output_schema),
    ):
        if schema is not None and schema.type == "JSON" and schema.data is not None:
            fault = call.house.engine.lookups.schemas.fault(schema.data)
            if fault is not None:
                yield FieldError(f"{path}.{field}.data", fault)


def _steps(tasks: list[WorkflowTask]) -> Iterator[WorkflowTask]:
    """Every step; how deep they stand in each other has been checked already."""
    for task in tasks:
        yield task
        for inner in children_of(task):
            yield from _steps(inner)
