"""What the rest of the daemon is told after a COMMIT: hints, of which losing one costs latency.

Nothing is decided or written here.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.figures import Figures
from edge.model.decision import Decision
from edge.model.executions import Pinned, Task, TaskStatus, Workflow

TaskId = tuple[bytes, int]
"""Workflow id and ordinal."""


class Queued(NamedTuple):
    """A task that workers may have from now on."""

    workflow: Workflow
    pinned: Pinned
    task: Task


class Effects:
    """What the rest of the daemon should know after the COMMIT. Hints: losing one costs latency."""

    def __init__(self) -> None:
        self.queued: dict[TaskId, Queued] = {}
        self.ended: dict[TaskId, None] = {}
        """Tasks that nobody may be handed any more, and that are over."""
        self.left: dict[TaskId, None] = {}
        """Tasks that nobody may be handed any more, and that are still under way."""
        self.changed: dict[bytes, Workflow] = {}
        self.inner: set[bytes] = set()
        """Those of the changed executions of which more has changed than tasks of workers."""
        self.due_ms = 0
        """The earliest new deadline; 0 = none."""
        self.outbox = False
        self.messages = False
        """Messages of workflows wait for the handlers of their event."""
        self.deliveries = False
        """Notices of listeners wait to be posted."""

    def see(self, step: Step) -> None:
        """Gather what one decision means for the others; a later one has the last word."""
        workflow, decision = step.workflow, step.decision
        self.changed[workflow.id] = workflow
        if decision.workflow is not None:
            self._see_moment(decision.workflow.due_ms)
        # A fork queues thousands at once, and each of them is looked up.
        queued = frozenset(decision.queued) if len(decision.queued) > 1 else decision.queued
        for task in decision.tasks:
            self._see_moment(task.due_ms)
            if task.queue is None:
                self.inner.add(workflow.id)
            task_id = (workflow.id, task.ordinal)
            if task.status.terminal:
                self._end(task_id)
            elif task.queue is None:
                continue
            elif task.status is not TaskStatus.SCHEDULED:
                self.queued.pop(task_id, None)
                self.left[task_id] = None
            elif task.ordinal in queued or task_id in self.queued:
                self.ended.pop(task_id, None)
                self.left.pop(task_id, None)
                self.queued[task_id] = Queued(workflow, step.pinned, task)
        for ordinal in decision.dropped:
            self._end((workflow.id, ordinal))

    def _see_moment(self, due_ms: int) -> None:
        if due_ms and (not self.due_ms or due_ms < self.due_ms):
            self.due_ms = due_ms

    def _end(self, task_id: TaskId) -> None:
        self.queued.pop(task_id, None)
        self.left.pop(task_id, None)
        self.ended[task_id] = None


class Step(NamedTuple):
    """One decision of a request, kept until the whole request has gone well."""

    workflow: Workflow
    """After the decision."""
    pinned: Pinned
    decision: Decision
    started: bool
    """Whether the execution begins with it."""
    ended: bool = False
    """Whether the execution ends with it."""
    repinned: bool = False
    """Whether the execution goes on by another definition from here on."""

    def tell(self, figures: Figures) -> None:
        """Count what has begun and ended with it."""
        workflow, decision = self.workflow, self.decision
        if self.started:
            figures.workflows_started.count(workflow.name)
        if self.ended:
            figures.workflows_ended.count(workflow.name, workflow.status)
        if not decision.ended:
            return
        ended = frozenset(decision.ended) if len(decision.ended) > 1 else decision.ended
        for task in decision.tasks:
            if task.ordinal in ended:
                figures.tasks_ended.count(task.type, task.status)
