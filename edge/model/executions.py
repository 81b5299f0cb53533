"""Executions: one workflow and its tasks as records, with the table of legal status changes.

No rule of when a change is due stands here; the decider holds those.
"""

from __future__ import annotations

import enum
import functools
import uuid

import msgspec

from edge.model.definitions import WorkflowDefinition, WorkflowTask
from edge.model.errors import NotFound
from edge.model.outline import Outline
from edge.model.straight import Straight, straight_steps

EMPTY: bytes = b"{}"
"""The payload that holds nothing."""

ORDINAL_BITS = 24
"""Low bits of a task's key: 16,777,216 task records in one execution."""

_UUID_BYTES, _UUID_LENGTH = 16, 36
"""Of an id, and of its text."""


class WorkflowStatus(enum.StrEnum):
    """Where a workflow stands."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    TERMINATED = "TERMINATED"

    terminal: bool
    """Whether nothing more happens by itself. Worked out once, below."""


for _end in WorkflowStatus:
    _end.terminal = _end not in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)

_UNSUCCESSFUL_ENDS = frozenset(
    {WorkflowStatus.FAILED, WorkflowStatus.TIMED_OUT, WorkflowStatus.TERMINATED}
)
_REOPENED = frozenset({WorkflowStatus.RUNNING})

WORKFLOW_CHANGES: dict[WorkflowStatus, frozenset[WorkflowStatus]] = {
    # Pause, completion, failure, timeout, termination.
    WorkflowStatus.RUNNING: frozenset(WorkflowStatus) - {WorkflowStatus.RUNNING},
    # A paused workflow still times out, and its last task may still end it.
    WorkflowStatus.PAUSED: frozenset(WorkflowStatus) - {WorkflowStatus.PAUSED},
    # Restart and rerun.
    WorkflowStatus.COMPLETED: _REOPENED,
    # Retry, restart and rerun; terminating a failed workflow changes its status.
    WorkflowStatus.FAILED: _REOPENED | {WorkflowStatus.TERMINATED},
    WorkflowStatus.TIMED_OUT: _REOPENED | {WorkflowStatus.TERMINATED},
    WorkflowStatus.TERMINATED: _REOPENED,
}


class TaskStatus(enum.StrEnum):
    """Where a task record stands."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"

    terminal: bool
    """Whether the record is finished. Worked out once, below: a decision asks a dozen times."""
    successful: bool
    """Whether the flow may go on from here."""
    retriable: bool
    """Whether a new attempt is allowed after it."""


_OPEN_TASK = frozenset({TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS})
_UNSUCCESSFUL_TASK = frozenset(
    {
        TaskStatus.FAILED,
        TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        TaskStatus.TIMED_OUT,
        TaskStatus.CANCELED,
    }
)
_NEVER_RETRIED = frozenset(
    {TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.CANCELED, TaskStatus.SKIPPED}
)
_ENDS = frozenset(TaskStatus) - _OPEN_TASK

for _status in TaskStatus:
    _status.terminal = _status not in _OPEN_TASK
    _status.successful = _status not in _UNSUCCESSFUL_TASK
    _status.retriable = _status not in _NEVER_RETRIED

_REOPENED_TASK = frozenset({TaskStatus.IN_PROGRESS, TaskStatus.SCHEDULED})
"""Joins and loops are reopened in place when their workflow is retried, a SUB_WORKFLOW when its
child is, and any task when its workflow is rerun from there."""

_AFTER_FAILURE = _REOPENED_TASK | {TaskStatus.COMPLETED_WITH_ERRORS}
"""A failure becomes COMPLETED_WITH_ERRORS when the task is optional."""

TASK_CHANGES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.SCHEDULED: _ENDS | {TaskStatus.IN_PROGRESS, TaskStatus.SCHEDULED},
    # A worker that asks to be called back puts its task into the queue again.
    TaskStatus.IN_PROGRESS: _ENDS | {TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS},
    # A rerun; and a SUB_WORKFLOW whose child was taken up again after its end.
    TaskStatus.COMPLETED: _REOPENED_TASK,
    TaskStatus.COMPLETED_WITH_ERRORS: _REOPENED_TASK,
    TaskStatus.SKIPPED: _REOPENED_TASK,
    TaskStatus.FAILED: _AFTER_FAILURE,
    TaskStatus.FAILED_WITH_TERMINAL_ERROR: _AFTER_FAILURE,
    TaskStatus.TIMED_OUT: _AFTER_FAILURE,
    TaskStatus.CANCELED: _AFTER_FAILURE,
}


