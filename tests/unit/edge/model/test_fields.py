"""What executions and tasks are searched by, field by field."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus, task_bytes, task_uuid
from edge.model.fields import (
    TASK_FIELDS,
    WORKFLOW_FIELDS,
    Found,
    FoundTask,
    execution_ms,
    run_ms,
    task_holds,
    wait_ms,
    workflow_holds,
)
from edge.model.matching import free_text, predicate
from edge.model.query import parse

PARENT = uuid.UUID("01890a5d-0000-7000-8000-123400000000")
ID = uuid.UUID("01890a5d-ac96-774b-bcce-b30200000000")
WORKFLOW = Workflow(
    key=5, id=ID.bytes, name="order", version=3, pinned=1, status=WorkflowStatus.FAILED,
    input=b'{"sku":"x-1"}', output=b'{"total":"none"}', variables=b'{"v":"hidden"}',
    correlation_id="corr", priority=4, created_ms=1_000, updated_ms=1_500, ended_ms=3_000,
    reason="the printer burns", created_by="me", event="mqtt:door", idempotency_key="once",
    failed_refs=["print", "pay"], failed_names=["printer"], parent=task_bytes(PARENT.bytes, 7),
)  # fmt: skip
TASK = Task(
    ordinal=2, seq=2, ref="print", kind="SIMPLE", type="printer", name="printer_def",
    status=TaskStatus.FAILED, input=b'{"page":"one"}', output=b'{"ink":"low"}',
    scheduled_ms=1_000, started_ms=1_200, ended_ms=1_900, updated_ms=1_950,
    worker="host-1", domain="eu", reason="no paper",
)  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        f"workflowId = {ID}",
        "workflowType = order",
        "workflowName = order",
        "version = 3",
        "status = FAILED",
        "correlationId = corr",
        "startTime = 1000",
        "updateTime = 1500",
        "endTime = 3000",
        "executionTime = 2000",
        f"parentWorkflowId = {PARENT}",
        "classifier = agent",
        "priority = 4",
        "event = mqtt:door",
        "createdBy = me",
        "idempotencyKey = once",
        "failedReferenceTaskNames = pay",
        "failedTaskNames = printer",
        "reasonForIncompletion = printer",
        "input = x-1",
        "output = none",
    ],
)
def test_executions_have_these_fields(query: str) -> None:
    """Each is read from where it stands, and differs from another record's."""
    holds = predicate(parse(query, WORKFLOW_FIELDS.__contains__), WORKFLOW_FIELDS)
    name = query.split(maxsplit=1)[0]

    assert name in WORKFLOW_FIELDS
    assert holds(Found(WORKFLOW, "agent"))
    blank = Workflow(
        key=1, id=bytes(16), name="", version=1, pinned=1, status=WorkflowStatus.RUNNING
    )
    assert not holds(Found(blank))


def test_every_field_of_an_execution_is_told() -> None:
    """The list above is whole."""
    cases: Any = test_executions_have_these_fields
    (mark,) = cases.pytestmark

    assert set(WORKFLOW_FIELDS) == {query.split()[0] for query in mark.args[1]}


@pytest.mark.parametrize(
    "query",
    [
        f"taskId = {task_uuid(ID.bytes, 2)}",
        "taskType = printer",
        "taskDefName = printer_def",
        "referenceTaskName = print",
        "status = FAILED",
        f"workflowId = {ID}",
        "workflowType = order",
        "correlationId = corr",
        "workflowPriority = 4",
        "scheduledTime = 1000",
        "startTime = 1200",
        "updateTime = 1950",
        "endTime = 1900",
        "executionTime = 700",
        "queueWaitTime = 200",
        "workerId = host-1",
        "domain = eu",
        "reasonForIncompletion = paper",
        "input = one",
        "output = ink",
    ],
)
def test_tasks_have_these_fields(query: str) -> None:
    """Each is read from where it stands, and differs from another record's."""
    holds = predicate(parse(query, TASK_FIELDS.__contains__), TASK_FIELDS)
    workflow = Workflow(
        key=1, id=bytes(16), name="", version=1, pinned=1, status=WorkflowStatus.RUNNING
    )
    task = Task(ordinal=1, seq=1, ref="", kind="", type="", name="", status=TaskStatus.SCHEDULED)

    assert holds(FoundTask(WORKFLOW, TASK))
    assert not holds(FoundTask(workflow, task))


def test_every_field_of_a_task_is_told() -> None:
    """The list above is whole."""
    cases: Any = test_tasks_have_these_fields
    (mark,) = cases.pytestmark

    assert set(TASK_FIELDS) == {query.split()[0] for query in mark.args[1]}


@pytest.mark.parametrize(
    "text",
    [
        "bcce-b302",
        "8000-1234",
        "ORDER",
        "corr",
        "burns",
        "failed",
        "me",
        "door",
        "once",
        "pay",
        "x-1",
        "none",
    ],
)
def test_free_text_looks_into_an_execution(text: str) -> None:
    """Ids, names, reasons, references and payloads."""
    asked = free_text(text)

    assert asked is not None
    assert workflow_holds(asked, Found(WORKFLOW))


@pytest.mark.parametrize(
    "text",
    ["00000002", "b30200000000", "order", "corr", "print", "printer_def", "failed", "paper",
     "host-1", "eu", "one", "ink"],
)  # fmt: skip
def test_free_text_looks_into_a_task(text: str) -> None:
    """Ids, names, reasons, references and payloads."""
    asked = free_text(text)

    assert asked is not None
    assert task_holds(asked, FoundTask(WORKFLOW, TASK))


@pytest.mark.parametrize("text", ["hidden", "\x01", "correlationId", "\xa6FAILED", "created_ms"])
def test_nobody_is_shown_what_nobody_wrote(text: str) -> None:
    """Names of fields and bytes of the record's encoding are no texts, and variables stay out."""
    asked = free_text(text)

    assert asked is not None
    assert not workflow_holds(asked, Found(WORKFLOW))
    assert not task_holds(asked, FoundTask(WORKFLOW, TASK))


def test_durations_are_never_negative() -> None:
    """What has not begun or not ended has taken no time, and clocks that differ do not count."""
    open_task = msgspec.structs.replace(TASK, started_ms=0, ended_ms=0)
    odd = msgspec.structs.replace(TASK, started_ms=5_000)

    assert (0, 0) == (run_ms(open_task), wait_ms(open_task))
    assert 0 == run_ms(odd)
    assert 0 == execution_ms(msgspec.structs.replace(WORKFLOW, ended_ms=0))
    assert 2_000 == execution_ms(WORKFLOW)


def test_nobody_finds_out_by_asking_what_is_masked() -> None:
    """Neither by a field nor by free text, in executions and in tasks; the name is no secret."""
    workflow = msgspec.structs.replace(
        WORKFLOW, input=b'{"pin":"4711"}', output=b'{"_secrets":"4711"}', masked_fields=["pin"]
    )
    task = msgspec.structs.replace(TASK, input=b'{"pin":"4711"}', output=b"{}")
    secret, name = free_text("4711"), free_text("pin")

    assert secret is not None and name is not None
    assert not workflow_holds(secret, Found(workflow))
    assert workflow_holds(name, Found(workflow))
    assert not task_holds(secret, FoundTask(workflow, task))
    for query in ("input = 4711", "output = 4711"):
        of_workflows = predicate(parse(query, bool), WORKFLOW_FIELDS)
        of_tasks = predicate(parse(query, bool), TASK_FIELDS)
        assert not of_workflows(Found(workflow))
        assert not of_tasks(FoundTask(workflow, task))
