"""DYNAMIC: a task whose name, or type, the execution's own data say.

Every type can be named; what it then does stands in its own operator.
"""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft, FlowBroken, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.definitions import (
    JsonObject,
    SubWorkflowParams,
    TaskDefinition,
    WorkflowTask,
)
from edge.model.executions import TaskStatus
from edge.model.task_rules import KNOWN_TYPES

_NEEDS_MORE = frozenset(
    {"DECISION", "SWITCH", "FORK", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "DO_WHILE", "DYNAMIC"}
    | {"EXCLUSIVE_JOIN", "SIMPLE"}
)
"""Types that cannot be told by their inputs alone: what they need stands in a definition."""


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    step = visit.step
    values = draft.input_of(visit, 0)
    name = values.get(step.dynamic_task_name_param or "")
    if name is None or name == "":
        raise FlowBroken(
            "Cannot map a dynamic task based on the parameter and input. "
            f"Parameter= {step.dynamic_task_name_param}, input= {java_text(values)}"
        )
    name = java_text(name)
    # The registered definition of the real name is what authors mean; Conductor would take the
    # placeholder's, which has neither retries nor timeouts.
    registered = draft.sources.definitions.task_definition(name)
    if name in _NEEDS_MORE and registered is None:
        # Conductor queues some of these, and no worker ever comes.
        reason = (
            f"A DYNAMIC task cannot be {name}: what such a task needs stands in a definition, not "
            "in its input. Name a task, or SUB_WORKFLOW with a workflow that holds it"
        )
        broken = TaskStatus.FAILED_WITH_TERMINAL_ERROR
        draft.add(visit, broken, values=values, reason=reason)
        return
    resolved = _resolved(step, name, values, registered)
    schedule(draft, visit._replace(step=resolved, brought=True))


def _resolved(
    step: WorkflowTask, name: str, values: JsonObject, registered: TaskDefinition | None
) -> WorkflowTask:
    """The step as one of the type, or of the worker's task, that was named."""
    system = name in KNOWN_TYPES - _NEEDS_MORE
    fields: JsonObject = {
        "type": name if system else "SIMPLE",
        "name": step.name if system else name,
        "task_definition": registered or step.task_definition,
    }
    if name == "SUB_WORKFLOW" and step.sub_workflow_param is None:
        fields["sub_workflow_param"] = _child(values)
    return msgspec.structs.replace(step, **fields)


def _child(values: JsonObject) -> SubWorkflowParams:
    version, definition = values.get("subWorkflowVersion"), values.get("subWorkflowDefinition")
    return SubWorkflowParams(
        name=java_text(values["subWorkflowName"]) if values.get("subWorkflowName") else None,
        version=version if isinstance(version, int | str) else None,
        workflow_definition=definition if isinstance(definition, dict) else None,
    )


OPERATOR = Operator(_schedule)
