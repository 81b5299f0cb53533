"""What has to happen because time has passed: timers that are due, leases that have run out.

When to look is the timekeeper's affair, and what follows the decider's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from edge.clock import Clock, passed_since
from edge.group_commit import GroupCommit, Ticket
from edge.handover import HandOver
from edge.model.decision import LeaseExpired, TimerDue
from edge.model.errors import BatonError, Overloaded, StorageUnavailable
from edge.store import timers
from edge.store.leases import Held
from edge.store.slots import TaskId
from edge.transactions import Transaction
from sync.database import Database

log = structlog.get_logger()

_DUE_PAGE = 500
_ASK_AGAIN_MS = 1_000
"""A lease that has run out and was left alone, in a pause of its workflow, is looked at again."""

_WHILE_PARKED_MS = 100
"""Between two looks at the timers while the decision on one of them waits for a slow script, and
so still counts as due."""

_AFTER_FAULT_MS = 30_000
"""Until a timer is tried again whose decision has failed: it is due still, and must neither be tried
without a pause nor keep the others waiting."""


_REFUSED = (StorageUnavailable, Overloaded)
"""Nothing is wrong with what was decided: it is to be tried again soon."""


class Moments:
    """Has decisions taken on what is due. A decision that waits for a script holds up no other.

    Args:
        commits: carries the decisions out.
        hand_over: holds the leases.
        database: holds the timers.
        clock: tells the time.
        counters: ``timers`` are counted here.
    """

    def __init__(
        self,
        commits: GroupCommit,
        hand_over: HandOver,
        database: Database,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._commits = commits
        self._hand_over = hand_over
        self._database = database
        self._clock = clock
        self._counters = counters
        self._parked: set[TaskId] = set()
        """Timers whose decision waits for a slow script."""
        self._failed: dict[TaskId, int] = {}
        """Timers whose decision has failed, and when each is tried again (monotonic milliseconds)."""

    async def fire_due(self) -> int:
        """Act on everything whose moment has come.

        Returns:
            Epoch milliseconds of the next moment; 0 = none.

        Raises:
            StorageUnavailable, Overloaded: some are left; they are due still.
        """
        while True:
            now_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
            self._failed = {one: at for one, at in self._failed.items() if at > monotonic_ms}
            left_out = self._parked | self._failed.keys()
            limit = _DUE_PAGE + len(left_out)
            found = await self._database.read(partial(timers.due, now_ms=now_ms, limit=limit))
            due = [task_id for task_id in found if task_id not in left_out]
            if not due:
                break
            await self._together([(self._fire(one), partial(self._fired, one)) for one in due])
            self._counters["timers"] += len(due)
        earliest_ms = await self._database.read(timers.earliest_ms)
        return max(earliest_ms, now_ms + _WHILE_PARKED_MS) if left_out else earliest_ms

    def _fire(self, task_id: TaskId) -> Ticket[Any]:
        workflow_id, ordinal = task_id
        command = TimerDue(ordinal, self._hand_over.lease_of(task_id))
        return self._commits.submit(lambda t: t.decide(workflow_id, command))

    def _fired(self, task_id: TaskId, answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            self._parked.add(task_id)
            return
        self._parked.discard(task_id)
        error = None if answer.cancelled() else answer.exception()
        if error is not None and not isinstance(error, _REFUSED):
            self._failed[task_id] = self._clock.monotonic_ms() + _AFTER_FAULT_MS

    async def expire_leases(self) -> None:
        """Act on workers that have been silent or busy for too long.

        Raises:
            StorageUnavailable, Overloaded: some are left; they are looked at again.
        """
        now_ms = self._clock.monotonic_ms()
        expired = self._hand_over.leases.expired(now_ms)
        await self._together(
            [
                (self._expire(task_id, held, now_ms), partial(self._expired, task_id, held))
                for task_id, held in expired
            ]
        )

    def _expire(self, task_id: TaskId, held: Held, now_ms: int) -> Ticket[bool]:
        workflow_id, ordinal = task_id
        whole = 0 < held.runs_until_ms <= now_ms
        elapsed_s = passed_since(self._clock, held.lease.started_ms) // 1000
        command = LeaseExpired(ordinal, held.lease, elapsed_s, whole)
        return self._commits.submit(lambda t: _still_open(t, workflow_id, command))

    def _expired(self, task_id: TaskId, held: Held, answer: asyncio.Future[bool]) -> None:
        leases = self._hand_over.leases
        if not answer.done() or leases.get(task_id) is not held:
            return
        if answer.cancelled() or answer.exception() is not None or answer.result():
            again_ms = self._clock.monotonic_ms() + _ASK_AGAIN_MS
            leases.grant(task_id, held.asked_again_at(again_ms))
        else:
            self._hand_over.release(task_id)

    async def _together(
        self, asked: list[tuple[Ticket[Any], Callable[[asyncio.Future[Any]], None]]]
    ) -> None:
        """Wait until all of them are decided, or known to wait for a script.

        Args:
            asked: each with what is to be done then, and once more if the answer comes later.

        Raises:
            StorageUnavailable, Overloaded: the first of them was refused so.
        """
        refusals: list[BatonError] = []
        for ticket, follow in asked:
            await ticket.looked_at
            follow(ticket.answer)
            if not ticket.answer.done():
                ticket.answer.add_done_callback(follow)
                ticket.answer.add_done_callback(_note)
                continue
            try:
                ticket.answer.result()
            except _REFUSED as error:
                refusals.append(error)
            except BatonError as error:
                # It has been removed, or has moved on, since it was seen to be due.
                log.info("moment_passed", reason=error.message)
            except Exception as error:  # noqa: BLE001 - a rim: it must not stop all others
                # Where it came from, the disk thread has told.
                log.error("moment_failed", reason=f"{type(error).__name__}: {error}")
        if refusals:
            raise refusals[0]


def _note(answer: asyncio.Future[Any]) -> None:
    """What comes of a decision that nobody waits for any more; its moment is due still."""
    error = None if answer.cancelled() else answer.exception()
    if error is not None:
        log.warning("moment_postponed", reason=str(error))


def _still_open(transaction: Transaction, workflow_id: bytes, command: LeaseExpired) -> bool:
    """Decide on a lease that has run out; whether its task is still open then."""
    transaction.decide(workflow_id, command)
    task = transaction.snapshot(workflow_id).tasks.get(command.ordinal)
    return task is not None and not task.status.terminal
