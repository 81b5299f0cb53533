"""What is asked of the engine and what it shows: requests, results and views.

No wire format and no rule stands here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.model.definitions import WorkflowDefinition
from edge.model.executions import EMPTY, Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.revealed import Revealed


class StartRequest(msgspec.Struct, frozen=True):
    """Start a workflow."""

    name: str
    version: int | None = None
    """None = the latest."""
    input: bytes = EMPTY
    input_path: str | None = None
    """Under which name the input was uploaded; None = it came with the request."""
    correlation_id: str | None = None
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    definition: WorkflowDefinition | None = None
    """Runs instead of a registered one."""
    created_by: str | None = None
    event: str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: str | None = None


class ExecutionView(msgspec.Struct, frozen=True):
    """One execution as it is now, leases laid over its tasks."""

    workflow: Workflow
    pinned: Pinned
    tasks: list[Task]


class TaskView(msgspec.Struct, frozen=True):
    """One task with what is around it."""

    workflow: Workflow
    pinned: Pinned
    task: Task
    runtime_metadata: dict[str, str] = {}
    """Secrets and variables that its definition wants, for whoever was handed the task."""
    revealed: Revealed | None = None
    """The secrets that were put into the input, for whoever was handed the task."""
    fault: str | None = None
    """Why whoever was to have the task cannot have it."""


class TaskResult(msgspec.Struct, frozen=True):
    """What has become of a task."""

    workflow_id: str
    task_id: str
    status: TaskStatus
    output: bytes = EMPTY
    output_path: str | None = None
    """Under which name the output was uploaded; None = it came with the answer."""
    merge: bool = False
    reason: str | None = None
    callback_after_s: int = 0
    worker: str | None = None
    logs: tuple[tuple[str, int], ...] = ()
    extend_lease: bool = False


class PollData(msgspec.Struct, frozen=True):
    """Who asked a queue for work last."""

    queue: str
    domain: str | None
    worker: str | None
    last_poll_ms: int


class Changed(msgspec.Struct, frozen=True):
    """A hint that an execution has changed; sent after the commit."""

    workflow_id: str
    status: WorkflowStatus
    inner: bool = False
    """Whether more has changed than tasks of workers: a wait has begun, an execution inside it."""


class Answer(msgspec.Struct, frozen=True):
    """What has become of a task that ran in this process."""

    status: TaskStatus
    """IN_PROGRESS: not done yet; the task is handed out again after ``callback_after_s``, or waits
    for somebody else to complete it."""
    output: dict[str, Any] = {}
    reason: str | None = None
    callback_after_s: int = 0
    logs: tuple[tuple[str, int], ...] = ()
    """Lines with their time in epoch milliseconds."""
