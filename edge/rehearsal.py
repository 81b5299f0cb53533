"""Rehearsals: a workflow run to its end on a clock of its own, with results that were made up.

The decider and the store are the real ones, on a database that is thrown away; no worker, no other
server and no execution of the device ever hears of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from edge.clock import Clock, RandomIds
from edge.engine import Engine
from edge.lookups import Lookups
from edge.model.decision import Command, LaunchNow, Lease, LeaseExpired, TimerDue, UpdateTask
from edge.model.elapsed import NO_JUMPS, TimeKept
from edge.model.errors import InvalidInput, Overloaded
from edge.model.executions import Task, TaskStatus
from edge.model.requests import ExecutionView, StartRequest
from edge.model.snapshot import Snapshot, step_of
from edge.scripts import Evaluators
from edge.store.scratch import Contents, contents, scratch
from edge.transactions import Disk, Transaction

T = TypeVar("T")

_MAX_ROUNDS = 20_000
"""Steps of one rehearsal; what has been reached by then is the answer, as in Conductor."""

_LIMIT_S = 20.0
"""Time of one rehearsal; a loop that never ends is a fault of the definition's."""

_AT_ONCE = 4
"""Rehearsals that run at the same time; more are asked to come again."""

_MAX_TIME_MS = 10 * 365 * 24 * 3600 * 1000
"""Time that one result may take: longer than any device is waited for. The rounds above together
stay within what the database can count."""

_STRUCTURE = frozenset({"JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"})
"""Kinds that wait for others and never for a result of their own."""


class Mock(msgspec.Struct, frozen=True, rename="camel"):
    """One made-up result of a task."""

    status: str = "COMPLETED"
    output: dict[str, object] = {}
    execution_time: int = 0
    """Milliseconds between hand-over and result, ten years at most."""
    queue_wait_time: int = 0
    """Milliseconds in the queue before, ten years at most."""


class Rehearsal(msgspec.Struct, frozen=True):
    """What to run, and the results of its tasks."""

    request: StartRequest
    mocks: Mapping[str, list[Mock]] = {}
    """By reference; one is used up by each attempt."""
    children: Mapping[str, Rehearsal] = {}
    """The results inside sub-workflows, by the reference of the task that starts them."""


class _OwnClock:
    """Time that passes only when the rehearsal says so."""

    jumps = NO_JUMPS

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    elapsed_ms = monotonic_ms

    def kept(self) -> TimeKept:
        return TimeKept()

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self._now_ms += max(0, duration_ms)


class Rehearsals:
    """Runs rehearsals with what an engine has registered.

    Args:
        engine: whose definitions are copied.
        scripts: evaluates scripts; the calling thread waits for them.
        lookups: what expressions ask of the device.
    """

    def __init__(self, engine: Engine, scripts: Evaluators, lookups: Lookups) -> None:
        self._engine = engine
        self._scripts = scripts
        self._lookups = lookups
        self._running = 0

    async def run(self, rehearsal: Rehearsal) -> ExecutionView:
        """How far the workflow comes with these results.

        Raises:
            NotFound: no such definition.
            Overloaded: too many run at the moment.
            InvalidInput: a result has a status that is none or takes too long, or there is no end
                to it.
        """
        if self._running >= _AT_ONCE:
            raise Overloaded(f"{_AT_ONCE} workflow tests run already; send this one again later")
        self._running += 1
        try:
            copied = await self._engine.database.read(contents)
            stage = _Stage(self._scripts, self._lookups, self._engine.clock)
            return await asyncio.to_thread(stage.play, copied, rehearsal)
        finally:
            self._running -= 1


