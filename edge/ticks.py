"""What becomes of ticks on the disk thread: each starts its workflow where it is recorded.

Nothing sleeps here and no event loop is touched.
"""

from __future__ import annotations

import msgspec
import structlog

from edge.clock import Ids
from edge.model.cron_fields import CronError
from edge.model.errors import BatonError, InvalidInput, StorageUnavailable
from edge.model.executions import workflow_uuid
from edge.model.schedules import (
    ExecutionState,
    Schedule,
    ScheduleExecution,
    Tick,
    kept_request,
    missed,
    next_tick,
    start_request,
)
from edge.store import schedules as store
from edge.store.schedules import Timed
from edge.transactions import Transaction

log = structlog.get_logger()

ROUND_TICKS = 50
"""Ticks in one transaction: with the rest of a batch they hold up nobody for long."""

_ROUND_TICKS_EACH = 10
"""Ticks of one schedule in one transaction, so that one that catches up leaves room for others."""

_MAX_REASON = 999
"""Characters of a reason, as in Conductor."""


class Turn(msgspec.Struct, frozen=True):
    """One look at what is due."""

    next_ms: int
    """The earliest tick that is left, which may be due as well; 0 = none."""
    executed: int = 0
    failed: int = 0
    dropped: int = 0


def run_due(
    transaction: Transaction,
    ids: Ids,
    now_ms: int,
    awake_ms: int,
    *,
    room: int = ROUND_TICKS,
    fault: str | None = None,
) -> Turn:
    """Run ticks that are due, as many as belong into one transaction.

    The start of the workflow, the record and the next moment of the schedule are written together:
    whenever the power fails, a tick has happened with all of it or not at all.

    Args:
        transaction: everything is written in it.
        ids: makes the ids of records.
        now_ms: the time.
        awake_ms: since when ticks could be run; what came due before counts as missed.
        room: ticks that are run at most.
        fault: why the ticks fail, instead of starting anything.
    """
    round_ = _Round(transaction, ids, now_ms, awake_ms, room=room, fault=fault)
    for timed in store.due(transaction.connection, now_ms, room):
        if round_.room <= 0:
            break
        try:
            round_.serve(timed)
        except (CronError, InvalidInput) as error:
            round_.set_aside(timed, str(error))
    return Turn(
        store.earliest_ms(transaction.connection), round_.executed, round_.failed, round_.dropped
    )


class _Round:
    """What one transaction does for the schedules that are due."""

    def __init__(
        self,
        transaction: Transaction,
        ids: Ids,
        now_ms: int,
        awake_ms: int,
        *,
        room: int,
        fault: str | None,
    ) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._ids = ids
        self._now_ms = now_ms
        self._awake_ms = awake_ms
        self._fault = fault
        self.room = room
        """Ticks that may still be run."""
        self.executed = 0
        self.failed = 0
        self.dropped = 0

    def serve(self, timed: Timed) -> None:
        """Run one schedule's ticks.

        Raises:
            CronError, InvalidInput: its expressions or zones are none that this release knows;
                nothing has been written.
        """
        assert timed.next_ms is not None
        schedule, ticks = timed.schedule, timed.ticks
        passed = missed(schedule, timed.next_ms, self._now_ms, self._awake_ms)
        settled_ms = max(timed.settled_ms, passed.after_ms)
        tick = next_tick(schedule, passed.after_ms)
        room = min(_ROUND_TICKS_EACH, self.room)
        while tick is not None and tick.moment_ms <= self._now_ms and room:
            record = self._run(schedule, tick)
            settled_ms, ticks, room = tick.moment_ms, ticks + 1, room - 1
            self.room -= 1
            store.add_execution(self._connection, record, ticks)
            tick = next_tick(schedule, settled_ms)
        next_ms = None if tick is None else tick.moment_ms
        store.put_timer(self._connection, Timed(schedule, next_ms, settled_ms, ticks))
        if passed.dropped:
            self.dropped += passed.dropped
            log.warning(
                "ticks_dropped",
                schedule=schedule.name,
                ticks=passed.dropped,
                first_ms=timed.next_ms,
                until_ms=passed.after_ms,
                catch_up=schedule.run_catchup_schedule_instances,
            )

    def _run(self, schedule: Schedule, tick: Tick) -> ScheduleExecution:
        """Start the workflow of one tick; the record says what came of it."""
        now_ms = self._now_ms
        execution_id = workflow_uuid(self._transaction.memory.workflow_id(self._ids))
        workflow_id: str | None = None
        reason = self._fault
        if reason is None:
            try:
                request = start_request(schedule, tick, execution_id, now_ms)
                workflow_id = workflow_uuid(self._transaction.start(request)[0])
            except StorageUnavailable:
                # It is run when the disk is well again.
                raise
            except BatonError as error:
                # It is raised before anything of the start has been staged.
                reason = error.message
        if reason is None:
            self.executed += 1
        else:
            self.failed += 1
            reason = reason[:_MAX_REASON]
            log.warning(
                "tick_refused", schedule=schedule.name, tick_ms=tick.moment_ms, reason=reason
            )
        return ScheduleExecution(
            id=execution_id,
            schedule=schedule.name,
            workflow=schedule.workflow,
            state=ExecutionState.EXECUTED if reason is None else ExecutionState.FAILED,
            scheduled_ms=tick.moment_ms,
            executed_ms=now_ms,
            zone_id=tick.zone_id,
            workflow_id=workflow_id,
            reason=reason,
            request=kept_request(schedule),
        )

    def set_aside(self, timed: Timed, reason: str) -> None:
        """Pause a schedule that another release took and that this one cannot read."""
        log.error("schedule_set_aside", schedule=timed.schedule.name, reason=reason)
        schedule = msgspec.structs.replace(timed.schedule, paused=True, paused_reason=reason)
        store.put(self._connection, msgspec.structs.replace(timed, schedule=schedule, next_ms=None))
