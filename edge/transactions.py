"""What happens on the disk thread: everything that waits is decided and written in one COMMIT.

No event loop, no queue and no lease is touched here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog

from edge.clock import Clock, Ids
from edge.decider.decide import decide
from edge.decider.scripts import Scripts
from edge.history import records_of
from edge.lookups import Lookups
from edge.model.decision import Command, Decision, Restart, Snapshot, Start, UpdateTask
from edge.model.definitions import JsonObject
from edge.model.errors import BatonError, Conflict, NotFound, StorageUnavailable
from edge.model.executions import (
    EMPTY,
    Pinned,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    workflow_uuid,
)
from edge.model.requests import StartRequest
from edge.store.events import MessageWriter
from edge.store.executions import Executions, latest_start
from edge.store.metadata import Metadata
from edge.store.outbox import OutboxWriter
from sync.records import KINDS, encode_body

T = TypeVar("T")
log = structlog.get_logger()


class Queued(NamedTuple):
    """A task that workers may have from now on."""

    workflow: Workflow
    pinned: Pinned
    task: Task


class Effects:
    """What the rest of the daemon should know after the COMMIT. Hints: losing one costs latency."""

    def __init__(self) -> None:
        self.queued: list[Queued] = []
        self.ended: list[tuple[bytes, int]] = []
        """Tasks that nobody may be handed any more."""
        self.changed: dict[bytes, Workflow] = {}
        self.due_ms = 0
        """The earliest new deadline; 0 = none."""
        self.outbox = False
        self.messages = False
        """Messages of workflows wait for the handlers of their event."""

    def see(self, snapshot: Snapshot, decision: Decision, requeued: frozenset[int]) -> None:
        """Gather what one decision means for the others."""
        workflow = snapshot.workflow
        self.changed[workflow.id] = workflow
        deadlines = [decision.workflow.due_ms] if decision.workflow is not None else []
        for task in decision.tasks:
            deadlines.append(task.due_ms)
            if task.status.terminal:
                self.ended.append((workflow.id, task.ordinal))
            elif task.ordinal in requeued:
                self.queued.append(Queued(workflow, snapshot.pinned, task))
        self.ended += [(workflow.id, ordinal) for ordinal in decision.dropped]
        for moment in deadlines:
            if moment and (not self.due_ms or moment < self.due_ms):
                self.due_ms = moment


class Outcome(NamedTuple):
    """What one request of a batch came to."""

    result: Any
    error: BaseException | None


class Disk:
    """The engine's half that lives on the disk thread.

    Args:
        clock, ids: time and new ids.
        scripts: evaluates scripts.
        boot: number of this opening of the database, written with each record.
        syncing: whether history is kept for a control plane.
        lookups: what expressions ask of the device; None = there is nothing to ask.
    """

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        scripts: Scripts,
        *,
        boot: int,
        syncing: bool,
        lookups: Lookups | None = None,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._scripts = scripts
        self._lookups = lookups or Lookups()
        self._boot = boot
        self._syncing = syncing
        self.metadata = Metadata()
        self.executions = Executions(self.metadata)
        self._outbox = OutboxWriter()
        self._messages = MessageWriter()
        self._effects = Effects()
        self._ended: set[bytes] = set()

    def run(
        self, connection: sqlite3.Connection, requests: Sequence[Callable[[Transaction], Any]]
    ) -> tuple[list[Outcome], Effects]:
        """Carry out requests in one transaction; nothing is told to anybody before its COMMIT.

        A request that fails is undone alone: it raises before anything of it is written. When the
        disk refuses, all of them fail, and what is in memory is read again.
        """
        self._effects = Effects()
        transaction = Transaction(self, connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(transaction, request) for request in requests]
            self.executions.flush(connection)
            self._effects.outbox = self._outbox.flush(connection)
            self._effects.messages = self._messages.flush(connection, self._clock.now_ms())
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(connection)
            log.error("commit_failed", reason=str(error), requests=len(requests))
            refusal = StorageUnavailable(f"the disk refused to write: {error}")
            return [Outcome(None, refusal) for _ in requests], Effects()
        for workflow_id in self._ended:
            self.executions.forget(workflow_id)
        self._ended.clear()
        self.executions.trim()
        return outcomes, self._effects

    def _attempt(self, transaction: Transaction, request: Callable[[Transaction], Any]) -> Outcome:
        try:
            return Outcome(request(transaction), None)
        except sqlite3.Error:
            raise
        except BatonError as error:
            return Outcome(None, error)
        except Exception as error:
            # A fault of ours: the others of the batch must not suffer for it.
            log.exception("request_failed", reason=str(error))
            return Outcome(None, error)

    def _undo(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self.executions.forget_all()
        self.metadata.forget_all()
        self._outbox.forget_all()
        self._messages.forget_all()
        self._ended.clear()

    # For Transaction.

    def now_ms(self) -> int:
        """The time."""
        return self._clock.now_ms()

    def evaluate(self, expression: str, scope: JsonObject, evaluator: str) -> Any:
        """What a script comes to."""
        return self._scripts.evaluate(expression, scope, evaluator)

    def decide(
        self, connection: sqlite3.Connection, snapshot: Snapshot, command: Command
    ) -> Decision:
        """Decide, and stage what is to be written."""
        first_new = snapshot.next_ordinal
        try:
            decision = decide(
                snapshot,
                command,
                self._clock.now_ms(),
                self._scripts,
                self._lookups.at(connection),
            )
        except Exception:
            # Nothing of it is written, but its Snapshot may be ahead of the disk: it is new, has
            # another definition, or has moved. It is read again.
            self.executions.forget(snapshot.workflow.id)
            raise
        if decision.empty:
            return decision
        workflow = snapshot.workflow
        if decision.dropped:
            self.executions.drop(connection, workflow, decision.dropped)
        self.executions.stage(snapshot, decision)
        self.executions.weigh(snapshot)
        self._outbox.publish(decision.publications)
        self._messages.publish(decision.publications)
        if self._syncing:
            self._record(connection, workflow, decision, started=isinstance(command, Start))
        self._effects.see(snapshot, decision, _requeued(decision, command, first_new))
        if workflow.status.terminal:
            self._ended.add(workflow.id)
        return decision

    def _record(
        self,
        connection: sqlite3.Connection,
        workflow: Workflow,
        decision: Decision,
        *,
        started: bool,
    ) -> None:
        now_ms = self._clock.now_ms()
        for lane, body in records_of(workflow, decision, started=started):
            kind = KINDS[type(body)]
            self._outbox.add(
                connection, lane, kind, encode_body(body), now_ms=now_ms, boot=self._boot
            )

    def start(
        self, connection: sqlite3.Connection, request: StartRequest
    ) -> tuple[bytes, WorkflowStatus]:
        """Create an execution and take its first decision."""
        pinned = (
            self.metadata.pin(connection, request.definition)
            if request.definition is not None
            else self.metadata.pin_registered(connection, request.name, request.version)
        )
        existing = self._existing(connection, pinned, request)
        if existing is not None:
            return existing.id, existing.status
        definition = pinned.definition
        now_ms = self._clock.now_ms()
        workflow = Workflow(
            key=self.executions.new_key(connection),
            id=self._ids.workflow_id(now_ms),
            name=definition.name,
            version=definition.version,
            pinned=pinned.key,
            status=WorkflowStatus.RUNNING,
            input=_with_template(request.input, pinned),
            variables=msgspec.json.encode(definition.variables) if definition.variables else EMPTY,
            correlation_id=request.correlation_id,
            priority=request.priority,
            created_ms=now_ms,
            updated_ms=now_ms,
            task_to_domain=request.task_to_domain,
            created_by=request.created_by,
            event=request.event,
            idempotency_key=request.idempotency_key,
        )
        snapshot = self.executions.begin(workflow, pinned)
        self.decide(connection, snapshot, Start())
        return workflow.id, snapshot.workflow.status

    def _existing(
        self, connection: sqlite3.Connection, pinned: Pinned, request: StartRequest
    ) -> Workflow | None:
        """The execution that this start has had already, by its idempotency key."""
        if request.idempotency_key is None:
            return None
        self.executions.flush(connection)
        name = pinned.definition.name
        found = latest_start(connection, request.idempotency_key, name)
        if found is None:
            return None
        strategy = request.idempotency_strategy or "FAIL"
        if strategy == "RETURN_EXISTING":
            return found
        if strategy == "FAIL" or not found.status.terminal:
            raise Conflict(
                f"Workflow {name} has been started with the idempotency key "
                f"{request.idempotency_key} before: {workflow_uuid(found.id)}"
            )
        return None


class Transaction:
    """What a request may do between BEGIN and COMMIT.

    Anything that a request raises, it raises before it writes.
    """

    def __init__(self, disk: Disk, connection: sqlite3.Connection) -> None:
        self._disk = disk
        self.connection = connection
        self.metadata = disk.metadata
        self.executions = disk.executions

    @property
    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._disk.now_ms()

    def evaluate(self, expression: str, scope: JsonObject, evaluator: str) -> Any:
        """The value of a script with ``$`` = ``scope``.

        Raises:
            ScriptFailed: it raised, cannot be parsed, or took too long.
        """
        return self._disk.evaluate(expression, scope, evaluator)

    def start(self, request: StartRequest) -> tuple[bytes, WorkflowStatus]:
        """Start a workflow; returns its id and where it stands after its first decision."""
        return self._disk.start(self.connection, request)

    def snapshot(self, workflow_id: bytes) -> Snapshot:
        """An execution.

        Raises:
            NotFound: there is none with this id.
        """
        snapshot = self.executions.load(self.connection, workflow_id)
        if snapshot is None:
            raise NotFound(f"No such workflow found by id: {workflow_uuid(workflow_id)}")
        return snapshot

    def decide(self, workflow_id: bytes, command: Command) -> Decision:
        """Take a decision on an execution.

        Raises:
            NotFound: there is none with this id.
            BatonError: the command cannot be obeyed.
        """
        return self._disk.decide(self.connection, self.snapshot(workflow_id), command)

    def restart(self, workflow_id: bytes, *, latest: bool) -> None:
        """Run an ended execution again, by its own definition or by the latest of that name."""
        snapshot = self.snapshot(workflow_id)
        if latest:
            pinned = self.metadata.pin_registered(self.connection, snapshot.workflow.name, None)
            workflow = msgspec.structs.replace(
                snapshot.workflow, pinned=pinned.key, version=pinned.definition.version
            )
            # The records stay as they are until the decision drops them.
            self.executions.replace(Snapshot(workflow, pinned, list(snapshot.tasks.values())))
        self.decide(workflow_id, Restart())


def _requeued(decision: Decision, command: Command, first_new: int) -> frozenset[int]:
    """Ordinals of tasks that enter a queue with this decision."""
    called_back = command.ordinal if isinstance(command, UpdateTask) else 0
    return frozenset(
        task.ordinal
        for task in decision.tasks
        if task.queue is not None
        and task.status is TaskStatus.SCHEDULED
        and (task.ordinal >= first_new or task.ordinal == called_back)
    )


def _with_template(posted: bytes, pinned: Pinned) -> bytes:
    """The input with the template's keys that it lacks; an empty input takes none of them."""
    template = pinned.definition.input_template
    if not template:
        return posted
    values = msgspec.json.decode(posted)
    return msgspec.json.encode({**template, **values}) if values else posted
