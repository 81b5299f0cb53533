"""What goes into a decision and what comes out: Command, Snapshot, Decision.

No rule of what follows from what stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import (
    EMPTY,
    Pinned,
    Task,
    TaskStatus,
    Workflow,
    check_task_change,
    check_workflow_change,
)


class Start(msgspec.Struct, frozen=True):
    """Start a workflow. The engine resolves the definition before it asks for the decision."""

    input: bytes = EMPTY
    correlation_id: str | None = None
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    created_by: str | None = None
    event: str | None = None
    idempotency_key: str | None = None


class Lease(msgspec.Struct, frozen=True):
    """One hand-over of a task to a worker; held in memory, written with what the worker answers."""

    worker: str | None
    started_ms: int
    """First hand-over of this attempt."""
    polls: int
    """Hand-overs of this attempt so far."""


class UpdateTask(msgspec.Struct, frozen=True):
    """A worker, a person or an API says what has become of a task."""

    ordinal: int
    status: TaskStatus
    output: bytes = EMPTY
    merge: bool = False
    """True: the output's keys are laid over the stored ones. False: it replaces them."""
    reason: str | None = None
    callback_after_s: int = 0
    worker: str | None = None
    logs: tuple[tuple[str, int], ...] = ()
    """Lines with their time in epoch milliseconds."""
    lease: Lease | None = None


class TimerDue(msgspec.Struct, frozen=True):
    """The time that a task or, with ordinal 0, the workflow waited for has come."""

    ordinal: int
    lease: Lease | None = None
    """The hand-over, if a worker holds the task right now."""


class LeaseExpired(msgspec.Struct, frozen=True):
    """A worker has been silent for longer than the response timeout, or busy beyond the limit."""

    ordinal: int
    lease: Lease
    elapsed_s: int
    whole_attempt: bool
    """True: the run time of the attempt is used up. False: no word within the response timeout."""


class Pause(msgspec.Struct, frozen=True):
    """Stop scheduling what comes next."""


class Resume(msgspec.Struct, frozen=True):
    """Go on after a pause."""


class Terminate(msgspec.Struct, frozen=True):
    """End the workflow now."""

    reason: str | None = None


class Retry(msgspec.Struct, frozen=True):
    """Try the failed tasks of an ended workflow once more."""


class Restart(msgspec.Struct, frozen=True):
    """Run an ended workflow from its beginning. The engine has chosen the definition."""


Command = (
    Start | UpdateTask | TimerDue | LeaseExpired | Pause | Resume | Terminate | Retry | Restart
)


class Publication(msgspec.Struct, frozen=True):
    """A message that a workflow sends; handed over to its queue in the same transaction."""

    message_id: str
    sink: str
    """``mqtt:`` and a topic, or ``conductor:`` and the name of an internal queue."""
    payload: bytes


class LogLine(msgspec.Struct, frozen=True):
    """A line in a task's log."""

    ordinal: int
    line: str
    created_ms: int


