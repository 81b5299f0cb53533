"""onStateChange: what a step publishes when one of its tasks changes its state.

The messages are part of the decision that makes the change; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge.decider.draft import Change, Draft, FlowBroken
from edge.decider.expressions import SnapshotLookup, resolve
from edge.decider.java_text import java_text
from edge.model.decision import Publication, Started
from edge.model.definitions import JsonObject, StateChangeEvent, WorkflowTask
from edge.model.events import CONDUCTOR, MQTT, PAYLOAD_BYTES, may_be_published_to
from edge.model.executions import Task, TaskStatus, workflow_uuid

_ENDS = {
    TaskStatus.COMPLETED: "onSuccess",
    TaskStatus.COMPLETED_WITH_ERRORS: "onFailed",
    TaskStatus.FAILED: "onFailed",
    TaskStatus.FAILED_WITH_TERMINAL_ERROR: "onFailed",
    TaskStatus.TIMED_OUT: "onFailed",
    TaskStatus.CANCELED: "onCancelled",
}
"""An optional task that has failed has failed, whatever the flow makes of it."""


def publish(draft: Draft, changes: list[Change]) -> None:
    """Publish what the steps of the changed records want published, each change once."""
    for task, old in changes:
        step = _announcing(draft, task)
        if step is None:
            continue
        for state in _states(task, old):
            for index, event in enumerate(_events(step, state)):
                draft.publications.append(_publication(draft, task, state, index, event))


def _announcing(draft: Draft, task: Task) -> WorkflowTask | None:
    """The step of a record if it wants anything published."""
    if not (draft.snapshot.pinned.announces or task.step is not None):
        return None
    try:
        step = draft.step(task)
    except FlowBroken:
        # The workflow ends because of it; nobody is left to say what is to be published.
        return None
    return step if step.on_state_change else None


def _states(task: Task, old: Task | None) -> Iterator[str]:
    """The states that a record has come to in this decision, in their order."""
    if old is None:
        yield "onScheduled"
    if task.started_ms and (old is None or not old.started_ms):
        yield "onStart"
    if task.status.terminal and (old is None or not old.status.terminal):
        end = _ENDS.get(task.status)
        if end is not None:
            yield end


def _events(step: WorkflowTask, state: str) -> Iterator[StateChangeEvent]:
    for states, events in step.on_state_change.items():
        if state in (one.strip() for one in states.split(",")):
            yield from events


def _publication(
    draft: Draft, task: Task, state: str, index: int, event: StateChangeEvent
) -> Publication:
    workflow = draft.snapshot.workflow
    lookup = SnapshotLookup(draft.snapshot, task.ordinal, draft.outside)
    queue = _queue_of(java_text(resolve(event.type, lookup)), workflow.name)
    facts: JsonObject = {
        "state": state,
        "taskId": draft.task_id(task.ordinal),
        "taskReferenceName": task.ref,
        "taskType": task.type,
        "taskDefName": task.name,
        "taskStatus": task.status.value,
        "workflowInstanceId": workflow_uuid(workflow.id),
        "workflowType": workflow.name,
        "workflowVersion": workflow.version,
        "correlationId": workflow.correlation_id,
        "event_produced": queue,
    }
    message = msgspec.json.encode({**resolve(event.payload, lookup), **facts})
    if len(message) > PAYLOAD_BYTES:
        message = msgspec.json.encode({**facts, "truncated": len(message)})
    return Publication(f"{facts['taskId']}-{state}-{index}", queue, message)


def _queue_of(type_: str, workflow: str) -> str:
    """The queue that an event's type means: a topic, or an internal queue of the workflow."""
    if type_.startswith(MQTT) and may_be_published_to(type_.removeprefix(MQTT)):
        return type_
    return f"{CONDUCTOR}{workflow}:{type_.replace(CONDUCTOR, '')}"


def started(draft: Draft, command: Started) -> None:
    """A worker holds the task: its first hand-over is written, for it is to be told."""
    task = draft.snapshot.tasks.get(command.ordinal)
    if task is not None and not task.status.terminal and not task.started_ms:
        draft.change(task, started_ms=command.started_ms)
