"""Steps of a definition that a worker does, and to which nothing is attached but their input.

No record of an execution is looked at here.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.model.definitions import WorkflowTask
from edge.model.outline import Outline


class Straight(NamedTuple):
    """Such a step."""

    step: WorkflowTask
    queue: str
    """Where its tasks wait, when the workflow chooses no domain."""
    following: str | None
    """The reference of what follows it; None = nothing does."""


def straight_steps(outline: Outline) -> dict[str, Straight]:
    """Those of a definition, by reference."""
    found = {}
    for step in outline.steps():
        if _is_straight(step):
            ref = step.task_reference_name
            following = outline.next(ref)
            found[ref] = Straight(
                step,
                queue_of(step, step.name),
                None if following is None else following.task_reference_name,
            )
    return found


def queue_of(step: WorkflowTask, task_type: str) -> str:
    """The queue of a step's tasks without a domain: ``type[@namespace][-isolation group]``."""
    definition, queue = step.task_definition, task_type
    if definition is not None and definition.execution_name_space:
        queue += f"@{definition.execution_name_space}"
    if definition is not None and definition.isolation_group_id:
        queue += f"-{definition.isolation_group_id}"
    return queue


def _is_straight(step: WorkflowTask) -> bool:
    definition = step.task_definition
    if definition is not None and (
        definition.input_schema is not None
        or definition.output_schema is not None
        or definition.input_template
    ):
        return False
    return (
        step.type == "SIMPLE"
        and step.cache_config is None
        and not step.start_delay
        and not step.on_state_change
    )