class Decision(msgspec.Struct, frozen=True):
    """Everything that shall be written, as data: together or not at all."""

    workflow: Workflow | None = None
    """The workflow's record if it changed."""
    tasks: tuple[Task, ...] = ()
    """Records that are new or changed, in the order of their ordinals."""
    dropped: tuple[int, ...] = ()
    """Ordinals of records that are taken away (restart)."""
    publications: tuple[Publication, ...] = ()
    logs: tuple[LogLine, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing has to be written."""
        return not (self.workflow or self.tasks or self.dropped or self.publications or self.logs)


JOINS = frozenset({"JOIN", "EXCLUSIVE_JOIN"})
"""Kinds whose open records wait for references."""


class Snapshot:
    """One execution as the decider sees it: its records and the indexes a decision asks for.

    ``decide`` moves it forward and says what it changed. It belongs to one transaction at a time;
    when that fails, the snapshot is thrown away and read again. Each question is answered in a time
    that does not grow with the number of records.
    """

    def __init__(self, workflow: Workflow, pinned: Pinned, tasks: list[Task]) -> None:
        self.workflow = workflow
        self.pinned = pinned
        self.tasks: dict[int, Task] = {}
        self.latest: dict[str, int] = {}
        """Ordinal of the newest record of each reference name."""
        self.open: dict[int, None] = {}
        """Ordinals of the unfinished records, oldest first."""
        self.unfinished: dict[int, set[str]] = {}
        """For each open JOIN the references it still waits for."""
        self.weight = 0
        """What whoever keeps the snapshot in memory counts it as."""
        self._waiting: dict[str, list[int]] = {}
        self._parsed: dict[tuple[int, str], Any] = {}
        self.next_seq = 1
        self.next_ordinal = workflow.next_ordinal
        """The first ordinal that no record has had."""
        for task in tasks:
            self._index(task)
        for task in tasks:
            if task.kind in JOINS and not task.status.terminal:
                self.await_refs(task.ordinal, join_refs(task))

    # Reading.

    def find(self, ref: str) -> Task | None:
        """The newest record of a reference name."""
        ordinal = self.latest.get(ref)
        return None if ordinal is None else self.tasks[ordinal]

    def open_tasks(self) -> list[Task]:
        """The unfinished records, oldest first."""
        return [self.tasks[ordinal] for ordinal in self.open]

    def in_order(self) -> Iterator[Task]:
        """All records by their place in the list."""
        return iter(sorted(self.tasks.values(), key=lambda task: task.seq))

    def joins_waiting_for(self, ref: str) -> list[int]:
        """Ordinals of the open JOINs that name a reference."""
        return [join for join in self._waiting.get(ref, ()) if join in self.open]

    def parsed(self, ordinal: int, part: str) -> Any:
        """A payload as Python values; parsed once.

        Args:
            ordinal: of a task, or 0 for the workflow.
            part: ``input``, ``output`` or, for the workflow, ``variables``.
        """
        key = (ordinal, part)
        if key not in self._parsed:
            holder = self.tasks[ordinal] if ordinal else self.workflow
            self._parsed[key] = msgspec.json.decode(getattr(holder, part))
        return self._parsed[key]

    # Changing; only the decider does.

    def put(self, task: Task) -> None:
        """Add or replace a record.

        Raises:
            IllegalChange: when the table of status changes does not know the change.
        """
        old = self.tasks.get(task.ordinal)
        if old is not None and old.status is not task.status:
            check_task_change(old.status, task.status)
        self._parsed.pop((task.ordinal, "input"), None)
        self._parsed.pop((task.ordinal, "output"), None)
        self._index(task)

    def put_workflow(self, workflow: Workflow) -> None:
        """Replace the workflow's record.

        Raises:
            IllegalChange: when the table of status changes does not know the change.
        """
        if workflow.status is not self.workflow.status:
            check_workflow_change(self.workflow.status, workflow.status)
        for part in ("input", "output", "variables"):
            self._parsed.pop((0, part), None)
        self.workflow = workflow

    def clear(self) -> list[int]:
        """Take all task records away; returns their ordinals."""
        dropped = list(self.tasks)
        for index in (self.tasks, self.latest, self.open, self.unfinished, self._waiting):
            index.clear()
        self._parsed.clear()
        self.next_seq = 1
        return dropped

    def await_refs(self, join: int, refs: list[str]) -> None:
        """Make an open JOIN wait for references that are not finished yet."""
        self.unfinished[join] = {ref for ref in refs if not self._finished(ref)}
        for ref in refs:
            joins = self._waiting.setdefault(ref, [])
            if join not in joins:
                joins.append(join)

    def _finished(self, ref: str) -> bool:
        task = self.find(ref)
        return task is not None and _settled(task)

    def _index(self, task: Task) -> None:
        self.tasks[task.ordinal] = task
        self.next_seq = max(self.next_seq, task.seq + 1)
        self.next_ordinal = max(self.next_ordinal, task.ordinal + 1)
        if self.latest.get(task.ref, 0) <= task.ordinal:
            self.latest[task.ref] = task.ordinal
            self._tell_joins(task)
        if task.status.terminal:
            self.open.pop(task.ordinal, None)
            self.unfinished.pop(task.ordinal, None)
        else:
            self.open[task.ordinal] = None

    def _tell_joins(self, task: Task) -> None:
        for join in self._waiting.get(task.ref, ()):
            refs = self.unfinished.get(join)
            if refs is None:
                continue
            if _settled(task):
                refs.discard(task.ref)
            else:
                refs.add(task.ref)


def _settled(task: Task) -> bool:
    """Whether a JOIN may count the record as finished.

    A failure whose consequences are still to be drawn may yet become another attempt, or
    COMPLETED_WITH_ERRORS, or the end of the workflow.
    """
    return task.status.terminal and task.executed


def step_of(task: Task) -> WorkflowTask | None:
    """The step that a record brought along, for tasks that the definition does not hold."""
    return None if task.step is None else msgspec.json.decode(task.step, type=WorkflowTask)


def join_refs(task: Task) -> list[str]:
    """The references that a join waits for, the default ones last, with their iteration."""
    names: JsonObject = msgspec.json.decode(task.input)
    suffix = f"__{task.iteration}" if task.iteration else ""
    awaited = [*(names.get("joinOn") or ()), *(names.get("defaultExclusiveJoinTask") or ())]
    return [f"{name}{suffix}" for name in awaited]
