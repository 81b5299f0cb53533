"""The engine: takes requests, lets the disk thread decide and write them together, hands out work.

No HTTP word and no device word stands here, and no rule of what follows from what.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from edge import starts
from edge.clock import Clock, Ids, RandomIds, SystemClock, stopwatch_s
from edge.disclosure import Disclosure
from edge.durable import FILES, FileSystem
from edge.effects import Effects
from edge.folded import FoldedDatabase
from edge.group_commit import GroupCommit, Ticket
from edge.handover import HandOver
from edge.listeners import Listeners
from edge.load import Load
from edge.lookups import Lookups
from edge.model.decision import Command, LogLine, Pause, Resume, Terminate, UpdateTask
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.elapsed import TimeKept
from edge.model.errors import BatonError, NotFound, Overloaded, PayloadLost
from edge.model.executions import (
    TaskStatus,
    Workflow,
    parse_uuid,
    parse_workflow_id,
    task_key,
    task_uuid,
    workflow_uuid,
)
from edge.model.requests import (
    Changed,
    ExecutionView,
    PollData,
    StartRequest,
    TaskResult,
    TaskView,
)
from edge.moments import Moments
from edge.reports import taking_over, task_id_of
from edge.scripts import Evaluators
from edge.store import executions, facts, metadata, search
from edge.store.committed import Records
from edge.store.copies import keep_copy
from edge.store.migrations import migrate
from edge.store.payload_files import PayloadFiles
from edge.store.payloads import Payloads
from edge.terms import KnownTerms
from edge.transactions import Completions, Disk, Transaction
from sync.database import Connect, DatabaseError, on_a_thread
from sync.marks import Marks

T = TypeVar("T")
log = structlog.get_logger()

_COUNTED = ("commits", "parked", "refused", "requests", "starts", "timers", "updates")
"""What is counted from 0 on: a counter that is not there has no rate when its first event comes."""


class Engine:
    """One device's engine. ``run`` must be running for any request to be answered.

    Open it with ``Engine.open``.
    """

    def __init__(
        self,
        database: FoldedDatabase,
        disk: Disk,
        clock: Clock,
        boot: facts.Boot,
        *,
        lookups: Lookups,
        payloads: Payloads,
    ) -> None:
        self._database = database
        self._disk = disk
        self.clock = clock
        self.boot = boot
        self.lookups = lookups
        self.figures = disk.figures
        self.payloads = payloads
        terms = KnownTerms()
        disclosure = Disclosure(database, lookups, terms)
        self.load = Load()
        self.hand_over = HandOver(
            database, clock, disclosure, self.figures, payloads=payloads, terms=terms
        )
        disk.polls = self.hand_over
        self._listeners: dict[int, Callable[[Changed], None]] = {}
        self._effect_listeners: list[Callable[[Effects], None]] = []
        self._counters: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
        self._next_listener = 0
        self.storage = self.hand_over.storage = disk.storage
        database.refusal = disk.storage.refusal
        self._commits = GroupCommit(
            database,
            disk,
            self._spread,
            self._counters,
            renewed=self.hand_over.take_up,
            load=self.load,
            monotonic_ms=clock.monotonic_ms,
        )
        self.moments = Moments(self._commits, self.hand_over, database, clock, self._counters)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        scripts: Evaluators,
        clock: Clock | None = None,
        clock_from: Callable[[TimeKept], Clock] = SystemClock,
        ids: Ids | None = None,
        syncing: bool = False,
        lookups: Lookups | None = None,
        listeners: Listeners | None = None,
        connect: Connect = on_a_thread,
        files: FileSystem = FILES,
        read_only: bool = False,
        stopwatch: Callable[[], float] = stopwatch_s,
    ) -> Engine:
        """Open the database and take up what was going on when it was closed.

        Args:
            path: the database file; its folder must exist.
            scripts: evaluates scripts.
            clock, ids: the machine's when None.
            clock_from: makes the clock from what the run before has left, when none is given.
            syncing: whether history is kept for a control plane.
            lookups: what expressions ask of the device; None = there is nothing to ask.
            listeners: who is told of changes of status; None = whom definitions name.
            connect: makes the connections to the database.
            files: changes the files beside it.
            read_only: whether the disk takes no writes: what is there is shown, until ``reopen``.
            stopwatch: seconds since an arbitrary moment, to time commits with.

        Raises:
            DatabaseUnusable: when the file cannot be opened.
            DatabaseDamaged: when the storage has changed it.
            LogCut: when some of what was acknowledged is missing.
            MigrationError: when it is another program's, or of a release too new for this one.
        """
        # Other ways to a database have other logs, or none.
        marks = Marks(path, facts.boot_of) if connect is on_a_thread else None
        if read_only:
            database = await FoldedDatabase.open_to_read(path, migrate)
        else:
            first = partial(keep_copy, database=path, files=files)
            database = await FoldedDatabase.open(path, migrate, connect, marks, first)
        async with database.closed_on_failure():
            # Where it cannot be noted it will be, under the number that it has here.
            note = database.read if read_only else database.transact
            boot = await note(facts.next_boot if read_only else _begin)
        clock = clock or clock_from(boot.time)
        lookups = lookups or Lookups()
        payloads = Payloads(PayloadFiles(path.parent / "payloads", files), lookups.limits)
        disk = Disk(
            clock,
            ids or RandomIds(),
            scripts,
            boot=boot.boot,
            syncing=syncing,
            lookups=lookups,
            payloads=payloads,
            listeners=listeners,
            stopwatch=stopwatch,
        )
        database.folding = disk.tables
        if read_only:
            disk.storage.close_for_writing("the disk takes no writes")
        engine = cls(database, disk, clock, boot, lookups=lookups, payloads=payloads)
        async with database.closed_on_failure():
            await engine.hand_over.take_up(alone=True)
        return engine

    @property
    def database(self) -> FoldedDatabase:
        """The database, for the rooms that read it in their own way."""
        return self._database

    async def run(self) -> None:
        """Commit what arrives, until ``close``."""
        await self._commits.run()

    def _spread(self, effects: Effects) -> None:
        """Tell the rest of the house what has been committed."""
        self.hand_over.see(effects)
        # Nobody looks at most devices most of the time.
        for workflow in effects.changed.values() if self._listeners else ():
            inner = workflow.id in effects.inner
            change = Changed(workflow_uuid(workflow.id), workflow.status, inner)
            for listener in list(self._listeners.values()):
                listener(change)
        for effect_listener in self._effect_listeners:
            effect_listener(effects)

    async def request(self, function: Callable[[Transaction], T]) -> T:
        """Have a function carried out in the next transaction; returns once it is on the disk.

        Raises:
            Overloaded: too much is waiting already.
            StorageUnavailable: the disk refused; nothing was written.
        """
        return await self._commits.request(function)

    async def reopen(self) -> None:
        """Make the connections anew, and read again what is in memory.

        Raises:
            DatabaseError: the disk is not well yet.
            StorageUnavailable: likewise.
        """
        await self._database.reopen()
        await self._database.transact(lambda c: facts.note_again(c, self.boot))
        self.storage.reopened()
        await self.hand_over.take_up()

    async def probe(self) -> None:
        """Have something written. Raises StorageUnavailable when the disk refuses."""
        await self._database.transact(facts.touch)

    def end_polls(self) -> None:
        """Let pollers go without a task: nobody is let wait any more."""
        self.hand_over.queues.waiters.close()

    async def close(self) -> None:
        """Finish what was taken on, then close the database. ``run`` returns by itself."""
        await self._commits.close()
        try:
            await self._database.transact(self._disk.tables.end)
        except (sqlite3.Error, BatonError, DatabaseError) as error:
            # Whoever opens the database next finds what is missing in its tables.
            log.warning("tables_behind", reason=str(error))
        await self._database.close()

    # Executions.

    async def start(self, request: StartRequest) -> str:
        """Start a workflow; returns its id.

        Raises:
            NotFound: no such definition.
            Conflict: the idempotency key has been used.
        """
        workflow_id, _ = await self._commits.request(lambda t: t.start(request), begins=True)
        self._counters["starts"] += 1
        return workflow_uuid(workflow_id)

    def admit_start(self) -> None:
        """Whoever wants to start something is asked to wait when the device is behind.

        Raises:
            Overloaded: what has begun comes first.
        """
        commits = self._commits
        refusal = self.load.refusal(
            commits.oldest_start_ms(), commits.rested_ms(), self.hand_over.behind_ms()
        )
        if refusal is not None:
            raise Overloaded(refusal)

    async def command(self, workflow_id: str, command: Command) -> None:
        """Have a command obeyed.

        Raises:
            NotFound: no such execution.
            BatonError: it cannot be obeyed in this state.
        """
        key = parse_workflow_id(workflow_id)
        await self.request(lambda t: t.decide(key, command))

    async def pause(self, workflow_id: str) -> None:
        """Stop scheduling what comes next. Raises Conflict when it has ended."""
        await self.command(workflow_id, Pause())

    async def resume(self, workflow_id: str) -> None:
        """Go on. Raises IllegalState when it is not paused."""
        await self.command(workflow_id, Resume())

    async def terminate(
        self, workflow_id: str, reason: str | None, *, failure_workflow: bool = False
    ) -> None:
        """End it now. Raises Conflict when it is completed."""
        await self.command(workflow_id, Terminate(reason, failure_workflow=failure_workflow))

    async def retry(self, workflow_id: str, *, resume_children: bool = False) -> None:
        """Try failed tasks once more. Raises NotFound while running, Conflict without any."""
        key = parse_workflow_id(workflow_id)
        await self.request(lambda t: t.retry(key, resume_children=resume_children))

    async def restart(self, workflow_id: str, *, latest: bool) -> None:
        """Run it again from the beginning. Raises Conflict while it is running."""
        key = parse_workflow_id(workflow_id)
        await self.request(lambda t: t.restart(key, latest=latest))

    async def remove(self, workflow_id: str) -> None:
        """Take an execution away; one that is running is terminated first."""
        key = parse_workflow_id(workflow_id)

        def remove(transaction: Transaction) -> None:
            snapshot = transaction.snapshot(key)
            if not snapshot.workflow.status.terminal:
                transaction.decide(key, Terminate("removed"))
            transaction.executions.remove(snapshot.workflow)

        await self.request(remove)

    async def execution(self, workflow_id: str, *, with_tasks: bool = True) -> ExecutionView:
        """An execution with its tasks, as of the last commit, leases laid over.

        Args:
            workflow_id: of the execution.
            with_tasks: whether its tasks are read; otherwise it is shown without any.

        Raises:
            NotFound: no such execution.
        """
        key = parse_workflow_id(workflow_id)
        leases = self.hand_over.leases.all()

        def read(records: Records) -> ExecutionView | None:
            workflow = records.workflow(key)
            if workflow is None:
                return None
            pinned = records.pinned(workflow.pinned)
            found = records.tasks(workflow.key) if with_tasks else []
            tasks = [self.hand_over.as_held(workflow, task, leases) for task in found]
            tasks.sort(key=lambda task: task.seq)
            return self.payloads.shown(ExecutionView(workflow, pinned, tasks))

        view = await self._database.look(read)
        if view is None:
            raise NotFound(f"No such workflow found by id: {workflow_id}")
        return view

    async def workflow(self, workflow_id: str) -> Workflow:
        """The record of an execution without its tasks. Raises NotFound."""
        key = parse_workflow_id(workflow_id)

        def read(records: Records) -> Workflow | None:
            found = records.workflow(key)
            return None if found is None else self.payloads.whole(found)

        workflow = await self._database.look(read)
        if workflow is None:
            raise NotFound(f"No such workflow found by id: {workflow_id}")
        return workflow

    async def running(
        self, name: str, version: int | None, *, created_ms: tuple[int, int] | None = None
    ) -> list[str]:
        """Ids of the executions of a workflow that have not ended, oldest first.

        Args:
            name: of the workflow.
            version: of it; None = any.
            created_ms: from when to when they were started, both inclusive; None = whenever.
        """
        found = await self._database.read(lambda c: search.running(c, name))
        return [
            workflow_uuid(one.id)
            for one in found
            if (version is None or one.version == version)
            and (created_ms is None or created_ms[0] <= one.created_ms <= created_ms[1])
        ]

    async def correlated(
        self, name: str, correlation_id: str, *, include_closed: bool
    ) -> list[Workflow]:
        """Executions of a workflow with a correlation id, oldest first."""
        found = await self._database.read(lambda c: search.correlated(c, name, correlation_id))
        return [w for w in found if include_closed or not w.status.terminal]

    # Tasks.

    async def poll(
        self, queue: str, *, worker: str | None, count: int, timeout_ms: int
    ) -> list[TaskView]:
        """Hand out up to ``count`` tasks; wait for the first up to ``timeout_ms``."""
        taken = await self.hand_over.poll(queue, worker=worker, count=count, timeout_ms=timeout_ms)
        if starts.are_plain(taken):
            return taken
        try:
            for view in taken:
                if view.fault is not None:
                    task_id = task_uuid(view.workflow.id, view.task.ordinal)
                    await self.update(TaskResult("", task_id, TaskStatus.FAILED, reason=view.fault))
            views = [view for view in taken if view.fault is None]
            told = starts.to_be_told(views)
            if told:
                await self.request(lambda t: starts.note(t, told))
        except BaseException:
            # The poller never hears of them: they go back, and are told when somebody does.
            self.give_back([task_uuid(v.workflow.id, v.task.ordinal) for v in taken])
            raise
        # Somebody who held one before may have told its end while the others were noted.
        return [view for view in views if self.hand_over.still_holds(view)]

    def give_back(self, task_ids: list[str]) -> None:
        """Put tasks back into their queues that nobody will work on after all."""
        self.hand_over.give_back(task_ids)

    async def update(self, result: TaskResult) -> str:
        """Take over a worker's answer; returns the task's id.

        A finished task, or any task of a finished workflow, stays as it is.

        Raises:
            NotFound: no such task, or no such execution as it is said to be of.
        """
        task_id = task_id_of(result.task_id)
        if result.extend_lease:
            if not self.hand_over.extend(task_id):
                await self.hand_over.adopt(task_id, result.worker)
            return result.task_id
        await self._commits.request(taking_over(result, task_id, self.hand_over.lease_of(task_id)))
        self._counters["updates"] += 1
        return result.task_id

    async def update_all(self, results: Sequence[TaskResult]) -> list[BatonError | None]:
        """Take over many answers, most of them with one COMMIT; returns why each was refused."""
        refusals: list[BatonError | None] = [None] * len(results)
        tickets: dict[int, Ticket[None]] = {}
        for index, result in enumerate(results):
            try:
                if result.extend_lease:
                    await self.update(result)
                    continue
                task_id = task_id_of(result.task_id)
                lease = self.hand_over.lease_of(task_id)
                tickets[index] = self._commits.submit(taking_over(result, task_id, lease))
            except BatonError as error:
                refusals[index] = error
        for index, ticket in tickets.items():
            try:
                await ticket.answer
                self._counters["updates"] += 1
            except BatonError as error:
                refusals[index] = error
        return refusals

    def extend(self, task_id: str) -> None:
        """The handler that holds a task is alive."""
        parsed = parse_uuid(task_id)
        if parsed is not None:
            self.hand_over.extend(parsed)

    async def update_by_ref(
        self, workflow_id: str, ref: str, status: TaskStatus, output: bytes, worker: str | None
    ) -> str:
        """Update the open task with a reference name; the output is laid over the stored one.

        Returns:
            Its id; empty when no open task has that reference.

        Raises:
            NotFound: no such execution.
        """
        key = parse_workflow_id(workflow_id)

        def update(transaction: Transaction) -> str:
            snapshot = transaction.snapshot(key)
            task = snapshot.pending(ref)
            if task is None:
                return ""
            lease = self.hand_over.lease_of((key, task.ordinal))
            command = UpdateTask(
                task.ordinal, status, output, merge=True, worker=worker, lease=lease
            )
            transaction.decide(key, command)
            return task_uuid(key, task.ordinal)

        return await self.request(update)

    async def task(self, task_id: str) -> TaskView:
        """A task with its workflow. Raises NotFound, and PayloadLost when a file of it is gone."""
        parsed = parse_uuid(task_id)
        leases = self.hand_over.leases.all()
        wanted = [parsed] if parsed is not None and parsed[1] else []
        view = next(iter(await self.hand_over.read(wanted)), None)
        if view is None:
            raise NotFound(f"Task not found for taskId: {task_id}")
        if view.fault is not None:
            raise PayloadLost(view.fault)
        return TaskView(
            view.workflow, view.pinned, self.hand_over.as_held(view.workflow, view.task, leases)
        )

    async def log(self, task_id: str, line: str) -> None:
        """Add a line to a task's log. Raises NotFound."""
        view = await self.task(task_id)
        key, now_ms = task_key(view.workflow.key, view.task.ordinal), self.clock.now_ms()
        await self.request(lambda t: t.executions.add_log(key, now_ms, line))

    async def logs(self, task_id: str) -> list[LogLine]:
        """The log of a task, oldest line first. Raises NotFound."""
        view = await self.task(task_id)
        ordinal = view.task.ordinal
        key = task_key(view.workflow.key, ordinal)
        return await self._database.read(lambda c: executions.read_logs(c, key, ordinal))

    # Definitions.

    async def put_workflow_definition(
        self, definition: WorkflowDefinition, *, overwrite: bool
    ) -> None:
        """Register a workflow. Raises Conflict when it exists and may not be replaced."""
        await self.request(
            lambda t: t.metadata.put_workflow(t.connection, definition, overwrite=overwrite)
        )

    async def workflow_definition(self, name: str, version: int | None) -> WorkflowDefinition:
        """A registered workflow, the latest when no version is named. Raises NotFound."""
        found = await self._database.read(
            lambda c: metadata.read_workflow_definition(c, name, version)
        )
        if found is None:
            wanted = "null" if version is None else version
            raise NotFound(f"No such workflow found by name: {name}, version: {wanted}")
        return found

    async def workflow_definitions(self) -> list[WorkflowDefinition]:
        """All versions of all registered workflows."""
        return await self._database.read(metadata.read_workflow_definitions)

    async def put_task_definitions(self, definitions: list[TaskDefinition]) -> None:
        """Register task definitions or replace them, all or none."""

        def put(transaction: Transaction) -> None:
            for definition in definitions:
                transaction.metadata.put_task(transaction.connection, definition)

        await self.request(put)

    async def task_definition(self, name: str) -> TaskDefinition:
        """A registered task definition. Raises NotFound."""
        found = await self._database.read(lambda c: metadata.read_task_definition(c, name))
        if found is None:
            raise NotFound(f"No such taskType found by name: {name}")
        return found

    async def task_definitions(self) -> list[TaskDefinition]:
        """All registered task definitions."""
        return await self._database.read(metadata.read_task_definitions)

    # Watching.

    def queue_sizes(self) -> Mapping[str, int]:
        """Tasks that wait, by queue."""
        return self.hand_over.queues.sizes()

    def poll_data(self) -> list[PollData]:
        """Who asked each queue for work last."""
        return self.hand_over.poll_data()

    def counters(self) -> Mapping[str, int]:
        """Counts since the start: commits, requests, starts, updates, polls, timers and more."""
        self._counters["polls"] = self.hand_over.polls
        self._counters["handed_out"] = self.hand_over.handed_out
        return self._counters

    async def status_counts(self) -> dict[str, int]:
        """Executions by status."""
        return await self._database.read(search.counts)

    def subscribe(self, callback: Callable[[Changed], None]) -> Callable[[], None]:
        """Be told of every change after its commit; returns what ends the subscription."""
        self._next_listener += 1
        number = self._next_listener
        self._listeners[number] = callback
        return lambda: self._listeners.pop(number, None) and None

    def complete_within(self, completions: Completions) -> None:
        """Have tasks completed in the transaction that queues them."""
        self._disk.completions = completions

    def on_effects(self, callback: Callable[[Effects], None]) -> None:
        """Be told what each commit means for timers, workers and the uplink."""
        self._effect_listeners.append(callback)


def _begin(connection: sqlite3.Connection) -> facts.Boot:
    """Put in place what the tables lack since the last power cut, and count this opening."""
    executions.recover(connection)
    return facts.note_boot(connection)
