"""Hand-over: which worker gets which task, and what it holds, without a write.

What a worker answers is decided and written elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from edge.clock import Clock, passed_since
from edge.disclosure import Disclosure
from edge.effects import Effects
from edge.figures import Figures
from edge.folded import FoldedDatabase
from edge.model.decision import Lease
from edge.model.errors import PayloadLost, RowDamaged
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, parse_uuid, task_key
from edge.model.requests import ExecutionView, PollData, TaskView
from edge.storage import Mode, Storage
from edge.store import metadata, pending
from edge.store.backlog import Place
from edge.store.committed import Records
from edge.store.leases import Held, Leases
from edge.store.payloads import Payloads
from edge.store.queues import Aged, Queues
from edge.store.slots import TaskId
from edge.terms import KnownTerms

log = structlog.get_logger()

_FRESH = 1_500
"""Tasks kept in memory from the decision that scheduled them until a worker fetches them."""

_CROWD = 8_000
"""The same of tasks that were scheduled beside others of their execution, which they share: a wide
fork is fetched from memory."""

_PAGE = 500
"""Executions that are read at once when the database is opened."""


_ASKED_LATELY_MS = 10_000
"""A queue counts as served when somebody has asked it for work within this time, as in Conductor."""

_SERVED_MS = 2_000
"""Workers that have asked for work within this time are at work on a queue."""

_LOOK_MS = 100
"""For so long it is not looked again which queue is furthest behind."""

_QUEUES_KNOWN = 5_000
"""Queues of which it is remembered who polled them; whoever polls makes up their names."""


class _Polled(NamedTuple):
    """The last poll of a queue."""

    at_ms: int
    """Monotonic."""
    worker: str | None
    shown_ms: int
    """The time of day, as it was shown; 0 = it has not been."""
    since_ms: int
    """Since when workers have been at work on the queue (monotonic)."""


class HandOver:
    """Queues, leases and the polls that turn one into the other. Event loop only.

    Args:
        database: read for tasks that are not in memory any more.
        clock: stamps leases.
        disclosure: fills in what only the worker may see.
        figures: polls and waiting times are counted there.
        payloads: has what is not in the rows.
        terms: say what the settings of tasks allow.
    """

    def __init__(
        self,
        database: FoldedDatabase,
        clock: Clock,
        disclosure: Disclosure,
        figures: Figures,
        *,
        payloads: Payloads,
        terms: KnownTerms,
    ) -> None:
        self._database = database
        self._clock = clock
        self._disclosure = disclosure
        self._figures = figures
        self._payloads = payloads
        self._terms = terms
        self.queues = Queues()
        self.leases = Leases()
        self.handed_out = 0
        self.polls = 0
        self._fresh: OrderedDict[TaskId, TaskView] = OrderedDict()
        self._crowd: OrderedDict[TaskId, TaskView] = OrderedDict()
        self.storage: Storage | None = None
        """The state of the disk; while it is not whole, nothing is handed out."""
        self._on_the_way: dict[TaskId, None] = {}
        """Tasks that are out of their queues, are being read, and are not leased yet."""
        self._aged = 0
        """Tasks that were queued for an earlier process, counted."""
        self._moved: OrderedDict[TaskId, None] = OrderedDict()
        """Tasks that commits have ended or queued lately, the latest last."""
        self._polled: OrderedDict[str, _Polled] = OrderedDict()
        """Of each queue; the one that was polled last stands last."""
        self._behind = (-_LOOK_MS, 0)
        """When it was looked which queue is furthest behind, and how far that was."""

    async def take_up(self, *, alone: bool = False) -> None:
        """Queue whatever waited for a worker when the database was closed, oldest first.

        What a worker held then is handed out again, so it waits, too. What is stored as in progress
        still is: it went out and waits for an answer from elsewhere.

        Args:
            alone: whether nothing has been queued or handed out yet.
        """
        # After trouble with the disk there may be some of it already, and more may come meanwhile.
        self._fresh.clear()
        self._crowd.clear()
        self._moved.clear()
        after: tuple[str, int] | None = pending.BEGINNING
        now_ms = self._clock.monotonic_ms()
        while after is not None:
            page, definitions = await self._database.read(partial(_open_page, after=after))
            after = page.after
            aged: list[Aged] = []
            for execution, tasks in page.executions:
                pinned = definitions.get(execution.pinned)
                if pinned is None:
                    continue
                for task in tasks:
                    task_id = (execution.id, task.ordinal)
                    if not alone and self._is_known(task_id):
                        continue
                    limit = self._terms.of(pinned, task).limit
                    if task.status is not TaskStatus.SCHEDULED:
                        self.queues.occupy(task_id, limit.name, now_ms)
                        continue
                    self._aged += 1
                    where = (task.queue or "", execution.priority, limit, self._deliver_ms(task))
                    waits = (*where, task.updated_ms, self._aged)
                    aged.append(Aged(task_id, *waits))
            self.queues.put_aged(aged, now_ms)

    def _deliver_ms(self, task: Task | pending.OpenTask) -> int:
        """Elapsed milliseconds before which nobody gets a task; 0 = it need not wait."""
        if not task.deliver_ms:
            return 0
        # The delay began when the record was written, and may have been written again since.
        since_ms = min(task.updated_ms, task.deliver_ms - task.callback_after_s * 1000)
        wait_ms = task.deliver_ms - since_ms
        left_ms = wait_ms - passed_since(self._clock, since_ms)
        return self._clock.elapsed_ms() + left_ms if left_ms > 0 else 0

    def _is_known(self, task_id: TaskId) -> bool:
        """Whether a task waits, is held, is on its way, or has moved since it was read."""
        return (
            task_id in self._moved
            or task_id in self._on_the_way
            or self.queues.holds(task_id)
            or self.leases.get(task_id) is not None
        )

    def see(self, effects: Effects) -> None:
        """Take over what a commit has ended and queued."""
        now_ms = self._clock.monotonic_ms()
        for task_id in (*effects.ended, *effects.left, *effects.queued):
            # What is being read of it is from before the commit.
            self._on_the_way.pop(task_id, None)
            self._moved[task_id] = None
            self._moved.move_to_end(task_id)
        while len(self._moved) > _FRESH:
            self._moved.popitem(last=False)
        for task_id in effects.ended:
            # Who is held waits in no queue.
            if self.leases.release(task_id) is None:
                self.queues.withdraw(task_id)
            self.queues.free(task_id, now_ms)
            self._known_view(task_id)
        for task_id in effects.left:
            # It goes on without a worker, in its slot if it has one.
            if self.leases.release(task_id) is None:
                self.queues.withdraw(task_id)
            self._known_view(task_id)
        beside = b""
        for workflow, pinned, task in effects.queued.values():
            task_id = (workflow.id, task.ordinal)
            self.leases.release(task_id)
            self.queues.free(task_id, now_ms)
            soon = self.queues.put(
                task.queue or "",
                task_id,
                workflow.priority,
                self._deliver_ms(task),
                limit=self._terms.of(pinned, task).limit,
                now_ms=now_ms,
            )
            self._known_view(task_id)
            if soon:
                kept = self._crowd if beside == workflow.id else self._fresh
                kept[task_id] = TaskView(workflow, pinned, task)
            beside = workflow.id
        while len(self._fresh) > _FRESH:
            self._fresh.popitem(last=False)
        while len(self._crowd) > _CROWD:
            self._crowd.popitem(last=False)

    def _known_view(self, task_id: TaskId) -> TaskView | None:
        """A task as the decision left it that scheduled it, if it is in memory; not any more then."""
        return self._fresh.pop(task_id, None) or self._crowd.pop(task_id, None)

    def repair(self, view: ExecutionView) -> int:
        """Queue what should wait for a worker and does not; returns how many tasks that were.

        Every task is in its queue or in a worker's hands, so this finds nothing unless something
        here is wrong.
        """
        missing = [
            task
            for task in view.tasks
            if task.status is TaskStatus.SCHEDULED
            and task.queue is not None
            and not self.queues.holds((view.workflow.id, task.ordinal))
            and (view.workflow.id, task.ordinal) not in self._on_the_way
            and self.leases.get((view.workflow.id, task.ordinal)) is None
        ]
        now_ms = self._clock.monotonic_ms()
        for task in missing:
            self.queues.put(
                task.queue or "",
                (view.workflow.id, task.ordinal),
                view.workflow.priority,
                self._deliver_ms(task),
                limit=self._terms.of(view.pinned, task).limit,
                now_ms=now_ms,
            )
        return len(missing)

    async def poll(
        self, queue: str, *, worker: str | None, count: int, timeout_ms: int
    ) -> list[TaskView]:
        """Hand out up to ``count`` tasks; wait for the first up to ``timeout_ms``."""
        self._note_poll(queue, worker)
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        if self.queues.incomplete:
            await self._complete()
        while True:
            # What comes of a task that is handed out now could not be written.
            open_ = self.storage is None or self.storage.mode is Mode.WHOLE
            room = max(1, count) if open_ else 0
            taken = self.queues.take(queue, room, self._clock.monotonic_ms())
            if taken:
                found = await self._hand_over(taken, worker)
                if found:
                    self.handed_out += len(found)
                    return found
                continue
            left_ms = deadline_ms - self._clock.monotonic_ms()
            if left_ms <= 0 or not await self.queues.waiters.wait(queue, left_ms / 1000):
                return []

    async def _complete(self) -> None:
        """Read again what waits: the disk has lost what was kept of it beside the records."""
        self.queues.incomplete = False
        try:
            await self.take_up()
        except BaseException:
            self.queues.incomplete = True
            raise

    async def _hand_over(
        self, taken: list[tuple[TaskId, Place]], worker: str | None
    ) -> list[TaskView]:
        """Lease what was taken; tasks that need not be done any more are left out."""
        known = [self._known_view(task_id) for task_id, _ in taken]
        if None in known:
            found = await self._read_and_lease(taken, known, worker)
        else:
            # Nothing is waited for: no commit comes in between.
            found = [
                self._leased(view, place, worker)
                for view, (_, place) in zip(known, taken, strict=True)
                if view is not None
            ]
        if not self._disclosure.concerns(found):
            return found
        try:
            return await self._disclosure.of(found)
        except BaseException:
            # The poller goes away, or the disk failed: nobody else knows of these tasks.
            for one in found:
                self._put_back((one.workflow.id, one.task.ordinal))
            raise

    async def _read_and_lease(
        self,
        taken: list[tuple[TaskId, Place]],
        known: list[TaskView | None],
        worker: str | None,
    ) -> list[TaskView]:
        """The same when some of them are not in memory any more."""
        found: list[TaskView] = []
        left = dict(taken)
        self._on_the_way.update((task_id, None) for task_id in left)
        try:
            views = dict(zip(left, known, strict=True))
            unknown = [task_id for task_id, view in views.items() if view is None]
            if unknown:
                views.update(zip(unknown, await self.read(unknown), strict=True))
            for task_id, view in views.items():
                place = left.pop(task_id)
                if not self._has_arrived(task_id):
                    continue
                if view is not None and view.task.status is TaskStatus.SCHEDULED:
                    found.append(self._leased(view, place, worker))
                else:
                    self.queues.free(task_id, self._clock.monotonic_ms())
            return found
        except BaseException:
            # The poller goes away, or the disk failed: it is as if nobody had asked.
            for task_id, place in left.items():
                if self._has_arrived(task_id):
                    self.queues.put_back(task_id, place, self._clock.monotonic_ms())
            for one in found:
                self._put_back((one.workflow.id, one.task.ordinal))
            raise

    def _has_arrived(self, task_id: TaskId) -> bool:
        """A task is on its way no more; whether no commit has ended or queued it meanwhile."""
        return self._on_the_way.pop(task_id, task_id) is None

    def still_holds(self, view: TaskView) -> bool:
        """Whether a task that was handed over is still its worker's: its end may have been told."""
        held = self.leases.get((view.workflow.id, view.task.ordinal))
        return held is not None and held.lease.polls == view.task.polls

    def _leased(self, view: TaskView, place: Place, worker: str | None) -> TaskView:
        """Note that a worker holds a task; returns the task as that worker sees it."""
        task, now_ms = view.task, self._clock.now_ms()
        terms = self._terms.of(view.pinned, task)
        monotonic_ms = self._clock.monotonic_ms()
        self._figures.waits.see((monotonic_ms - place.since_ms) / 1000)
        lease = Lease(worker, task.started_ms or now_ms, task.polls + 1)
        runs_until_ms = 0
        if terms.run_ms:
            passed_ms = self._clock.jumps.passed_ms(lease.started_ms, now_ms)
            runs_until_ms = monotonic_ms + terms.run_ms - passed_ms
        self.leases.grant(
            (view.workflow.id, task.ordinal),
            Held(
                lease,
                place,
                terms.response_ms,
                monotonic_ms + terms.response_ms if terms.response_ms else 0,
                runs_until_ms,
            ),
        )
        return msgspec.structs.replace(view, task=_in_hand(task, lease))

    def as_held(
        self, workflow: Workflow, task: Task, leases: Mapping[TaskId, Held] | None = None
    ) -> Task:
        """The record as its holder and the API see it: IN_PROGRESS while somebody holds it.

        Args:
            workflow: of the task.
            task: as it was read.
            leases: those from before it was read; None = those of now. An answer that is committed
                after the read ends the lease, and the task would look as if nobody had held it.
        """
        task_id = (workflow.id, task.ordinal)
        held = self.leases.get(task_id) if leases is None else leases.get(task_id)
        if held is None or task.status is not TaskStatus.SCHEDULED:
            return task
        return _in_hand(task, held.lease)

    async def read(self, task_ids: Sequence[TaskId]) -> list[TaskView | None]:
        """Tasks as of one commit, with a fault where a payload is lost; None = there is no such."""

        def read(records: Records) -> list[TaskView | None]:
            return [self._view(records, task_id) for task_id in task_ids]

        return await self._database.look(read)

    def _view(self, records: Records, task_id: TaskId) -> TaskView | None:
        workflow = records.workflow(task_id[0])
        if workflow is None:
            return None
        task = records.task(task_key(workflow.key, task_id[1]))
        if task is None:
            return None
        pinned = records.pinned(workflow.pinned)
        try:
            return TaskView(workflow, pinned, self._payloads.shown_task(task))
        except PayloadLost as error:
            return TaskView(workflow, pinned, task, fault=error.message)

    def lease_of(self, task_id: TaskId) -> Lease | None:
        """What is known of a task's hand-over, if somebody holds it."""
        held = self.leases.get(task_id)
        return None if held is None else held.lease

    def give_back(self, task_ids: list[str]) -> None:
        """Put tasks back into their queues that nobody will work on after all."""
        for text in task_ids:
            parsed = parse_uuid(text)
            if parsed is not None:
                self._put_back(parsed)

    def _put_back(self, task_id: TaskId) -> None:
        held = self.leases.release(task_id)
        if held is not None:
            self.queues.put_back(task_id, held.place, self._clock.monotonic_ms())

    def release(self, task_id: TaskId) -> None:
        """Nobody holds the task any more, and nobody shall be handed it."""
        self.leases.release(task_id)
        self.queues.free(task_id, self._clock.monotonic_ms())

    def extend(self, task_id: TaskId) -> bool:
        """A sign of life of whoever holds a task; False when nobody does."""
        return self.leases.extend(task_id, self._clock.monotonic_ms())

    async def adopt(self, task_id: TaskId, worker: str | None) -> None:
        """A sign of life of a worker that held a task before the daemon was started again.

        The task waits in its queue once more: it is taken out and leased to that worker, with the
        limits of its definition. It runs already, so it occupies a slot even when none is free.
        """
        place = self.queues.withdraw(task_id)
        if place is None:
            return
        self._on_the_way[task_id] = None
        try:
            view = self._known_view(task_id) or (await self.read([task_id]))[0]
        except BaseException:
            if self._has_arrived(task_id):
                self.queues.put_back(task_id, place, self._clock.monotonic_ms())
            raise
        if not self._has_arrived(task_id):
            return
        if view is not None and view.task.status is TaskStatus.SCHEDULED:
            self.queues.occupy(task_id, place.limit.name, self._clock.monotonic_ms())
            self._leased(view, place, worker)

    def poll_data(self) -> list[PollData]:
        """Who asked each queue for work last."""
        now_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        found = []
        for queue, polled in self._polled.items():
            domain, _, name = queue.rpartition(":")
            # Worked out when it is asked for, which polls are not, and then kept.
            last_ms = polled.shown_ms or now_ms - (monotonic_ms - polled.at_ms)
            self._polled[queue] = polled._replace(shown_ms=last_ms)
            found.append(PollData(name, domain or None, polled.worker, last_ms))
        return found

    def is_polled(self, queue: str) -> bool:
        """Whether workers serve a queue: one is waiting there, or has asked lately.

        Any thread may ask: the decider does, for the domains of a task.
        """
        if self.queues.waiters.is_waited_for(queue):
            return True
        polled = self._polled.get(queue)
        return polled is not None and (
            self._clock.monotonic_ms() - polled.at_ms <= _ASKED_LATELY_MS
        )

    def behind_ms(self) -> int:
        """How far workers are behind with what they ask for; 0 = they are not.

        That is how long the foremost task of a queue has waited, in milliseconds, while workers asked
        for it. Until they come it may wait for days, and nobody is behind.
        """
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._behind[0] >= _LOOK_MS:
            oldest_ms = now_ms
            for queue, polled in reversed(self._polled.items()):
                if now_ms - polled.at_ms > _SERVED_MS:
                    break
                since_ms = self.queues.foremost_since_ms(queue) or now_ms
                oldest_ms = min(oldest_ms, max(since_ms, polled.since_ms))
            self._behind = (now_ms, now_ms - oldest_ms)
        return self._behind[1]

    def _note_poll(self, queue: str, worker: str | None) -> None:
        self.polls += 1
        self._figures.polls.count(queue)
        now_ms, before = self._clock.monotonic_ms(), self._polled.get(queue)
        goes_on = before is not None and now_ms - before.at_ms <= _SERVED_MS
        since_ms = before.since_ms if before is not None and goes_on else now_ms
        self._polled[queue] = _Polled(now_ms, worker, 0, since_ms)
        self._polled.move_to_end(queue)
        if len(self._polled) > _QUEUES_KNOWN:
            self._polled.popitem(last=False)


def _in_hand(task: Task, lease: Lease) -> Task:
    """A SCHEDULED record while a worker holds it."""
    return msgspec.structs.replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        started_ms=lease.started_ms,
        updated_ms=max(task.updated_ms, lease.started_ms),
        worker=lease.worker,
        polls=lease.polls,
        callback_after_s=0,
    )


def _open_page(
    connection: sqlite3.Connection, after: tuple[str, int]
) -> tuple[pending.Page, dict[int, Pinned]]:
    """Executions that have not ended, and their definitions, as far as these are whole."""
    page = pending.read_page(connection, after, _PAGE)
    definitions: dict[int, Pinned] = {}
    for key in {execution.pinned for execution, _ in page.executions}:
        try:
            definitions[key] = metadata.read_pinned(connection, key)
        except RowDamaged as error:
            log.error("row_damaged", table=error.table, key=key, reason=error.message)
    return page, definitions
