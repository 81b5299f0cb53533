"""SUB_WORKFLOW: another execution, whose end is the end of this task.

It is started in the transaction that schedules the task. How its end comes back stands in
``children``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider import policies
from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.calls import MAX_DEPTH, Launch
from edge.model.decision import Launched
from edge.model.definitions import JsonObject, SubWorkflowParams
from edge.model.executions import Task, TaskStatus, workflow_uuid


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    param = visit.step.sub_workflow_param or SubWorkflowParams()
    given = draft.input_of(visit, ordinal)
    values = _input(draft, param, given)
    if draft.snapshot.workflow.depth >= MAX_DEPTH:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason=f"{MAX_DEPTH} executions stand around this one already: a workflow that starts "
            "itself must come to an end",
        )
        return
    if not values["subWorkflowName"] and values["subWorkflowDefinition"] is None:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason="The task names no workflow: subWorkflowParam.name resolved to nothing",
        )
        return
    task = draft.add(
        visit, TaskStatus.SCHEDULED, values=values, ordinal=ordinal, queue="SUB_WORKFLOW"
    )
    if not task.deliver_ms and not policies.held_back(visit.step):
        draft.calls.append(_launch(draft, task))


def _input(draft: Draft, param: SubWorkflowParams, given: JsonObject) -> JsonObject:
    """What Conductor's own mapper writes into such a task."""
    definition = param.workflow_definition
    if isinstance(definition, str):
        definition = draft.resolve(definition)
    if not isinstance(definition, dict):
        definition = None
    name = draft.resolve(param.name)
    if not name and definition is not None:
        name = definition.get("name")
    return {
        "subWorkflowName": name,
        "subWorkflowVersion": _number(draft.resolve(param.version)),
        "subWorkflowTaskToDomain": draft.resolve(param.task_to_domain),
        "subWorkflowDefinition": definition,
        "workflowInput": given,
        "priority": _number(draft.resolve(param.priority)),
        "idempotencyKey": draft.resolve(param.idempotency_key),
        "idempotencyStrategy": draft.resolve(param.idempotency_strategy),
    }


_LARGEST = 2**31 - 1
"""Numbers saturate here, as no record could hold some that JSON can say; no version is as large."""

_LONGEST_NUMBER = 20
"""Characters of a number's text that are read: more than the largest has."""


def _number(value: Any) -> int | None:
    """A whole number, or the text of one."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value[:_LONGEST_NUMBER]) if isinstance(value, str) else value
    except ValueError:
        return None
    return max(-_LARGEST, min(number, _LARGEST))


def _launch(draft: Draft, task: Task) -> Launch:
    workflow = draft.snapshot.workflow
    values = draft.snapshot.parsed(task.ordinal, "input")
    domains = values["subWorkflowTaskToDomain"]
    strategy = values["idempotencyStrategy"]
    key = values["idempotencyKey"]
    # A number is as good a key as its text, and a key is compared as text.
    key = None if key is None else java_text(key)
    if strategy and not key:
        key = workflow.idempotency_key
    definition = values["subWorkflowDefinition"]
    posted = values["workflowInput"] or values
    if definition is not None:
        posted = {**posted, "_systemMetadata": {"dynamic": True}}
    return Launch(
        ordinal=task.ordinal,
        name=str(values["subWorkflowName"]),
        version=values["subWorkflowVersion"] or None,
        definition=definition,
        input=msgspec.json.encode(posted),
        correlation_id=workflow.correlation_id,
        priority=values["priority"],
        task_to_domain=domains if isinstance(domains, dict) else workflow.task_to_domain,
        idempotency_key=key,
        idempotency_strategy=strategy,
        child=True,
        depth=workflow.depth + 1,
    )


def _launched(draft: Draft, task: Task, command: Launched) -> None:
    values = draft.snapshot.parsed(task.ordinal, "input")
    if values["subWorkflowVersion"] is None and values["subWorkflowDefinition"] is None:
        # Nobody had named one: which was the latest is told with the rest of the input.
        values = {**values, "subWorkflowVersion": command.version}
        task = draft.change(task, input=msgspec.json.encode(values))
    draft.change(
        task,
        status=TaskStatus.IN_PROGRESS,
        child=command.workflow_id,
        output=msgspec.json.encode({"subWorkflowId": workflow_uuid(command.workflow_id)}),
        started_ms=task.started_ms or draft.now_ms,
        updated_ms=draft.now_ms,
        deliver_ms=0,
    )


OPERATOR = Operator(_schedule, launch=_launch, launched=_launched)
