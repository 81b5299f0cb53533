"""START_WORKFLOW: another execution that goes its own way.

It is started in the transaction that completes the task, so it is started once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider import policies
from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.calls import Launch
from edge.model.coercion import converted
from edge.model.decision import Launched
from edge.model.definitions import JsonObject
from edge.model.executions import EMPTY, Task, TaskStatus, workflow_uuid


class _Request(msgspec.Struct, rename="camel"):
    """Conductor's StartWorkflowRequest, as an author writes it into the task's input."""

    name: str = ""
    version: int | None = None
    correlation_id: str | None = None
    input: JsonObject | None = None
    task_to_domain: dict[str, str] | None = None
    workflow_def: JsonObject | None = None
    priority: int | None = None
    created_by: str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: str | None = None


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    fault = _fault(values.get("startWorkflow"))
    if fault is not None:
        draft.add(visit, TaskStatus.FAILED, values=values, ordinal=ordinal, reason=fault)
        return
    task = draft.add(
        visit, TaskStatus.SCHEDULED, values=values, ordinal=ordinal, queue="START_WORKFLOW"
    )
    if not task.deliver_ms and not policies.held_back(visit.step):
        draft.calls.append(_launch(draft, task))


def _fault(request: Any) -> str | None:
    if request is None:
        return "Missing 'startWorkflow' in input data."
    try:
        parsed = converted(request, _Request)
    except msgspec.ValidationError as error:
        return f"startWorkflow validation failed. {error}"
    if not parsed.name.strip() and not (parsed.workflow_def or {}).get("name"):
        return "startWorkflow validation failed. 'name' -> Workflow name cannot be null or empty"
    if parsed.priority is not None and not 0 <= parsed.priority <= 99:
        return "startWorkflow validation failed. 'priority' -> it must be between 0 and 99"
    return None


def _launch(draft: Draft, task: Task) -> Launch:
    workflow = draft.snapshot.workflow
    request = converted(draft.snapshot.parsed(task.ordinal, "input")["startWorkflow"], _Request)
    return Launch(
        ordinal=task.ordinal,
        name=request.name or str((request.workflow_def or {}).get("name")),
        version=request.version or None,
        definition=request.workflow_def,
        input=msgspec.json.encode(request.input) if request.input else EMPTY,
        correlation_id=request.correlation_id or workflow.correlation_id,
        priority=request.priority,
        task_to_domain=request.task_to_domain or workflow.task_to_domain,
        created_by=request.created_by,
        idempotency_key=request.idempotency_key,
        idempotency_strategy=request.idempotency_strategy,
        depth=0,
    )


def _launched(draft: Draft, task: Task, command: Launched) -> None:
    draft.finish(
        task,
        TaskStatus.COMPLETED,
        output=msgspec.json.encode({"workflowId": workflow_uuid(command.workflow_id)}),
        started_ms=task.started_ms or draft.now_ms,
    )


OPERATOR = Operator(_schedule, launch=_launch, launched=_launched)
