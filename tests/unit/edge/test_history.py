"""Records of decisions: which lane, which payloads, which files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.clock import RandomIds
from edge.history import records_of
from edge.model.decision import Decision
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus
from sync.records import EvidenceRecord, Lane, TaskRecord, WorkflowRecord

_ID = RandomIds().workflow_id(5)


def _workflow(status: WorkflowStatus = WorkflowStatus.RUNNING, **fields: Any) -> Workflow:
    return Workflow(1, _ID, "w", 1, 1, status, input=b'{"i":1}', output=b'{"o":1}', **fields)


def _task(status: TaskStatus, output: Any = None) -> Task:
    return Task(
        1, 1, "a", "SIMPLE", "a", "a", status,
        output=msgspec.json.encode(output) if output else b"{}",
    )  # fmt: skip


def test_the_input_travels_with_the_start_only() -> None:
    """And the output with the end only."""
    workflow = _workflow()
    ((_, first),) = records_of(workflow, Decision(workflow), started=True)
    ((_, later),) = records_of(workflow, Decision(workflow), started=False)
    ended = _workflow(WorkflowStatus.COMPLETED)
    ((_, last),) = records_of(ended, Decision(ended), started=False)

    assert isinstance(first, WorkflowRecord)
    assert isinstance(later, WorkflowRecord)
    assert isinstance(last, WorkflowRecord)
    assert (b'{"i":1}', None) == (first.input, first.output)
    assert (None, None) == (later.input, later.output)
    assert (None, b'{"o":1}') == (last.input, last.output)


@pytest.mark.parametrize(("size", "travels"), [(9, True), (50_000, True), (50_001, False)])
def test_a_definition_travels_with_a_start(size: int, travels: bool) -> None:
    """Unless it is so large that nothing else would find room beside it."""
    workflow, definition = _workflow(), b"x" * size
    ((_, record),) = records_of(workflow, Decision(workflow), started=True, definition=definition)

    assert isinstance(record, WorkflowRecord)
    assert (definition if travels else None) == record.definition
    assert b'{"i":1}' == record.input


def test_alarming_ends_are_urgent() -> None:
    """Failures and timeouts; a termination was somebody's wish."""
    lanes = {
        status: next(
            iter(records_of(_workflow(status), Decision(_workflow(status)), started=False))
        )[0]
        for status in WorkflowStatus
    }

    assert {WorkflowStatus.FAILED, WorkflowStatus.TIMED_OUT} == {
        status for status, lane in lanes.items() if lane is Lane.URGENT
    }


def test_a_task_is_a_record_of_its_own() -> None:
    """Without the workflow's when that has not changed; empty payloads are left out."""
    ((lane, record),) = records_of(
        _workflow(), Decision(tasks=(_task(TaskStatus.SCHEDULED),)), started=False
    )

    assert Lane.HISTORY is lane
    assert isinstance(record, TaskRecord)
    assert (None, None, "SCHEDULED") == (record.input, record.output, record.status)


def test_only_finished_tasks_announce_files() -> None:
    """What a worker has put down half done may still change."""
    picture = {"key": "k", "path": "p", "media_type": "image/jpeg", "sha256": "x", "size_bytes": 9}
    kinds = {
        status: [
            type(record)
            for _, record in records_of(
                _workflow(),
                Decision(tasks=(_task(status, {"evidence": picture}),)),
                started=False,
            )
        ]
        for status in (TaskStatus.SCHEDULED, TaskStatus.COMPLETED)
    }

    assert [TaskRecord] == kinds[TaskStatus.SCHEDULED]
    assert [TaskRecord, EvidenceRecord] == kinds[TaskStatus.COMPLETED]


def test_what_only_looks_like_evidence_is_the_user_s_own() -> None:
    """Any shape under that name is allowed and ignored."""
    for odd in ("text", 3, None, [], [{"key": 1}], {"path": "x"}):
        task = _task(TaskStatus.COMPLETED, {"evidence": odd, "more": 1})
        records = list(records_of(_workflow(), Decision(tasks=(task,)), started=False))

        assert 1 == len(records)
