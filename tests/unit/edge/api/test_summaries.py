"""Lines of a search result: Conductor's names, ISO times, and payloads as texts."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from edge.api import summaries
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.fields import Found, FoundTask

ID = uuid.UUID("01890a5d-ac96-774b-bcce-b30200000000")
WORKFLOW = Workflow(
    key=1, id=ID.bytes, name="order", version=3, pinned=1, status=WorkflowStatus.FAILED,
    input=b'{"a":1}', correlation_id="c", priority=4, created_ms=1_769_850_487_006,
    updated_ms=1_769_850_488_000, ended_ms=1_769_850_489_006, reason="no paper",
    failed_refs=["print", "pay"], failed_names=["printer"],
)  # fmt: skip


def _json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_an_executions_line() -> None:
    """Every field of Conductor's summary that has a value, and no other."""
    assert _json(summaries.of_workflow(Found(WORKFLOW, "agent"))) == {
        "workflowType": "order",
        "version": 3,
        "workflowId": str(ID),
        "correlationId": "c",
        "startTime": "2026-01-31T09:08:07.006Z",
        "updateTime": "2026-01-31T09:08:08.000Z",
        "endTime": "2026-01-31T09:08:09.006Z",
        "status": "FAILED",
        "input": '{"a":1}',
        "output": "{}",
        "reasonForIncompletion": "no paper",
        "executionTime": 2_000,
        "failedReferenceTaskNames": "print,pay",
        "failedTaskNames": ["printer"],
        "priority": 4,
        "taskToDomain": {},
        "parentWorkflowId": "",
        "classifier": "agent",
        "inputSize": 7,
        "outputSize": 2,
    }


def test_a_tasks_line() -> None:
    """Every field of Conductor's summary that has a value, and no other."""
    task = Task(
        ordinal=2, seq=2, ref="print", kind="SIMPLE", type="printer", name="printer_def",
        status=TaskStatus.FAILED, input=b'{"page":1}', scheduled_ms=1_769_850_487_006,
        started_ms=1_769_850_487_106, ended_ms=1_769_850_488_006, updated_ms=1_769_850_488_006,
        domain="eu", reason="no paper",
    )  # fmt: skip

    assert _json(summaries.of_task(FoundTask(WORKFLOW, task))) == {
        "workflowId": str(ID),
        "workflowType": "order",
        "correlationId": "c",
        "scheduledTime": "2026-01-31T09:08:07.006Z",
        "startTime": "2026-01-31T09:08:07.106Z",
        "updateTime": "2026-01-31T09:08:08.006Z",
        "endTime": "2026-01-31T09:08:08.006Z",
        "status": "FAILED",
        "reasonForIncompletion": "no paper",
        "executionTime": 900,
        "queueWaitTime": 100,
        "taskDefName": "printer_def",
        "taskType": "printer",
        "input": '{"page":1}',
        "output": "{}",
        "taskId": "01890a5d-ac96-774b-bcce-b30200000002",
        "workflowPriority": 4,
        "domain": "eu",
    }
