"""TERMINATE: ends the workflow from inside.

What an end means for the other tasks stands in ``flow``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider.draft import Draft, Ending, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.definitions import JsonObject
from edge.model.executions import TaskStatus, WorkflowStatus

_STATUSES = {
    "COMPLETED": WorkflowStatus.COMPLETED,
    "FAILED": WorkflowStatus.FAILED,
    "TERMINATED": WorkflowStatus.TERMINATED,
}


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    status = _STATUSES.get(str(values.get("terminationStatus")))
    if status is None:
        draft.add(
            visit,
            TaskStatus.FAILED,
            values=values,
            ordinal=ordinal,
            reason="given termination status is not valid",
        )
        return
    output = _output(values.get("workflowOutput"))
    task = draft.add(visit, TaskStatus.COMPLETED, values=values, output=output, ordinal=ordinal)
    reason = values.get("terminationReason")
    draft.end(
        Ending(
            status,
            java_text(reason)
            if reason is not None
            else f"Workflow is {status} by TERMINATE task: {draft.task_id(ordinal)}",
            task.ordinal if status is not WorkflowStatus.COMPLETED else 0,
            msgspec.json.encode(output),
        )
    )


def _output(value: Any) -> JsonObject:
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"output": value}


OPERATOR = Operator(_schedule)
