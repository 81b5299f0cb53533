"""What a decision tells the control plane: records made from the records that changed.

Nothing is written or sent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from edge.model.decision import Decision
from edge.model.executions import (
    EMPTY,
    Pinned,
    Task,
    Workflow,
    WorkflowStatus,
    task_uuid_beside,
    workflow_uuid,
)
from edge.model.masking import masked, masked_task, masked_workflow
from sync.frames import MAX_BODY_BYTES
from sync.records import (
    KINDS,
    Body,
    EvidenceRecord,
    Lane,
    TaskRecord,
    WorkflowRecord,
    encode_body,
    evidence_chunks,
)

_SENT_UNASKED_BYTES = 200_000
"""Pictures up to this size go up by themselves; larger files stay on the device."""

_DEFINITION_BYTES = 50_000
"""A larger definition does not travel: its frame would have no room for what is worth more."""

_STRETCHES = 1_000
"""Of places of steps that are told: of an execution with more it is not told which it has."""

_DEFINITIONS_TOLD = 2_000
"""That are remembered; beyond that all of them are told once more."""

ALARMING = frozenset({WorkflowStatus.FAILED, WorkflowStatus.TIMED_OUT})
"""Ends that are told in the urgent lane, ahead of what was before them."""


class History:
    """Says what the control plane is told of decisions, and a definition only when it is another.

    The control plane shows an execution by what it was told with, or by what was told last of its
    name and version: a definition that comes back in place of another is told again.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], int] = {}
        """The key of the definition that was told last, by name and version."""

    def of(
        self,
        workflow: Workflow,
        decision: Decision,
        pinned: Pinned,
        *,
        started: bool,
        repinned: bool = False,
    ) -> list[tuple[Lane, str, bytes]]:
        """Lanes, kinds and bodies of the records of one decision; see `records_of`.

        Args:
            workflow: after the decision.
            decision: what changed.
            pinned: what the execution runs by.
            started: whether it begins with this decision.
            repinned: whether it goes on by another definition; that is told whatever was told before,
                since it was shown by one of its own.
        """
        definition, named = None, (workflow.name, workflow.version)
        if repinned or (started and self._told.get(named) != pinned.key):
            if len(self._told) >= _DEFINITIONS_TOLD:
                self._told.clear()
            self._told[named] = pinned.key
            definition = pinned.document
        records = records_of(workflow, decision, started=started, definition=definition)
        return [(lane, KINDS[type(body)], encode_body(body)) for lane, body in records]

    def forget_all(self) -> None:
        """What was told may never have been written, or may have been given up."""
        self._told.clear()


def records_of(
    workflow: Workflow, decision: Decision, *, started: bool, definition: bytes | None = None
) -> list[tuple[Lane, Body]]:
    """The records of one decision with their lanes.

    Args:
        workflow: after the decision.
        decision: what changed.
        started: True when the execution begins with this decision; its input travels along.
        definition: that the execution runs by, as JSON, to travel along too; None = not now.
    """
    workflow_id = workflow_uuid(workflow.id)
    records: list[tuple[Lane, Body]] = []
    if decision.workflow is not None:
        lane = Lane.URGENT if workflow.status in ALARMING else Lane.HISTORY
        record = _workflow_record(workflow_id, masked_workflow(workflow), started=started)
        if definition is not None and len(definition) <= _DEFINITION_BYTES:
            shown_by = masked(definition, workflow.masked_fields)
            record = msgspec.structs.replace(record, definition=shown_by)
        records.append((lane, record))
    for task in decision.tasks:
        task_id = task_uuid_beside(workflow_id, task.ordinal)
        shown = masked_task(task, workflow.masked_fields)
        records.append((Lane.HISTORY, _task_record(workflow_id, task_id, shown)))
        if b'"evidence"' in task.output and task.status.terminal:
            records += _evidence_records(workflow_id, task_id, task)
    return records


