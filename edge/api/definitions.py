"""Posted definitions, checked with what this device knows.

No rule stands here; those are the model's.
"""

from __future__ import annotations

import asyncio
from typing import Any

from edge.api.call import Call
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.validation import parse_task_definition, parse_workflow_definition


async def checked_workflow(call: Call, document: Any) -> WorkflowDefinition:
    """A workflow definition that breaks no rule.

    Raises:
        InvalidInput: it breaks some, or is none.
    """
    house = call.house
    known = await house.engine.task_definitions()
    # A definition may hold many scripts, and they are parsed elsewhere: nobody else waits.
    return await asyncio.to_thread(
        parse_workflow_definition,
        document,
        owner_required=house.owner_required,
        check_script=house.check_script,
        supported=house.supported,
        template_of={one.name: one.input_template for one in known},
        process=house.engine.lookups.process,
    )


def checked_task(call: Call, document: Any, index: int) -> TaskDefinition:
    """A task definition that breaks no rule.

    Raises:
        InvalidInput: it breaks some, or is none.
    """
    return parse_task_definition(
        document,
        owner_required=call.house.owner_required,
        path=f"registerTaskDef.taskDefinitions[{index}]",
    )
