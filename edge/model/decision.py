"""What goes into a decision and what comes out: Commands and the Decision.

No rule of what follows from what stands here; what is known before stands in ``snapshot``.
"""

from __future__ import annotations

import msgspec

from edge.model.calls import Call
from edge.model.definitions import JsonObject
from edge.model.executions import (
    EMPTY,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
)
from edge.model.outputs import KeptOutput


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
    output_path: str | None = None
    """Under which name the output was uploaded; None = it came with the answer."""
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
    failure_workflow: bool = False
    """Whether the failure workflow is started; Conductor's own API never does."""
    by_parent: bytes = b""
    """Id of the execution around it, when that one has ended; b"" = somebody asked for it."""


class Retry(msgspec.Struct, frozen=True):
    """Try the failed tasks of an ended workflow once more."""


class Restart(msgspec.Struct, frozen=True):
    """Run an ended workflow from its beginning. The engine has chosen the definition."""


class Rerun(msgspec.Struct, frozen=True):
    """Run an ended workflow again, from its beginning or from one of its tasks."""

    ordinal: int = 0
    """Of the task to start from; 0 = the beginning."""
    input: bytes | None = None
    """Replaces the workflow's input; None = does not."""
    task_input: bytes | None = None
    correlation_id: str | None = None


class Admit(msgspec.Struct, frozen=True):
    """The turn of an execution has come that had to wait because of its rate limit."""

    later: bool = False
    """True: the transaction has let in as many as it may; its own timer shall come back to it."""


class Skip(msgspec.Struct, frozen=True):
    """Count a task that the flow has not come to as done."""

    ref: str
    input: bytes = EMPTY
    output: bytes = EMPTY


class Jump(msgspec.Struct, frozen=True):
    """Go on from another task; what is open is given up, what lies between counts as skipped."""

    ref: str
    input: bytes = EMPTY


class Upgrade(msgspec.Struct, frozen=True):
    """Go on by another definition. The engine has pinned it to the Snapshot."""

    input: bytes | None = None
    outputs: dict[str, JsonObject] = {}
    """Outputs of the new definition's tasks that count as done, by reference."""


class UpdateVariables(msgspec.Struct, frozen=True):
    """Lay values over the workflow's variables."""

    values: bytes
    append: bool = False
    """True: a list is added to the list that is there."""


class ResetCallbacks(msgspec.Struct, frozen=True):
    """Hand out at once what waits for a delay that its worker asked for."""


class LaunchNow(msgspec.Struct, frozen=True):
    """Start what a task asked for and what the transaction then had no room for."""

    ordinal: int


class Launched(msgspec.Struct, frozen=True):
    """What a task, or with ordinal 0 the failure of the workflow, asked for has been started."""

    ordinal: int
    workflow_id: bytes
    version: int = 0
    """Of its definition."""


class LaunchFailed(msgspec.Struct, frozen=True):
    """It could not be started."""

    ordinal: int
    reason: str


class Adopted(msgspec.Struct, frozen=True):
    """An execution that was nobody's child has become one's."""

    parent: bytes
    """Id of the task that waits for it, 16 bytes."""


class ChildEnded(msgspec.Struct, frozen=True):
    """The execution that a SUB_WORKFLOW task has started has come to its end."""

    ordinal: int
    child: bytes
    title: str
    """Name, version and id, for people to read."""
    status: WorkflowStatus
    output: bytes
    reason: str | None


class ChildReopened(msgspec.Struct, frozen=True):
    """The execution that a SUB_WORKFLOW task has started runs once more."""

    ordinal: int
    child: bytes
    how: str
    """``restarted``, ``retried`` or ``reran``."""


class MessagesArrived(msgspec.Struct, frozen=True):
    """Somebody has sent messages to this execution."""


class Started(msgspec.Struct, frozen=True):
    """A worker holds a task whose start is to be told; other hand-overs are not written."""

    ordinal: int
    started_ms: int


class PullLater(msgspec.Struct, frozen=True):
    """There were too many hand-overs of messages in one transaction; the task asks again."""

    ordinal: int


Command = (
    Start
    | UpdateTask
    | TimerDue
    | LeaseExpired
    | Pause
    | Resume
    | Terminate
    | Retry
    | Restart
    | Rerun
    | Admit
    | Skip
    | Jump
    | Upgrade
    | UpdateVariables
    | ResetCallbacks
    | LaunchNow
    | Launched
    | LaunchFailed
    | Adopted
    | ChildEnded
    | ChildReopened
    | MessagesArrived
    | PullLater
    | Started
)


class Publication(msgspec.Struct, frozen=True):
    """A message that a workflow sends; handed over to its queue in the same transaction."""

    message_id: str
    sink: str
    """``mqtt:`` and a topic, ``conductor:`` and the name of an internal queue, or, for listeners,
    the address of a web server."""
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
    calls: tuple[Call, ...] = ()
    """What is asked of other executions, in order, within the same transaction."""
    kept: tuple[KeptOutput, ...] = ()
    """Outputs that later tasks with the same input may take over."""
    moved: tuple[int, ...] = ()
    """Ordinals of records that are new or have another status than before; nothing is written."""
    queued: tuple[int, ...] = ()
    """Ordinals of records that workers may have from now on; nothing of it is written."""
    ended: tuple[int, ...] = ()
    """Ordinals of records that have come to their end with it; nothing of it is written."""

    @property
    def empty(self) -> bool:
        """Whether nothing has to be written or done."""
        return not (
            self.workflow
            or self.tasks
            or self.dropped
            or self.publications
            or self.logs
            or self.calls
        )
