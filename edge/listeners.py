"""What listeners are told of a decision: how executions and their tasks have changed their status.

Who listens says the definition or the configuration; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import structlog

from edge.model import decision as model
from edge.model.decision import Command, Decision, Publication
from edge.model.definitions import JsonObject
from edge.model.events import PAYLOAD_BYTES, is_sink
from edge.model.executions import (
    Task,
    Workflow,
    WorkflowStatus,
    task_uuid,
    workflow_uuid,
)
from edge.model.snapshot import Snapshot, step_of
from edge.wire import iso, summary

log = structlog.get_logger()

_UNKNOWN_SINKS = 200
"""Sinks that are told of once each as unknown; of more than that nothing is told."""

_BY_COMMAND = {
    model.Start: "STARTED",
    model.Restart: "RESTARTED",
    model.Rerun: "RERAN",
    model.Retry: "RETRIED",
    model.Pause: "PAUSED",
    model.Resume: "RESUMED",
}


class Listeners:
    """Adds to decisions what listeners are to be told.

    Args:
        workflow_sink: for executions whose definition wants to be listened to and names no sink of
            its own; empty = none.
        task_sink: for tasks whose definition does not forbid it; empty = none.
    """

    def __init__(self, workflow_sink: str = "", task_sink: str = "") -> None:
        self._workflow_sink = workflow_sink
        self._task_sink = task_sink
        self._unknown: set[str] = set()

    def told(
        self, command: Command, before: Workflow, snapshot: Snapshot, decision: Decision
    ) -> Decision:
        """The decision with what listeners are to be told of it.

        Args:
            command: what was decided on.
            before: the execution's record before the decision.
            snapshot: the execution after it.
            decision: what has changed.
        """
        definition = snapshot.pinned.definition
        notices: list[Publication] = []
        if self._task_sink and decision.moved:
            notices += self._of_tasks(snapshot, decision)
        if definition.workflow_status_listener_enabled and decision.workflow is not None:
            sink = definition.workflow_status_listener_sink or self._workflow_sink
            if self._known(sink):
                notices += _of_workflow(sink, command, before, snapshot.workflow)
        if not notices:
            return decision
        publications = (*decision.publications, *notices)
        return msgspec.structs.replace(decision, publications=publications)

    def _known(self, sink: str) -> bool:
        if is_sink(sink):
            return True
        if sink and sink not in self._unknown and len(self._unknown) < _UNKNOWN_SINKS:
            # Such sinks come with definitions that were made for another server.
            self._unknown.add(sink)
            log.warning("listener_sink_unknown", sink=sink[:200])
        return False

    def _of_tasks(self, snapshot: Snapshot, decision: Decision) -> Iterator[Publication]:
        moved = set(decision.moved)
        for task in decision.tasks:
            if task.ordinal in moved and _may_be_told(snapshot, task):
                yield _of_task(self._task_sink, snapshot.workflow, task)


def _of_workflow(
    sink: str, command: Command, before: Workflow, after: Workflow
) -> Iterator[Publication]:
    for event in _events(command, before, after):
        facts: JsonObject = {
            **msgspec.to_builtins(summary(after)),
            "eventType": event,
            "workflowInstanceId": workflow_uuid(after.id),
            "sink": sink,
        }
        message_id = f"{workflow_uuid(after.id)}-{event}-{after.updated_ms}"
        yield Publication(message_id, sink, _encoded(facts))


def _events(command: Command, before: Workflow, after: Workflow) -> Iterator[str]:
    """What has happened to the whole execution, in Conductor's words and in its order."""
    named = _BY_COMMAND.get(type(command))
    if named is not None:
        yield named
    ran = not before.status.terminal or named in ("RETRIED", "RESTARTED", "RERAN")
    if ran and after.status.terminal:
        yield "COMPLETED" if after.status is WorkflowStatus.COMPLETED else "TERMINATED"
        yield "FINALIZED"


def _may_be_told(snapshot: Snapshot, task: Task) -> bool:
    step = step_of(task) or snapshot.pinned.step(task)
    definition = None if step is None else step.task_definition
    return definition is None or definition.task_status_listener_enabled


def _of_task(sink: str, workflow: Workflow, task: Task) -> Publication:
    task_id = task_uuid(workflow.id, task.ordinal)
    facts: JsonObject = {
        "eventType": task.status.value,
        "taskId": task_id,
        "referenceTaskName": task.ref,
        "taskType": task.type,
        "taskDefName": task.name,
        "status": task.status.value,
        "retryCount": task.attempt,
        "scheduledTime": iso(task.scheduled_ms),
        "startTime": iso(task.started_ms) if task.started_ms else None,
        "updateTime": iso(task.updated_ms),
        "endTime": iso(task.ended_ms) if task.status.terminal else None,
        "reasonForIncompletion": task.reason,
        "workerId": task.worker,
        "workflowInstanceId": workflow_uuid(workflow.id),
        "workflowId": workflow_uuid(workflow.id),
        "workflowType": workflow.name,
        "correlationId": workflow.correlation_id,
        "sink": sink,
    }
    known = {key: value for key, value in facts.items() if value is not None}
    message_id = f"{task_id}-{task.status.value}-{task.updated_ms}"
    return Publication(message_id, sink, _encoded(known))


def _encoded(facts: JsonObject) -> bytes:
    """A notice as JSON; one that is too large goes without the payloads of the execution."""
    encoded = msgspec.json.encode(facts)
    if len(encoded) <= PAYLOAD_BYTES:
        return encoded
    short = {key: value for key, value in facts.items() if key not in ("input", "output")}
    return msgspec.json.encode({**short, "truncated": len(encoded)})
