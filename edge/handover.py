"""Hand-over: which worker gets which task, and what it holds, without a write.

What a worker answers is decided and written elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

import msgspec

from edge.clock import Clock
from edge.model.decision import Lease
from edge.model.executions import Task, TaskStatus, Workflow, parse_uuid, task_key
from edge.model.requests import PollData, TaskView
from edge.store import executions, metadata
from edge.store.queues import Held, Leases, Queues, TaskId
from edge.transactions import Effects
from sync.database import Database

_FRESH = 5_000
"""Tasks kept in memory from the decision that scheduled them until a worker fetches them."""


class HandOver:
    """Queues, leases and the polls that turn one into the other. Event loop only.

    Args:
        database: read for tasks that are not in memory any more.
        clock: stamps leases.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.queues = Queues()
        self.leases = Leases()
        self.handed_out = 0
        self.polls = 0
        self._fresh: OrderedDict[TaskId, TaskView] = OrderedDict()
        self._polled: dict[str, PollData] = {}

    def take_up(self, workflow: Workflow, tasks: list[Task]) -> None:
        """Queue what waits for a worker in an execution that was read from the disk."""
        for task in tasks:
            if task.status is TaskStatus.SCHEDULED and task.queue is not None:
                task_id = (workflow.id, task.ordinal)
                self.queues.put(task.queue, task_id, workflow.priority, task.deliver_ms)

    def see(self, effects: Effects) -> None:
        """Take over what a commit has ended and queued."""
        for task_id in effects.ended:
            self.queues.withdraw(task_id)
            self.leases.release(task_id)
            self._fresh.pop(task_id, None)
        for workflow, pinned, task in effects.queued:
            task_id = (workflow.id, task.ordinal)
            self.leases.release(task_id)
            self._fresh[task_id] = TaskView(workflow, pinned, task)
            self.queues.put(task.queue or "", task_id, workflow.priority, task.deliver_ms)
        while len(self._fresh) > _FRESH:
            self._fresh.popitem(last=False)

    async def poll(
        self, queue: str, *, worker: str | None, count: int, timeout_ms: int
    ) -> list[TaskView]:
        """Hand out up to ``count`` tasks; wait for the first up to ``timeout_ms``."""
        self._note_poll(queue, worker)
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        while True:
            taken = self.queues.take(queue, max(1, count))
            if taken:
                found = await self._hand_over(queue, taken, worker)
                if found:
                    self.handed_out += len(found)
                    return found
                continue
            left_ms = deadline_ms - self._clock.monotonic_ms()
            if left_ms <= 0 or not await self.queues.wait(queue, left_ms / 1000):
                return []

    async def _hand_over(
        self, queue: str, taken: list[tuple[TaskId, int]], worker: str | None
    ) -> list[TaskView]:
        """Lease what was taken; tasks that need not be done any more are left out."""
        found: list[TaskView] = []
        left = list(taken)
        try:
            while left:
                task_id, priority = left[0]
                view = self._fresh.pop(task_id, None) or await self.read(task_id)
                del left[0]
                if view is not None and view.task.status is TaskStatus.SCHEDULED:
                    self._lease(view, queue, priority, worker)
                    task = self.as_held(view.workflow, view.task)
                    found.append(TaskView(view.workflow, view.pinned, task))
        except BaseException:
            # The poller goes away, or the disk failed: nobody else knows of these tasks.
            for task_id, priority in left:
                self.queues.put(queue, task_id, priority)
            for view in found:
                self._put_back((view.workflow.id, view.task.ordinal))
            raise
        return found

    def _lease(self, view: TaskView, queue: str, priority: int, worker: str | None) -> None:
        task, now_ms = view.task, self._clock.now_ms()
        started_ms = task.started_ms or now_ms
        response_s, run_s = _limits(view)
        monotonic_ms = self._clock.monotonic_ms()
        self.leases.grant(
            (view.workflow.id, task.ordinal),
            Held(
                Lease(worker, started_ms, task.polls + 1),
                queue,
                priority,
                response_s * 1000,
                monotonic_ms + response_s * 1000 if response_s else 0,
                monotonic_ms + run_s * 1000 - (now_ms - started_ms) if run_s else 0,
            ),
        )

    def as_held(self, workflow: Workflow, task: Task) -> Task:
        """The record as its holder and the API see it: IN_PROGRESS while somebody holds it."""
        held = self.leases.get((workflow.id, task.ordinal))
        if held is None or task.status is not TaskStatus.SCHEDULED:
            return task
        return msgspec.structs.replace(
            task,
            status=TaskStatus.IN_PROGRESS,
            started_ms=held.lease.started_ms,
            updated_ms=max(task.updated_ms, held.lease.started_ms),
            worker=held.lease.worker,
            polls=held.lease.polls,
            callback_after_s=0,
        )

    async def read(self, task_id: TaskId) -> TaskView | None:
        """A task as of the last commit; None when there is none."""

        def read(connection: sqlite3.Connection) -> TaskView | None:
            workflow = executions.read_workflow(connection, task_id[0])
            if workflow is None:
                return None
            task = executions.read_task(connection, task_key(workflow.key, task_id[1]))
            if task is None:
                return None
            return TaskView(workflow, metadata.read_pinned(connection, workflow.pinned), task)

        return await self._database.read(read)

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
            self.queues.put(held.queue, task_id, held.priority)

    def extend(self, task_id: TaskId) -> bool:
        """A sign of life of whoever holds a task; False when nobody does."""
        return self.leases.extend(task_id, self._clock.monotonic_ms())

    async def adopt(self, task_id: TaskId, worker: str | None) -> None:
        """A sign of life of a worker that held a task before the daemon was started again.

        The task waits in its queue once more: it is taken out and leased to that worker, with the
        limits of its definition.
        """
        place = self.queues.withdraw(task_id)
        if place is None:
            return
        queue, priority = place
        try:
            view = self._fresh.pop(task_id, None) or await self.read(task_id)
        except BaseException:
            self.queues.put(queue, task_id, priority)
            raise
        if view is not None and view.task.status is TaskStatus.SCHEDULED:
            self._lease(view, queue, priority, worker)

    def poll_data(self) -> list[PollData]:
        """Who asked each queue for work last."""
        return list(self._polled.values())

    def _note_poll(self, queue: str, worker: str | None) -> None:
        self.polls += 1
        domain, _, name = queue.rpartition(":")
        self._polled[queue] = PollData(name, domain or None, worker, self._clock.now_ms())


def _limits(view: TaskView) -> tuple[int, int]:
    """Seconds of silence and of run time that the task's definition allows; 0 = any."""
    task = view.task
    ref = task.ref.split("__", 1)[0] if task.iteration else task.ref
    place = view.pinned.outline.place(ref)
    definition = place.step.task_definition if place is not None else None
    if definition is None:
        return 0, 0
    run_s = 0 if definition.timeout_policy == "ALERT_ONLY" else definition.timeout_seconds
    return definition.response_timeout_seconds, run_s
