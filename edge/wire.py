"""Records as Conductor's JSON: names, nulls and integers exactly as its clients read them.

Nothing is looked up here. Payloads pass through as the bytes they are stored as.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from typing import Any

import msgspec

from edge.model.decision import LogLine
from edge.model.definitions import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    without_nulls,
)
from edge.model.executions import (
    Pinned,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    task_uuid,
    workflow_uuid,
)
from edge.model.masking import masked_task, masked_workflow
from edge.model.requests import TaskView
from edge.model.snapshot import step_of

_PINNED_KEPT = 64
"""Definitions whose JSON is kept ready; a device runs a few. The one not used longest goes."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EMPTY_MAP = msgspec.Raw(b"{}")
_encoder = msgspec.json.Encoder()


class WireTask(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A task. Fields with a default are left out when they are null; the others always stand."""

    task_type: str
    status: TaskStatus
    input_data: msgspec.Raw
    output_data: msgspec.Raw
    reference_task_name: str
    retry_count: int
    seq: int
    poll_count: int
    task_def_name: str
    scheduled_time: int
    start_time: int
    end_time: int
    update_time: int
    start_delay_in_seconds: int
    retried: bool
    executed: bool
    callback_from_worker: bool
    response_timeout_seconds: int
    workflow_instance_id: str
    workflow_type: str
    task_id: str
    callback_after_seconds: int
    rate_limit_per_frequency: int
    rate_limit_frequency_in_seconds: int
    workflow_priority: int
    iteration: int
    subworkflow_changed: bool
    first_start_time: int
    runtime_metadata: msgspec.Raw
    queue_wait_time: int
    loop_over_task: bool
    workflow_task: msgspec.Raw | None = None
    task_definition: msgspec.Raw | None = None
    correlation_id: str | None = None
    retried_task_id: str | None = None
    reason_for_incompletion: str | None = None
    sub_workflow_id: str | None = None
    worker_id: str | None = None
    domain: str | None = None
    isolation_group_id: str | None = None
    execution_name_space: str | None = None
    external_input_payload_storage_path: str | None = None
    external_output_payload_storage_path: str | None = None


class WireWorkflow(msgspec.Struct, rename="camel", omit_defaults=True):
    """An execution with its tasks."""

    workflow_id: str
    workflow_name: str
    workflow_version: int
    workflow_definition: msgspec.Raw
    status: WorkflowStatus
    tasks: list[WireTask]
    input: msgspec.Raw
    output: msgspec.Raw
    variables: msgspec.Raw
    create_time: int
    start_time: int
    update_time: int
    end_time: int
    failed_reference_task_names: list[str]
    failed_task_names: list[str]
    task_to_domain: dict[str, str]
    priority: int
    last_retried_time: int
    history: list[str]
    rate_limited: bool
    parent_workflow_id: str | None = None
    parent_workflow_task_id: str | None = None
    re_run_from_workflow_id: str | None = None
    correlation_id: str | None = None
    created_by: str | None = None
    reason_for_incompletion: str | None = None
    event: str | None = None
    idempotency_key: str | None = None
    rate_limit_key: str | None = None
    external_input_payload_storage_path: str | None = None
    external_output_payload_storage_path: str | None = None


class WireSummary(msgspec.Struct, rename="camel", omit_defaults=True):
    """An execution as a line of a search result; its times are ISO texts."""

    workflow_type: str
    version: int
    workflow_id: str
    start_time: str
    update_time: str
    status: WorkflowStatus
    input: str
    output: str
    execution_time: int
    failed_reference_task_names: str
    failed_task_names: list[str]
    priority: int
    task_to_domain: dict[str, str]
    parent_workflow_id: str
    input_size: int
    output_size: int
    end_time: str | None = None
    correlation_id: str | None = None
    reason_for_incompletion: str | None = None
    event: str | None = None
    created_by: str | None = None
    idempotency_key: str | None = None
    external_input_payload_storage_path: str | None = None
    external_output_payload_storage_path: str | None = None
    classifier: str | None = None


class WireStatus(msgspec.Struct, rename="camel", omit_defaults=True):
    """Only where an execution stands."""

    workflow_id: str
    status: WorkflowStatus
    correlation_id: str | None = None
    output: msgspec.Raw | None = None
    variables: msgspec.Raw | None = None


class WireLog(msgspec.Struct, rename="camel"):
    """A line of a task's log."""

    log: str
    task_id: str
    created_time: int


class _Step(msgspec.Struct):
    """What a task on the wire takes from its step in the definition."""

    workflow_task: msgspec.Raw
    task_definition: msgspec.Raw | None
    settings: TaskDefinition


class _Ready:
    """The JSON of a pinned definition and, as they are asked for, of its steps."""

    def __init__(self, pinned: Pinned) -> None:
        self.definition = msgspec.Raw(
            _encoder.encode(without_nulls(msgspec.json.decode(pinned.document)))
        )
        self._outline = pinned.outline
        self._steps: dict[str, _Step | None] = {}

    def step(self, task: Task) -> _Step | None:
        if task.step is not None:
            brought = step_of(task)
            return None if brought is None else _step(brought)
        ref = task.step_ref
        if ref not in self._steps:
            place = self._outline.place(ref)
            self._steps[ref] = None if place is None else _step(place.step)
        return self._steps[ref]


class Encoder:
    """Turns records into wire structs; keeps the JSON of the definitions that are in use."""

    def __init__(self) -> None:
        self._ready: OrderedDict[int, _Ready] = OrderedDict()

    def task(self, view: TaskView) -> WireTask:
        """A task with what is around it, as whoever looks at an execution may see it."""
        task = masked_task(view.task, view.workflow.masked_fields)
        return self._task(view.workflow, task, self._ready_for(view.pinned))

    def handed(self, view: TaskView) -> WireTask:
        """A task as the worker that was handed it may see it, and nobody else."""
        task = self._task(view.workflow, view.task, self._ready_for(view.pinned))
        task.runtime_metadata = msgspec.Raw(_encoder.encode(view.runtime_metadata))
        return task

    def workflow(self, workflow: Workflow, pinned: Pinned, tasks: list[Task]) -> WireWorkflow:
        """An execution, its tasks in their order, as whoever looks at it may see it."""
        ready = self._ready_for(pinned)
        workflow = masked_workflow(workflow)
        return WireWorkflow(
            workflow_id=workflow_uuid(workflow.id),
            workflow_name=workflow.name,
            workflow_version=workflow.version,
            workflow_definition=ready.definition,
            status=workflow.status,
            tasks=[
                self._task(workflow, masked_task(task, workflow.masked_fields), ready)
                for task in sorted(tasks, key=lambda task: task.seq)
            ],
            input=msgspec.Raw(workflow.input),
            output=msgspec.Raw(workflow.output),
            variables=msgspec.Raw(workflow.variables),
            create_time=workflow.created_ms,
            start_time=workflow.created_ms,
            update_time=workflow.updated_ms,
            end_time=workflow.ended_ms,
            failed_reference_task_names=workflow.failed_refs,
            failed_task_names=workflow.failed_names,
            task_to_domain=workflow.task_to_domain,
            priority=workflow.priority,
            last_retried_time=workflow.last_retried_ms,
            history=[],
            rate_limited=workflow.rate_limited,
            parent_workflow_id=workflow_uuid(workflow.parent_id) if workflow.parent else None,
            parent_workflow_task_id=(
                task_uuid(workflow.parent_id, workflow.parent_ordinal) if workflow.parent else None
            ),
            re_run_from_workflow_id=workflow_uuid(workflow.rerun_from)
            if workflow.rerun_from
            else None,
            correlation_id=workflow.correlation_id,
            created_by=workflow.created_by,
            reason_for_incompletion=workflow.reason,
            event=workflow.event,
            idempotency_key=workflow.idempotency_key,
            rate_limit_key=workflow.rate_limit_key,
            external_input_payload_storage_path=input_path(workflow),
            external_output_payload_storage_path=output_path(workflow),
        )

    def _ready_for(self, pinned: Pinned) -> _Ready:
        ready = self._ready.get(pinned.key)
        if ready is None:
            ready = self._ready[pinned.key] = _Ready(pinned)
            if len(self._ready) > _PINNED_KEPT:
                self._ready.popitem(last=False)
        else:
            self._ready.move_to_end(pinned.key)
        return ready

    def _task(self, workflow: Workflow, task: Task, ready: _Ready) -> WireTask:
        step = ready.step(task)
        settings = _NO_SETTINGS if step is None else step.settings
        waited_ms = task.started_ms - task.scheduled_ms if task.started_ms else 0
        return WireTask(
            task_type=task.type,
            status=task.status,
            input_data=msgspec.Raw(task.input),
            output_data=msgspec.Raw(task.output),
            reference_task_name=task.ref,
            retry_count=task.attempt,
            seq=task.seq,
            poll_count=task.polls,
            task_def_name=task.name,
            scheduled_time=task.scheduled_ms,
            start_time=task.started_ms,
            end_time=task.ended_ms,
            update_time=task.updated_ms,
            start_delay_in_seconds=task.start_delay_s,
            retried=task.retried,
            executed=task.executed,
            callback_from_worker=True,
            response_timeout_seconds=settings.response_timeout_seconds,
            workflow_instance_id=workflow_uuid(workflow.id),
            workflow_type=workflow.name,
            task_id=task_uuid(workflow.id, task.ordinal),
            callback_after_seconds=task.callback_after_s,
            rate_limit_per_frequency=settings.rate_limit_per_frequency or 0,
            rate_limit_frequency_in_seconds=settings.rate_limit_frequency_in_seconds or 1,
            workflow_priority=workflow.priority,
            iteration=task.shown_iteration,
            # What has changed in a child is taken up at once: nobody sees Conductor's mark of it.
            subworkflow_changed=False,
            first_start_time=task.started_ms,
            runtime_metadata=_EMPTY_MAP,
            queue_wait_time=max(0, waited_ms),
            loop_over_task=task.shown_iteration > 0,
            workflow_task=None if step is None else step.workflow_task,
            task_definition=None if step is None else step.task_definition,
            correlation_id=workflow.correlation_id,
            retried_task_id=task_uuid(workflow.id, task.retried_from)
            if task.retried_from
            else None,
            reason_for_incompletion=task.reason,
            sub_workflow_id=workflow_uuid(task.child) if task.child else None,
            worker_id=task.worker,
            domain=task.domain,
            isolation_group_id=settings.isolation_group_id,
            execution_name_space=settings.execution_name_space,
            external_input_payload_storage_path=input_path(task),
            external_output_payload_storage_path=output_path(task),
        )


def input_path(record: Workflow | Task) -> str | None:
    """The name by which an input can be fetched that is not shown; None = it is shown."""
    if not record.input_file:
        return None
    if isinstance(record, Workflow):
        return record.input_path or f"workflow/input/{record.input_file.hex()}.json"
    return f"task/input/{record.input_file.hex()}.json"


def output_path(record: Workflow | Task) -> str | None:
    """The name by which an output can be fetched that is not shown; None = it is shown."""
    if not record.output_file:
        return None
    if isinstance(record, Task):
        return record.output_path or f"task/output/{record.output_file.hex()}.json"
    return f"workflow/output/{record.output_file.hex()}.json"


_NO_SETTINGS = TaskDefinition(retry_count=0, response_timeout_seconds=0)
"""Stands in for a step without settings: nothing is retried or timed out."""


def _step(task: WorkflowTask) -> _Step:
    document = definition_document(task)
    embedded = document.get("taskDefinition")
    return _Step(
        workflow_task=msgspec.Raw(_encoder.encode(document)),
        task_definition=None if embedded is None else msgspec.Raw(_encoder.encode(embedded)),
        settings=task.task_definition or _NO_SETTINGS,
    )


def definition_document(
    definition: WorkflowDefinition | TaskDefinition | WorkflowTask,
) -> dict[str, Any]:
    """A definition as clients see it: every default written out, no null but the user's own."""
    document: dict[str, Any] = without_nulls(msgspec.to_builtins(definition))
    return document


def summary(workflow: Workflow) -> WireSummary:
    """An execution as a line of a search result."""
    sizes = len(workflow.input), len(workflow.output)
    workflow = masked_workflow(workflow)
    ended = workflow.ended_ms
    return WireSummary(
        workflow_type=workflow.name,
        version=workflow.version,
        workflow_id=workflow_uuid(workflow.id),
        start_time=iso(workflow.created_ms),
        update_time=iso(workflow.updated_ms),
        status=workflow.status,
        input=workflow.input.decode(),
        output=workflow.output.decode(),
        execution_time=max(0, ended - workflow.created_ms) if ended else 0,
        failed_reference_task_names=",".join(workflow.failed_refs),
        failed_task_names=workflow.failed_names,
        priority=workflow.priority,
        task_to_domain=workflow.task_to_domain,
        parent_workflow_id=workflow_uuid(workflow.parent_id) if workflow.parent else "",
        input_size=sizes[0],
        output_size=sizes[1],
        end_time=iso(ended) if ended else None,
        correlation_id=workflow.correlation_id,
        reason_for_incompletion=workflow.reason,
        event=workflow.event,
        created_by=workflow.created_by,
        idempotency_key=workflow.idempotency_key,
        external_input_payload_storage_path=input_path(workflow),
        external_output_payload_storage_path=output_path(workflow),
    )


def status(workflow: Workflow, *, output: bool, variables: bool) -> WireStatus:
    """Where an execution stands, with as much of it as was asked for."""
    workflow = masked_workflow(workflow)
    return WireStatus(
        workflow_id=workflow_uuid(workflow.id),
        status=workflow.status,
        correlation_id=workflow.correlation_id,
        output=msgspec.Raw(workflow.output) if output else None,
        variables=msgspec.Raw(workflow.variables) if variables else None,
    )


def logs(task_id: str, lines: list[LogLine]) -> list[WireLog]:
    """The log of a task."""
    return [WireLog(line.line, task_id, line.created_ms) for line in lines]


def iso(epoch_ms: int) -> str:
    """A time as ``2026-01-31T09:08:07.006Z``."""
    moment = _EPOCH + dt.timedelta(milliseconds=epoch_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