class IllegalChange(AssertionError):
    """A status change that the table does not know: a fault in the decider, never of the caller.

    It is no BatonError: the Snapshot may have moved already, and must be read again.
    """


def check_task_change(old: TaskStatus, new: TaskStatus) -> None:
    """Raise IllegalChange unless a task record may go from ``old`` to ``new``."""
    if new not in TASK_CHANGES[old]:
        raise IllegalChange(f"a task cannot go from {old} to {new}")


def check_workflow_change(old: WorkflowStatus, new: WorkflowStatus) -> None:
    """Raise IllegalChange unless a workflow may go from ``old`` to ``new``."""
    if new not in WORKFLOW_CHANGES[old]:
        raise IllegalChange(f"a workflow cannot go from {old} to {new}")


class Task(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One attempt at one step. Times are epoch milliseconds, 0 = not yet."""

    ordinal: int = msgspec.field(name="o")
    """Number of the record in its execution, from 1; never used twice, not even after a restart."""
    seq: int = msgspec.field(name="q")
    """Place in the list of tasks, from 1."""
    ref: str = msgspec.field(name="r")
    """Reference name; inside a loop it ends in ``__<iteration>``."""
    kind: str = msgspec.field(name="k")
    """The type in the definition, which names the operator: SIMPLE, SWITCH, FORK_JOIN."""
    type: str = msgspec.field(name="t")
    """taskType on the wire: for SIMPLE the name of the task."""
    name: str = msgspec.field(name="n")
    """taskDefName on the wire."""
    status: TaskStatus = msgspec.field(name="s")
    attempt: int = msgspec.field(name="a", default=0)
    """retryCount on the wire; 0 is the first attempt."""
    iteration: int = msgspec.field(name="i", default=0)
    """Iteration of the loop around it, from 1; 0 = no loop."""
    input: bytes = msgspec.field(name="in", default=EMPTY)
    output: bytes = msgspec.field(name="out", default=EMPTY)
    scheduled_ms: int = msgspec.field(name="ts", default=0)
    first_scheduled_ms: int = msgspec.field(name="tf", default=0)
    """Of the first attempt; the base of the total timeout."""
    started_ms: int = msgspec.field(name="tb", default=0)
    ended_ms: int = msgspec.field(name="te", default=0)
    updated_ms: int = msgspec.field(name="tu", default=0)
    due_ms: int = msgspec.field(name="d", default=0)
    """The next moment at which the decider must look at this task; 0 = none."""
    deliver_ms: int = msgspec.field(name="dl", default=0)
    """A SCHEDULED task is not handed out before; 0 = at once."""
    start_delay_s: int = msgspec.field(name="sd", default=0)
    callback_after_s: int = msgspec.field(name="cb", default=0)
    polls: int = msgspec.field(name="p", default=0)
    worker: str | None = msgspec.field(name="w", default=None)
    domain: str | None = msgspec.field(name="dom", default=None)
    reason: str | None = msgspec.field(name="why", default=None)
    retried_from: int = msgspec.field(name="rf", default=0)
    """Ordinal of the attempt that this record replaces; 0 = none."""
    retried: bool = msgspec.field(name="rd", default=False)
    """A later attempt replaces this record."""
    executed: bool = msgspec.field(name="x", default=False)
    """What follows this record has been computed."""
    queue: str | None = msgspec.field(name="qu", default=None)
    """Where workers find it while it is SCHEDULED; None = never handed out."""
    step: bytes | None = msgspec.field(name="st", default=None)
    """The step as JSON, for tasks that the definition does not hold."""
    loop: int = msgspec.field(name="lo", default=0)
    """Ordinal of the DO_WHILE record around it; 0 = none."""
    suffix: str = msgspec.field(name="sx", default="")
    """What the loops around it have added to its name: ``__2``, or ``__2__1`` in a loop in a loop."""
    laps: int = msgspec.field(name="lp", default=0)
    """A DO_WHILE's own iteration, from 1; 0 = it has not run."""
    child: bytes = msgspec.field(name="sub", default=b"")
    """Id of the execution that it has started; b"" = none."""
    output_path: str | None = msgspec.field(name="op", default=None)
    """Under which name a worker has uploaded the output; None = it came with the answer."""
    input_file: bytes = msgspec.field(name="fi", default=b"")
    output_file: bytes = msgspec.field(name="fo", default=b"")
    """Digest of the file that the payload is in, which is empty here then; b"" = it is here."""
    packed: bytes = msgspec.field(name="z", default=b"")
    """The payloads in a row of a record that has ended, compressed; b"" = everywhere else."""

    @property
    def step_ref(self) -> str:
        """The reference name in the definition."""
        return self.ref.removesuffix(self.suffix) if self.suffix else self.ref

    @property
    def shown_iteration(self) -> int:
        """What clients read: of the loop around it; of a loop that stands in none, its own."""
        return self.iteration or self.laps

    @property
    def settled(self) -> bool:
        """Whether nothing more comes of it: it is finished, and so is what it led to.

        A failure whose consequences are still to be drawn may yet become another attempt, or
        COMPLETED_WITH_ERRORS, or the end of the workflow.
        """
        return self.executed and self.status.terminal


class Workflow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One execution without its tasks. Times are epoch milliseconds, 0 = not yet."""

    key: int = msgspec.field(name="k")
    """Ascending number of the execution in this database."""
    id: bytes = msgspec.field(name="id")
    """UUID, 16 bytes."""
    name: str = msgspec.field(name="n")
    version: int = msgspec.field(name="v")
    pinned: int = msgspec.field(name="p")
    """Key of the definition as it was at the start."""
    status: WorkflowStatus = msgspec.field(name="s")
    input: bytes = msgspec.field(name="in", default=EMPTY)
    output: bytes = msgspec.field(name="out", default=EMPTY)
    variables: bytes = msgspec.field(name="var", default=EMPTY)
    correlation_id: str | None = msgspec.field(name="c", default=None)
    priority: int = msgspec.field(name="pr", default=0)
    created_ms: int = msgspec.field(name="tc", default=0)
    updated_ms: int = msgspec.field(name="tu", default=0)
    ended_ms: int = msgspec.field(name="te", default=0)
    last_retried_ms: int = msgspec.field(name="tr", default=0)
    due_ms: int = msgspec.field(name="d", default=0)
    """When the workflow times out; 0 = never."""
    reason: str | None = msgspec.field(name="why", default=None)
    task_to_domain: dict[str, str] = msgspec.field(name="dom", default_factory=dict)
    created_by: str | None = msgspec.field(name="by", default=None)
    event: str | None = msgspec.field(name="ev", default=None)
    idempotency_key: str | None = msgspec.field(name="ik", default=None)
    rate_limit_key: str | None = msgspec.field(name="rk", default=None)
    """Executions of this name with the same key are counted together; None = not limited."""
    rate_limited: bool = msgspec.field(name="rl", default=False)
    """It waits until another with its key has ended; nothing of it is scheduled before."""
    failed_refs: list[str] = msgspec.field(name="fr", default_factory=list)
    failed_names: list[str] = msgspec.field(name="fn", default_factory=list)
    failed_task: int = msgspec.field(name="ft", default=0)
    """Ordinal of the task that ended the workflow; 0 = none."""
    next_ordinal: int = msgspec.field(name="o", default=1)
    """The first ordinal that a restart may use."""
    parent: bytes = msgspec.field(name="pa", default=b"")
    """Id of the SUB_WORKFLOW task that started it, 16 bytes; b"" = nobody's child."""
    depth: int = msgspec.field(name="de", default=0)
    """Executions around it."""
    rerun_from: bytes = msgspec.field(name="rr", default=b"")
    """Id of the execution that it was rerun from, which is its own; b"" = it never was."""
    masked_fields: list[str] = msgspec.field(name="mf", default_factory=list)
    """Of its definition: names whose values are not shown. Kept here because lists of executions
    are shown without their definitions."""
    input_path: str | None = msgspec.field(name="ip", default=None)
    """Under which name a client has uploaded the input; None = it came with the start."""
    input_file: bytes = msgspec.field(name="fi", default=b"")
    output_file: bytes = msgspec.field(name="fo", default=b"")
    """Digest of the file that the payload is in, which is empty here then; b"" = it is here."""
    packed: bytes = msgspec.field(name="z", default=b"")
    """The payloads in a row of a record that has ended, compressed; b"" = everywhere else."""

    @property
    def waits(self) -> bool:
        """Whether it stands in line for its turn; in a pause it does not."""
        return self.rate_limited and self.status is WorkflowStatus.RUNNING

    @property
    def parent_id(self) -> bytes:
        """Id of the execution around it; b"" = none."""
        return self.parent and self.parent[:12] + bytes(4)

    @property
    def parent_ordinal(self) -> int:
        """Ordinal of the SUB_WORKFLOW task in the execution around it; 0 = none."""
        return int.from_bytes(self.parent[12:], "big")


def task_key(workflow_key: int, ordinal: int) -> int:
    """The key of a task record: records of one execution stand side by side."""
    return workflow_key << ORDINAL_BITS | ordinal


def split_task_key(key: int) -> tuple[int, int]:
    """Workflow key and ordinal of a task key."""
    return key >> ORDINAL_BITS, key & ((1 << ORDINAL_BITS) - 1)


def workflow_uuid(workflow_id: bytes) -> str:
    """The text form of a workflow id."""
    return _uuid_text(workflow_id)


def task_uuid(workflow_id: bytes, ordinal: int) -> str:
    """A task's id: the workflow's, with the ordinal in its last four bytes.

    A workflow id ends in four zero bytes, so no index over task ids is needed: the id of a task
    names its workflow.
    """
    return _uuid_text(workflow_id[:12] + ordinal.to_bytes(4, "big"))


def task_uuid_beside(workflow_text: str, ordinal: int) -> str:
    """As ``task_uuid``, of a workflow whose text form is at hand, in a third of its time."""
    return f"{workflow_text[:-8]}{ordinal:08x}"


def _uuid_text(raw: bytes) -> str:
    """As ``str(uuid.UUID(bytes=raw))``, in a sixth of its time; 16 bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def task_bytes(workflow_id: bytes, ordinal: int) -> bytes:
    """A task's id, 16 bytes."""
    return workflow_id[:12] + ordinal.to_bytes(4, "big")


def parse_uuid(text: str) -> tuple[bytes, int] | None:
    """Workflow id and task ordinal of an id's text; None when it is no id of ours.

    The ordinal is 0 for the id of a workflow.
    """
    try:
        # The form that we give out ourselves is read without the long way round.
        raw = bytes.fromhex(text.replace("-", "")) if len(text) == _UUID_LENGTH else b""
        if len(raw) != _UUID_BYTES:
            raw = uuid.UUID(text).bytes
    except ValueError:
        return None
    return raw[:12] + bytes(4), int.from_bytes(raw[12:], "big")


def parse_workflow_id(text: str) -> bytes:
    """A workflow's id as it is stored.

    Raises:
        NotFound: it is no id of a workflow of ours.
    """
    parsed = parse_uuid(text)
    if parsed is None or parsed[1]:
        raise NotFound(f"No such workflow found by id: {text}")
    return parsed[0]


class Pinned(msgspec.Struct, frozen=True, dict=True):
    """A definition as it was when executions started from it, task definitions embedded."""

    key: int
    definition: WorkflowDefinition
    document: bytes
    """The definition as JSON."""

    @functools.cached_property
    def outline(self) -> Outline:
        """Which step follows which; computed when first asked for."""
        return Outline(self.definition.tasks)

    @functools.cached_property
    def straight(self) -> dict[str, Straight]:
        """The steps to which nothing is attached, by reference; found when first asked for."""
        return straight_steps(self.outline)

    @functools.cached_property
    def announces(self) -> bool:
        """Whether any step publishes changes of its state."""
        return b'"onStateChange":{"' in self.document

    def step(self, task: Task) -> WorkflowTask | None:
        """The step that a record is an attempt at; None when the definition does not hold it."""
        place = self.outline.place(task.step_ref)
        return None if place is None else place.step
