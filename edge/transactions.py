"""What happens on the disk thread: everything that waits is decided and written in one COMMIT.

No event loop, no queue and no lease is touched here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec
import structlog

from edge.admission import Admission
from edge.clock import Clock, Ids, stopwatch_s
from edge.decider.decide import decide
from edge.decider.draft import Sources
from edge.decider.outside import NOBODY, NOWHERE, Outside
from edge.decider.scripts import ScriptNeedsTime
from edge.effects import Effects, Step
from edge.figures import Figures
from edge.history import History
from edge.launches import (
    answered_by,
    failed_first,
    new_workflow,
    refuse_adoption,
    start_request,
    still_wanted,
)
from edge.listeners import Listeners
from edge.lookups import Lookups
from edge.memory import Memory, Outcome, Unwritable
from edge.model.calls import Call, Launch, Pull, Tell
from edge.model.decision import (
    Adopted,
    Command,
    Decision,
    Launched,
    LaunchFailed,
    Restart,
    Retry,
    Start,
    Upgrade,
)
from edge.model.definitions import JsonObject
from edge.model.errors import BatonError, InvalidInput, NotFound
from edge.model.executions import Pinned, Workflow, WorkflowStatus, task_bytes, workflow_uuid
from edge.model.requests import StartRequest
from edge.model.snapshot import Snapshot
from edge.pulls import Box, answer_to
from edge.scripts import Evaluators
from edge.storage import Storage
from edge.store.departures import Departures
from edge.store.executions import UNFIT, Executions
from edge.store.mailboxes import Mailboxes
from edge.store.metadata import Metadata
from edge.store.outbox import OutboxWriter
from edge.store.outputs import Outputs
from edge.store.payloads import Payloads
from edge.store.timers import Timeline
from edge.tables import Tables
from edge.wire import Encoder
from sync.database import roll_back

T = TypeVar("T")
log = structlog.get_logger()

_LAUNCHES_AT_ONCE = 500
"""Executions that one request starts. Tasks that ask for more wait in their queue, durably, and are
served in the transactions that follow."""

Completions: TypeAlias = "Callable[[Effects], Iterable[Callable[[Transaction], Any]]]"
"""Given what a transaction has led to so far, gives what else is to be carried out in it, one after
the other; one that fails is undone alone. Asked on the disk thread."""


class Disk:
    """The engine's half that lives on the disk thread.

    Args:
        clock, ids: time and new ids.
        scripts: evaluates the scripts of requests that can wait for them.
        boot: number of this opening of the database, written with each record.
        syncing: whether history is kept for a control plane.
        lookups: what expressions ask of the device; None = there is nothing to ask.
        payloads: puts large payloads into files; None = they stay in the rows.
        listeners: who is told of changes of status; None = whom definitions name.
        stopwatch: seconds since an arbitrary moment.
    """

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        scripts: Evaluators,
        *,
        boot: int,
        syncing: bool,
        lookups: Lookups | None = None,
        payloads: Payloads | None = None,
        listeners: Listeners | None = None,
        stopwatch: Callable[[], float] = stopwatch_s,
    ) -> None:
        self._clock = clock
        self._stopwatch = stopwatch
        self._ids = ids
        self._scripts = scripts
        self._boot = boot
        self._syncing = syncing
        self._lookups = lookups or Lookups()
        self.polls = NOBODY
        """Who asks for work; whoever knows puts itself here. Asked from the disk thread."""
        self.completions: Completions = lambda _: ()
        self.storage = Storage(clock.monotonic_ms)
        self.metadata = Metadata()
        self.executions = Executions(self.metadata, payloads)
        self.outbox = OutboxWriter()
        self._departures = Departures()
        self._timeline = Timeline()
        self._listeners = listeners or Listeners()
        self.outputs = Outputs()
        self.figures = Figures()
        self._admission = Admission(self.executions, self.metadata)
        self.mailboxes = Mailboxes()
        self._encoder = Encoder()
        self._effects = Effects()
        self._memory = Memory(scripts)
        """Of the request that is being carried out."""
        self._outside: Outside = NOWHERE
        """What the connection that is being written to knows of the device."""
        self._steps: list[Step] = []
        self._launches = self._pulls = 0
        self._current: Transaction | None = None
        self._ended: set[bytes] = set()
        self._history = History()
        self.tables = Tables(self.executions, self.metadata, self.storage, self._undo)
        """For those who read what is written here."""

    def memory(self) -> Memory:
        """For a request that shall not wait for its scripts; any thread may ask."""
        return Memory(self._scripts)

    def run(
        self,
        connection: sqlite3.Connection,
        requests: Sequence[Callable[[Transaction], Any]],
        memories: Sequence[Memory] = (),
    ) -> tuple[list[Outcome], Effects]:
        """Carry out requests in one transaction; nothing is told to anybody before its COMMIT.

        A request that fails, or that needs time, is undone alone. When the disk refuses, all of
        them fail, and what is in memory is read again.
        Requests without a memory wait for their scripts, however long these take.

        Raises:
            Unwritable: one of several leads to what no row can hold. Alone, it is refused.
        """
        self._effects = Effects()
        began_s = self._stopwatch()
        self._outside = self._lookups.at(connection)
        memories = memories or [Memory(self._scripts, patient=True) for _ in requests]
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.executions.take_up(connection)
            outcomes = [
                self._attempt(connection, request, memory)
                for request, memory in zip(requests, memories, strict=True)
            ]
            for completion in self.completions(self._effects):
                self._attempt(connection, completion, Memory(self._scripts))
            self.executions.flush(connection)
            self._timeline.flush(connection, self._clock.kept())
            self.outputs.flush(connection, self._clock.now_ms())
            self._effects.outbox |= self.outbox.flush(connection)
            written = self._departures.flush(connection, self._clock.now_ms())
            self._effects.messages, self._effects.deliveries = written
            written_s = self._stopwatch()
            connection.execute("COMMIT")
        except UNFIT as error:
            self._undo(connection)
            if len(requests) > 1:
                raise Unwritable from error
            log.exception("request_unwritable", reason=str(error))
            return [Outcome(None, InvalidInput(f"this cannot be written: {error}"))], Effects()
        except sqlite3.Error as error:
            self._undo(connection)
            refusal = self.storage.refused_write(error)
            return [Outcome(None, refusal) for _ in requests], Effects()
        self.figures.see_commit(began_s, written_s, self._stopwatch())
        self._timeline.written()
        self.executions.committed()
        for workflow_id in self._ended:
            self.executions.forget(workflow_id)
        self._ended.clear()
        self.executions.trim()
        return outcomes, self._effects

    def _attempt(
        self,
        connection: sqlite3.Connection,
        request: Callable[[Transaction], Any],
        memory: Memory,
    ) -> Outcome:
        self._memory = memory
        memory.begin(self._clock.now_ms())
        transaction = self._current = Transaction(self, connection, memory)
        try:
            result = request(transaction)
        except sqlite3.Error:
            raise
        except ScriptNeedsTime as need:
            self._discard(transaction)
            return Outcome(None, None, need)
        except BatonError as error:
            self._discard(transaction)
            return Outcome(None, error)
        except Exception as error:
            # A fault of ours: the others of the batch must not suffer for it.
            log.exception("request_failed", reason=str(error))
            self._discard(transaction)
            return Outcome(None, error)
        self._keep(connection, transaction)
        return Outcome(result, None)

    def _keep(self, connection: sqlite3.Connection, transaction: Transaction) -> None:
        """The request has gone well: what it staged belongs to the batch."""
        now_ms = self._clock.now_ms() if self._syncing and self._steps else 0
        for step in self._steps:
            if step.decision.publications:
                self.outbox.publish(step.decision.publications)
                self._departures.publish(step.decision.publications)
            if step.decision.kept:
                self.outputs.add(step.decision.kept)
            if self._syncing:
                self._record(connection, step, now_ms)
            self._effects.see(step)
            step.tell(self.figures)
            if step.workflow.status.terminal:
                self.mailboxes.close(connection, step.workflow.key)
                self._ended.add(step.workflow.id)
            else:
                self._ended.discard(step.workflow.id)
        self._forget_request()
        self._admission.keep()
        self.executions.keep()
        transaction.release()

    def _discard(self, transaction: Transaction) -> None:
        """The request has failed: nothing of it is written, and what it moved is read again."""
        self._forget_request()
        self._admission.discard()
        self.executions.discard()
        if transaction.roll_back():
            self.metadata.forget_all()
            self.mailboxes.forget_all()

    def _undo(self, connection: sqlite3.Connection) -> None:
        roll_back(connection)
        self.executions.forget_all()
        self.metadata.forget_all()
        self.outbox.forget_all()
        self._departures.forget_all()
        self.outputs.forget_all()
        self._admission.forget_all()
        self.mailboxes.forget_all()
        self._forget_request()
        self._ended.clear()
        self._history.forget_all()

    def _forget_request(self) -> None:
        self._steps.clear()
        self._launches = self._pulls = 0

    def _record(self, connection: sqlite3.Connection, step: Step, now_ms: int) -> None:
        made = step.workflow, step.decision, step.pinned
        for lane, kind, body in self._history.of(
            *made, started=step.started, repinned=step.repinned
        ):
            self.outbox.add(connection, lane, kind, body, now_ms=now_ms, boot=self._boot)

    # For Transaction.

    def note_control(self, *, shed: bool = False) -> None:
        """Records wait, though the outbox has nothing to flush."""
        self._effects.outbox = True
        if shed:
            self._history.forget_all()

    def decide(
        self, connection: sqlite3.Connection, snapshot: Snapshot, command: Command
    ) -> Decision:
        """Decide, stage what is to be written, and carry out what is asked of other executions."""
        decision = self._step(connection, snapshot, command)
        if decision.calls:
            self._carry_out(connection, snapshot.workflow.id, decision)
        return decision

    def _step(
        self, connection: sqlite3.Connection, snapshot: Snapshot, command: Command
    ) -> Decision:
        self.executions.touch(snapshot)
        before = snapshot.workflow
        # A request that remembers its moment may come to an execution that has moved on since.
        now_ms = max(self._memory.now_ms, before.updated_ms)
        rest = (self.polls, self.outputs.at(connection, now_ms), self._clock.jumps)
        sources = Sources(self._memory, self.metadata.at(connection), self._outside, *rest)
        try:
            self._admission.judge(connection, snapshot, command)
            began_s = self._stopwatch()
            decision = decide(snapshot, command, now_ms, sources)
        except BatonError:
            # Whoever asked may go on: the execution is as it was.
            snapshot.put_workflow(before)
            raise
        self.figures.decisions.see(self._stopwatch() - began_s)
        if decision.empty:
            return decision
        decision = self._listeners.told(command, before, snapshot, decision)
        self.executions.stage(snapshot, decision)
        self.executions.weigh(snapshot)
        after, started = snapshot.workflow, isinstance(command, Start)
        ended = after.status.terminal and not before.status.terminal
        repinned, snapshot.repinned = snapshot.repinned, False
        self._steps.append(Step(after, snapshot.pinned, decision, started, ended, repinned))
        if not self._admission.concerns(before, after):
            return decision
        told = self._admission.settle(connection, before, snapshot, command)
        return msgspec.structs.replace(decision, calls=(*decision.calls, *told))

    def _carry_out(self, connection: sqlite3.Connection, asker: bytes, decision: Decision) -> None:
        """Do what decisions ask for, depth first, until nothing is asked any more.

        It ends: executions can stand in each other so deep and no deeper, and a request starts so
        many and no more.
        """
        waiting = [(asker, call) for call in reversed(decision.calls)]

        def ask(asking: bytes, calls: Sequence[Call]) -> None:
            if calls:
                waiting.extend((asking, call) for call in reversed(calls))

        while waiting:
            asking, call = waiting.pop()
            if isinstance(call, Launch):
                for one in self._launch(connection, asking, call):
                    ask(*one)
            elif isinstance(call, Pull):
                ask(asking, self._pull(connection, asking, call))
            else:
                ask(call.workflow_id, self._tell(connection, asking, call))

    def _tell(self, connection: sqlite3.Connection, asking: bytes, call: Tell) -> Sequence[Call]:
        # Whoever tells a damaged execution something must not suffer for it.
        refused = () if call.refused is None else (Tell(asking, call.refused),)
        snapshot = self.executions.load_undamaged(connection, call.workflow_id)
        if snapshot is None:
            return refused
        try:
            return self._step(connection, snapshot, call.command).calls
        except BatonError:
            # It is in a state in which the command means nothing, and is as it was.
            return refused if snapshot.workflow.status.terminal else ()

    def _launch(
        self, connection: sqlite3.Connection, asking: bytes, call: Launch
    ) -> list[tuple[bytes, Sequence[Call]]]:
        """Start an execution for another; the answer is the other's next command.

        Returns:
            What both ask for now, the new one last.
        """
        snapshot = self.executions.load(connection, asking)
        # In the meantime it may have ended, been removed, or given the task up.
        if snapshot is None or not still_wanted(snapshot, call):
            return []
        if self._launches >= _LAUNCHES_AT_ONCE and call.ordinal:
            return []
        self._launches += 1
        parent = task_bytes(asking, call.ordinal) if call.child else b""
        try:
            request = start_request(snapshot, call, self._encoder)
            started, calls = self._begin(connection, request, parent=parent, depth=call.depth)
            if parent and started.workflow.parent != parent:
                calls = self._adopt(connection, started, parent)
        except BatonError as error:
            refused = LaunchFailed(call.ordinal, error.told)
            return [(asking, self._step(connection, snapshot, refused).calls)]
        one = started.workflow
        told = self._step(connection, snapshot, Launched(call.ordinal, one.id, one.version)).calls
        return [(asking, told), (one.id, calls)]

    def _pull(self, connection: sqlite3.Connection, asking: bytes, call: Pull) -> Sequence[Call]:
        """Hand messages to a task; what it leads to may ask for more."""
        snapshot = self.executions.load(connection, asking)
        if snapshot is None or call.ordinal not in snapshot.open:
            return ()
        self._pulls += 1
        assert self._current is not None, "nothing is decided outside of a request"
        box = Box(self.mailboxes, self._current.connection, snapshot.workflow, self._clock.now_ms())
        command = answer_to(call, box, asked=self._pulls)
        return () if command is None else self._step(connection, snapshot, command).calls

    def _adopt(
        self, connection: sqlite3.Connection, existing: Snapshot, parent: bytes
    ) -> Sequence[Call]:
        """Make an execution that an idempotency key has led to the child of a task.

        Raises:
            Conflict: another task waits for it already, or the task stands inside it.
        """
        refuse_adoption(existing.workflow, parent, partial(self.executions.load, connection))
        return self._step(connection, existing, Adopted(parent)).calls

    def start(
        self, connection: sqlite3.Connection, request: StartRequest
    ) -> tuple[bytes, WorkflowStatus]:
        """Create an execution and take its first decision."""
        self.storage.admit_growth()
        snapshot, calls = self._begin(connection, request, parent=b"", depth=0)
        if calls:
            self._carry_out(connection, snapshot.workflow.id, Decision(calls=tuple(calls)))
        return snapshot.workflow.id, snapshot.workflow.status

    def _begin(
        self,
        connection: sqlite3.Connection,
        request: StartRequest,
        *,
        parent: bytes,
        depth: int,
    ) -> tuple[Snapshot, Sequence[Call]]:
        """The first decision of an execution; what it asks for is still to be carried out."""
        pinned = (
            self.metadata.pin(connection, request.definition)
            if request.definition is not None
            else self.metadata.pin_registered(connection, request.name, request.version)
        )
        existing = self._existing(connection, pinned, request)
        if existing is not None:
            snapshot = self.executions.load(connection, existing.id)
            assert snapshot is not None, "an execution that was found can be read"
            return snapshot, ()
        workflow = new_workflow(
            request,
            pinned,
            key=self.executions.new_key(connection),
            workflow_id=self._memory.workflow_id(self._ids),
            now_ms=self._memory.now_ms,
            parent=parent,
            depth=depth,
        )
        snapshot = self.executions.begin(workflow, pinned)
        try:
            return snapshot, self._step(connection, snapshot, Start()).calls
        except BatonError:
            # Whoever asked may go on without it.
            self.executions.forget(workflow.id)
            raise

    def _existing(
        self, connection: sqlite3.Connection, pinned: Pinned, request: StartRequest
    ) -> Workflow | None:
        """The execution that this start has had already, by its idempotency key."""
        if request.idempotency_key is None:
            return None
        name = pinned.definition.name
        found = self.executions.started_with(connection, request.idempotency_key, name)
        return found if found is not None and answered_by(found, request) else None


class Transaction:
    """What a request may do between BEGIN and COMMIT; a request that raises is undone whole."""

    def __init__(self, disk: Disk, connection: sqlite3.Connection, memory: Memory) -> None:
        self._disk = disk
        self.memory = memory
        self._connection = connection
        self._saved = False
        self.metadata = disk.metadata
        self.executions = disk.executions
        self.outputs = disk.outputs
        self.mailboxes = disk.mailboxes
        self.outbox = disk.outbox

    @property
    def connection(self) -> sqlite3.Connection:
        """For statements of a request's own; from the first one on, a savepoint guards them."""
        if not self._saved:
            # What the requests before have staged must not be undone with this one.
            self.executions.fold(self._connection)
            self._connection.execute("SAVEPOINT request")
            self._saved = True
        return self._connection

    def release(self) -> None:
        """The request has gone well."""
        if self._saved:
            self._connection.execute("RELEASE request")

    def roll_back(self) -> bool:
        """Undo the request's own statements; whether there may have been any."""
        if self._saved:
            self._connection.execute("ROLLBACK TO request")
            self._connection.execute("RELEASE request")
        return self._saved

    @property
    def now_ms(self) -> int:
        """Epoch milliseconds: one moment for the whole request, however often it is tried."""
        return self.memory.now_ms

    def note_control(self, *, shed: bool = False) -> None:
        """The request has written to the control lane; what it has shed may have to be told again."""
        self._disk.note_control(shed=shed)

    def evaluate(self, expression: str, scope: JsonObject, evaluator: str) -> Any:
        """The value of a script with ``$`` = ``scope``.

        Raises:
            ScriptFailed: it raised, cannot be parsed, or took too long.
        """
        return self.memory.evaluate(expression, scope, evaluator)

    def start(self, request: StartRequest) -> tuple[bytes, WorkflowStatus]:
        """Start a workflow; returns its id and where it stands after its first decision."""
        return self._disk.start(self._connection, request)

    def find(self, workflow_id: bytes) -> Snapshot | None:
        """An execution; None = there is none with this id."""
        return self.executions.load(self._connection, workflow_id)

    def snapshot(self, workflow_id: bytes) -> Snapshot:
        """An execution.

        Raises:
            NotFound: there is none with this id.
        """
        snapshot = self.find(workflow_id)
        if snapshot is None:
            raise NotFound(f"No such workflow found by id: {workflow_uuid(workflow_id)}")
        return snapshot

    def decide(self, workflow_id: bytes, command: Command) -> Decision:
        """Take a decision on an execution, and the ones that follow from it on others.

        Raises:
            NotFound: there is none with this id.
            BatonError: the command cannot be obeyed.
        """
        return self.decide_on(self.snapshot(workflow_id), command)

    def decide_on(self, snapshot: Snapshot, command: Command) -> Decision:
        """The same, on an execution that was found."""
        return self._disk.decide(self._connection, snapshot, command)

    def restart(self, workflow_id: bytes, *, latest: bool) -> None:
        """Run an ended execution again, by its own definition or by the latest of that name.

        Raises:
            NotFound: no such execution, or no definition of its name any more.
            Conflict: it is under way.
        """
        workflow = self.snapshot(workflow_id).workflow
        # Of one that is under way the decision says so, whatever has become of the definition.
        if latest and workflow.status.terminal:
            name = workflow.name
            self._repin(workflow_id, self.metadata.pin_registered(self._connection, name, None))
        self.decide(workflow_id, Restart())

    def upgrade(self, workflow_id: bytes, name: str, version: int | None, command: Upgrade) -> None:
        """Let an execution go on by another definition.

        Raises:
            NotFound: no such execution, or no such definition.
            Conflict: the execution has ended.
        """
        self.snapshot(workflow_id)
        self._repin(workflow_id, self.metadata.pin_registered(self._connection, name, version))
        self.decide(workflow_id, command)

    def _repin(self, workflow_id: bytes, pinned: Pinned) -> None:
        snapshot = self.snapshot(workflow_id)
        workflow = msgspec.structs.replace(
            snapshot.workflow,
            pinned=pinned.key,
            version=pinned.definition.version,
            masked_fields=pinned.definition.masked_fields,
        )
        # The records stay as they are until the decision changes them.
        self.executions.replace(snapshot.by_definition(workflow, pinned))

    def retry(self, workflow_id: bytes, *, resume_children: bool) -> None:
        """Try failed tasks again, in the execution itself or in the child that they come from."""
        if resume_children:
            workflow_id = failed_first(self.snapshot(workflow_id), self.find)
        self.decide(workflow_id, Retry())