def records_again(
    workflow: Workflow, tasks: Iterable[Task]
) -> Iterator[WorkflowRecord | TaskRecord]:
    """An execution and its tasks as they are now, for a control plane that has not got them all."""
    workflow_id = workflow_uuid(workflow.id)
    yield _workflow_record(workflow_id, masked_workflow(workflow), started=True)
    for task in tasks:
        shown = masked_task(task, workflow.masked_fields)
        yield _task_record(workflow_id, task_uuid_beside(workflow_id, task.ordinal), shown)


def records_anew(
    workflow: Workflow, tasks: Iterable[Task]
) -> Iterator[WorkflowRecord | TaskRecord]:
    """How an execution stands, for a control plane that was told otherwise.

    Of one that has ended its end is told; what its steps were has been told, and costs many times as
    much. Those of an open one are not over, and may have been told to be.
    """
    steps = list(tasks)
    places = _ranges(sorted(task.seq for task in steps))
    if workflow.status.terminal:
        yield msgspec.structs.replace(end_again(workflow), steps=places)
        return
    for record in records_again(workflow, steps):
        if isinstance(record, WorkflowRecord):
            yield msgspec.structs.replace(record, steps=places)
        else:
            yield record


def end_again(workflow: Workflow) -> WorkflowRecord:
    """The end of an execution, and nothing of its steps."""
    return _workflow_record(workflow_uuid(workflow.id), masked_workflow(workflow), started=False)


def _ranges(places: list[int]) -> list[tuple[int, int]] | None:
    """First and last of the stretches of places, which ascend; None = there are too many."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place <= found[-1][1] + 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found if len(found) <= _STRETCHES else None


def _workflow_record(workflow_id: str, workflow: Workflow, *, started: bool) -> WorkflowRecord:
    return WorkflowRecord(
        id=workflow_id,
        name=workflow.name,
        version=workflow.version,
        status=workflow.status.value,
        correlation_id=workflow.correlation_id,
        created_ms=workflow.created_ms,
        updated_ms=workflow.updated_ms,
        ended_ms=workflow.ended_ms,
        reason=workflow.reason,
        input=_carried(workflow.input) if started else None,
        output=_carried(workflow.output) if workflow.status.terminal else None,
    )


def _task_record(workflow_id: str, task_id: str, task: Task) -> TaskRecord:
    # In the order of the fields: by their names it takes five times as long.
    return TaskRecord(
        workflow_id,
        task_id,
        task.seq,
        task.ref,
        task.type,
        task.name,
        # As `.value`, without a call.
        task.status._value_,
        task.updated_ms,
        task.attempt,
        task.iteration,
        task.scheduled_ms,
        task.started_ms,
        task.ended_ms,
        task.worker,
        task.reason,
        _carried(task.input) if task.input != EMPTY else None,
        _carried(task.output) if task.output != EMPTY else None,
    )


def _carried(payload: bytes) -> bytes | None:
    """A payload, unless no frame could ever carry it: the device's own disk need not, either."""
    return payload if len(payload) <= MAX_BODY_BYTES // 2 else None


class _Evidence(msgspec.Struct):
    key: str
    path: str
    media_type: str
    sha256: str
    size_bytes: int


def _evidence_records(
    workflow_id: str, task_id: str, task: Task
) -> Iterator[tuple[Lane, EvidenceRecord]]:
    for evidence in _evidence_in(task.output):
        if not evidence.media_type.startswith("image/"):
            continue
        if evidence.size_bytes > _SENT_UNASKED_BYTES:
            continue
        count = evidence_chunks(evidence.size_bytes)
        for chunk in range(count):
            yield (
                Lane.BULK,
                EvidenceRecord(
                    workflow_id=workflow_id,
                    task_id=task_id,
                    key=evidence.key,
                    media_type=evidence.media_type,
                    sha256=evidence.sha256,
                    size_bytes=evidence.size_bytes,
                    path=evidence.path,
                    index=chunk,
                    count=count,
                ),
            )


def _evidence_in(output: bytes) -> Iterator[_Evidence]:
    """The files that a task's output refers to; what has another shape is the user's own."""
    found: Any = msgspec.json.decode(output).get("evidence")
    for item in found if isinstance(found, list) else [found]:
        try:
            yield msgspec.convert(item, _Evidence)
        except msgspec.ValidationError:
            continue