class _Stage:
    """One rehearsal while it runs, on a thread of its own."""

    def __init__(self, scripts: Evaluators, lookups: Lookups, clock: Clock) -> None:
        self._real = clock
        self._clock = _OwnClock(clock.now_ms())
        self._disk = Disk(self._clock, RandomIds(), scripts, boot=1, syncing=False, lookups=lookups)
        self._used: dict[tuple[bytes, str], int] = {}

    def play(self, copied: Contents, rehearsal: Rehearsal) -> ExecutionView:
        """Start it with what was copied, and hand in one result after the other."""
        ends_ms = self._real.monotonic_ms() + round(_LIMIT_S * 1000)
        connection = scratch(copied)
        try:
            root, _ = self._do(connection, lambda t: t.start(rehearsal.request))
            for _ in range(_MAX_ROUNDS):
                if self._real.monotonic_ms() > ends_ms:
                    raise InvalidInput(
                        f"the workflow has not come to an end within {_LIMIT_S:g} seconds"
                    )
                if not self._do(connection, lambda t: self._round(t, root, rehearsal)):
                    break
            return self._do(connection, lambda t: _view(t.snapshot(root)))
        finally:
            connection.close()

    def _do(self, connection: sqlite3.Connection, function: Callable[[Transaction], T]) -> T:
        (outcome,), _ = self._disk.run(connection, [function])
        if outcome.error is not None:
            raise outcome.error
        result: T = outcome.result
        return result

    def _round(self, transaction: Transaction, workflow_id: bytes, known: Rehearsal) -> bool:
        """Take one step somewhere; False when nothing is left to be done."""
        snapshot = transaction.snapshot(workflow_id)
        workflow = snapshot.workflow
        if workflow.status.terminal:
            return False
        if 0 < workflow.due_ms <= self._clock.now_ms():
            transaction.decide(workflow_id, TimerDue(0))
            return True
        return any(self._step(transaction, snapshot, task, known) for task in snapshot.open_tasks())

    def _step(
        self, transaction: Transaction, snapshot: Snapshot, task: Task, known: Rehearsal
    ) -> bool:
        if task.kind in _STRUCTURE:
            return False
        mock = self._next_mock(snapshot.workflow.id, task, known)
        if mock is not None:
            self._hand_in(transaction, snapshot.workflow.id, task, mock)
            return True
        if task.kind in ("SUB_WORKFLOW", "START_WORKFLOW") and not task.child:
            self._pass(transaction, task.deliver_ms - self._clock.now_ms())
            transaction.decide(snapshot.workflow.id, LaunchNow(task.ordinal))
            return True
        if task.child:
            inside = known.children.get(task.ref) or known.children.get(task.step_ref)
            return self._round(transaction, task.child, inside or Rehearsal(known.request))
        return False

    def _next_mock(self, workflow_id: bytes, task: Task, known: Rehearsal) -> Mock | None:
        """The next result for a task: by its whole name in a loop, else by the one it has there."""
        ref = task.ref if task.ref in known.mocks else task.step_ref
        used = self._used.get((workflow_id, ref), 0)
        mocks = known.mocks.get(ref, [])
        if used >= len(mocks):
            return None
        self._used[workflow_id, ref] = used + 1
        return mocks[used]

    def _hand_in(
        self, transaction: Transaction, workflow_id: bytes, task: Task, mock: Mock
    ) -> None:
        """Let the task wait and run as long as the result says, then report it if it still runs."""
        _check(task.ref, mock)
        self._pass(transaction, task.deliver_ms - self._clock.now_ms())
        self._pass(transaction, mock.queue_wait_time)
        self._timers(transaction, workflow_id, task.ordinal, None)
        lease = Lease("rehearsal", self._clock.now_ms(), task.polls + 1)
        self._pass(transaction, mock.execution_time)
        self._timers(transaction, workflow_id, task.ordinal, lease)
        self._silence(transaction, workflow_id, task, lease, mock)
        status = TaskStatus(mock.status)
        if self._is_open(transaction, workflow_id, task.ordinal):
            output = msgspec.json.encode(mock.output)
            transaction.decide(workflow_id, UpdateTask(task.ordinal, status, output, lease=lease))

    def _pass(self, transaction: Transaction, duration_ms: int) -> None:
        """Let time pass inside a request, which elsewhere is one moment."""
        self._clock.pass_ms(duration_ms)
        transaction.memory.now_ms = self._clock.now_ms()

    def _timers(
        self, transaction: Transaction, workflow_id: bytes, ordinal: int, lease: Lease | None
    ) -> None:
        """Act on limits of the task and of the workflow that the time has passed."""
        if self._is_open(transaction, workflow_id, ordinal):
            transaction.decide(workflow_id, TimerDue(ordinal, lease))
        workflow = transaction.snapshot(workflow_id).workflow
        if not workflow.status.terminal and 0 < workflow.due_ms <= self._clock.now_ms():
            transaction.decide(workflow_id, TimerDue(0))

    def _silence(
        self,
        transaction: Transaction,
        workflow_id: bytes,
        task: Task,
        lease: Lease,
        mock: Mock,
    ) -> None:
        """A worker that takes longer than it may be silent is not waited for."""
        step = step_of(task) or transaction.snapshot(workflow_id).pinned.step(task)
        settings = None if step is None else step.task_definition
        if task.queue is None or settings is None:
            return
        limit_ms = settings.response_timeout_seconds * 1000
        if 0 < limit_ms < mock.execution_time and self._is_open(
            transaction, workflow_id, task.ordinal
        ):
            expired: Command = LeaseExpired(
                task.ordinal, lease, mock.execution_time // 1000, whole_attempt=False
            )
            transaction.decide(workflow_id, expired)

    def _is_open(self, transaction: Transaction, workflow_id: bytes, ordinal: int) -> bool:
        snapshot = transaction.snapshot(workflow_id)
        task = snapshot.tasks.get(ordinal)
        return (
            task is not None and not task.status.terminal and not snapshot.workflow.status.terminal
        )


def _check(ref: str, mock: Mock) -> None:
    """Refuse a result that no task could have.

    Raises:
        InvalidInput: the message names the field.
    """
    if mock.status not in TaskStatus.__members__:
        raise InvalidInput(
            f"taskRefToMockOutput: {ref} has the status {mock.status[:80]!r}, which is "
            f"not one of {', '.join(TaskStatus)}"
        )
    for field, value in (
        ("executionTime", mock.execution_time),
        ("queueWaitTime", mock.queue_wait_time),
    ):
        if value > _MAX_TIME_MS:
            raise InvalidInput(
                f"taskRefToMockOutput: {ref} has more than {_MAX_TIME_MS} milliseconds, which are "
                f"ten years, as its {field}"
            )


def _view(snapshot: Snapshot) -> ExecutionView:
    return ExecutionView(snapshot.workflow, snapshot.pinned, list(snapshot.in_order()))
