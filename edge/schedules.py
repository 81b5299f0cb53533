"""The scheduler: keeps schedules, sleeps until the next tick of any, and has it run.

What a cron expression means stands in the model, what a tick does in ``ticks``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
import structlog

from edge.clock import Ids, RandomIds
from edge.engine import Engine
from edge.model.cron_fields import CronError
from edge.model.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    Overloaded,
    StorageUnavailable,
)
from edge.model.schedules import Schedule, ScheduleExecution, next_tick
from edge.model.tags import Tag
from edge.rounds import Rounds
from edge.store import schedules as store
from edge.store.schedules import ExecutionQuery, ScheduleQuery, Timed
from edge.ticks import ROUND_TICKS, Turn, run_due
from edge.transactions import Transaction

T = TypeVar("T")
log = structlog.get_logger()

MAX_SCHEDULES = 1_000
"""Schedules of one device; one more is refused."""

_LOOK_AGAIN_S = 1.0
"""Longest sleep while any tick is ahead: a wall clock that jumps forward is noticed by then."""

_JUMP_MS = 1_000
"""The wall clock may run ahead of the monotonic one by so much, when it is slewed, before that
counts as a jump. A tick that is older than the last look by no more than this is not missed."""


class Schedules:
    """The schedules of one engine. ``run`` must be running for any tick to happen.

    Args:
        engine: starts the workflows.
        ids: makes the ids of the records of ticks; random ones when None.
    """

    def __init__(self, engine: Engine, ids: Ids | None = None) -> None:
        self._engine = engine
        self._ids = ids or RandomIds()
        self._rounds = Rounds("ticks_postponed")
        self._settled = False
        self._changed = True
        self._paused = False
        self._next_ms = 0
        self._looked_ms = 0
        self._counters: Counter[str] = Counter(executed=0, failed=0, dropped=0)

    def counters(self) -> Mapping[str, int]:
        """Ticks since the start: executed, failed, dropped."""
        return self._counters

    # The loop.

    async def run(self) -> None:
        """Run until cancelled."""
        self._looked_ms = self._engine.clock.monotonic_ms()
        await self._rounds.run(self._round)

    async def _round(self) -> float | None:
        """Run what is due; returns seconds until the next look, None when no tick is ahead."""
        clock = self._engine.clock
        if not self._settled:
            # An update may have brought other rules of time zones.
            await self.requeue()
            self._settled = True
        if self._changed:
            self._changed = False
            self._paused, self._next_ms = await self._engine.database.read(
                lambda c: (store.read_paused(c), store.earliest_ms(c))
            )
        looked_ms, now_ms = clock.monotonic_ms(), clock.now_ms()
        if self._paused or not self._next_ms:
            self._looked_ms = looked_ms
            return None
        # What the monotonic clock has seen pass since the last look, the device was there for. What
        # the wall clock has put behind it beyond that was skipped: by a jump, or in a sleep of the
        # machine.
        awake_ms = now_ms - (looked_ms - self._looked_ms) - _JUMP_MS
        while (is_due := 0 < self._next_ms <= clock.now_ms()) and not self._changed:
            looked_ms = clock.monotonic_ms()
            await self._turn(awake_ms)
        if not is_due:
            self._looked_ms = looked_ms
        if not self._next_ms:
            return None
        # A millisecond more than asked: a tick that is looked for early would not be due.
        return min(_LOOK_AGAIN_S, (max(0, self._next_ms - clock.now_ms()) + 1) / 1000)

    async def _turn(self, awake_ms: int) -> None:
        """Have some of what is due run, in one transaction.

        A start that trips over a fault of ours undoes the transaction. It must cost one tick and
        not the device, at each of its starts again: the first tick is then run by itself, and when
        that fails, it is recorded as failed and nothing is started.
        """
        now_ms = self._engine.clock.now_ms()
        try:
            turn = await self._run_due(now_ms, awake_ms, room=ROUND_TICKS)
        except (StorageUnavailable, Overloaded):
            raise
        except Exception:  # noqa: BLE001 - a rim: a definition may trip over any fault of ours
            turn = await self._run_one(now_ms, awake_ms)
        self._next_ms = turn.next_ms
        self._counters["executed"] += turn.executed
        self._counters["failed"] += turn.failed
        self._counters["dropped"] += turn.dropped

    async def _run_one(self, now_ms: int, awake_ms: int) -> Turn:
        try:
            return await self._run_due(now_ms, awake_ms, room=1)
        except (StorageUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            fault = f"{type(error).__name__}: {error}"
            return await self._run_due(now_ms, awake_ms, room=1, fault=fault)

    async def _run_due(
        self, now_ms: int, awake_ms: int, *, room: int, fault: str | None = None
    ) -> Turn:
        ids = self._ids
        return await self._engine.request(
            lambda t: run_due(t, ids, now_ms, awake_ms, room=room, fault=fault)
        )

    def _look_again(self) -> None:
        self._changed = True
        self._rounds.wake()

    # What is asked of it.

    async def put(self, schedule: Schedule) -> Timed:
        """Add or replace a schedule.

        Ticks that are due and wait for their turn are kept only if nothing about their moments is
        changed; else the first tick is the next one from now on.

        Raises:
            Conflict: there are too many already.
        """
        now_ms = self._engine.clock.now_ms()

        def put(transaction: Transaction) -> Timed:
            old = store.read(transaction.connection, schedule.name)
            if old is None and store.count(transaction.connection) >= MAX_SCHEDULES:
                raise Conflict(f"A device holds {MAX_SCHEDULES} schedules; remove one first")
            timed = _replaced(old, schedule, now_ms)
            store.put(transaction.connection, timed)
            return timed

        return await self._asked(put)

    async def get(self, name: str) -> Timed:
        """One schedule. Raises NotFound."""
        timed = await self._engine.database.read(lambda c: store.read(c, name))
        if timed is None:
            raise _unknown(name)
        return timed

    async def all(self) -> list[Timed]:
        """All schedules by their names."""
        return await self._engine.database.read(store.read_all)

    async def search(self, query: ScheduleQuery) -> tuple[int, list[Timed]]:
        """Number of all schedules that match and one page of them."""
        return await self._engine.database.read(lambda c: store.search(c, query))

    async def executions(self, query: ExecutionQuery) -> tuple[int, list[ScheduleExecution]]:
        """Number of all records of ticks that match and one page of them."""
        return await self._engine.database.read(lambda c: store.search_executions(c, query))

    async def pause(self, name: str, reason: str | None = None) -> None:
        """Run no more ticks until ``resume``; what comes due meanwhile is nobody's. NotFound."""

        def pause(old: Timed, now_ms: int) -> Timed:
            schedule = msgspec.structs.replace(
                old.schedule, paused=True, paused_reason=reason, updated_time=now_ms
            )
            return msgspec.structs.replace(old, schedule=schedule, next_ms=None)

        await self._change(name, pause)

    async def resume(self, name: str) -> None:
        """Go on with the next tick from now; does nothing when it is not paused. NotFound."""

        def resume(old: Timed, now_ms: int) -> Timed:
            if not old.schedule.paused:
                return old
            schedule = msgspec.structs.replace(
                old.schedule, paused=False, paused_reason=None, updated_time=now_ms
            )
            return _from_now(old, schedule, now_ms)

        await self._change(name, resume)

    async def remove(self, name: str) -> None:
        """Forget a schedule and the records of its ticks. Raises NotFound."""

        def remove(transaction: Transaction) -> None:
            if not store.remove(transaction.connection, name):
                raise _unknown(name)

        await self._asked(remove)

    async def set_tags(self, name: str, change: Callable[[list[Tag]], list[Tag]]) -> None:
        """Replace a schedule's tags by what ``change`` makes of them. Raises NotFound."""

        def tag(old: Timed, _: int) -> Timed:
            schedule = msgspec.structs.replace(old.schedule, tags=change(old.schedule.tags))
            return msgspec.structs.replace(old, schedule=schedule)

        await self._change(name, tag)

    async def pause_all(self, *, paused: bool) -> None:
        """Stop all schedules, or let them go on; to each schedule that is like a downtime."""
        await self._asked(lambda t: store.write_paused(t.connection, paused=paused))

    async def requeue(self) -> int:
        """Find the next tick of every schedule anew; returns how many have another now.

        The rules of time zones change, and with them ticks that were found under the old ones.
        Ticks that are due already stay due.
        """
        now_ms = self._engine.clock.now_ms()
        return await self._asked(lambda t: _requeue(t, now_ms))

    async def _change(self, name: str, change: Callable[[Timed, int], Timed]) -> None:
        now_ms = self._engine.clock.now_ms()

        def replace(transaction: Transaction) -> None:
            old = store.read(transaction.connection, name)
            if old is None:
                raise _unknown(name)
            store.put(transaction.connection, change(old, now_ms))

        await self._asked(replace)

    async def _asked(self, function: Callable[[Transaction], T]) -> T:
        answer = await self._engine.request(function)
        self._look_again()
        return answer


def _replaced(old: Timed | None, schedule: Schedule, now_ms: int) -> Timed:
    """A posted schedule in the place of what was there."""
    if old is None:
        schedule = msgspec.structs.replace(schedule, create_time=now_ms, updated_time=now_ms)
        old = Timed(schedule)
    else:
        schedule = msgspec.structs.replace(
            schedule,
            create_time=old.schedule.create_time,
            created_by=old.schedule.created_by,
            updated_time=now_ms,
            tags=schedule.tags or old.schedule.tags,
        )
    if old.next_ms is not None and schedule.timing() == old.schedule.timing():
        next_ms = None if schedule.paused else old.next_ms
        return msgspec.structs.replace(old, schedule=schedule, next_ms=next_ms)
    return _from_now(old, schedule, now_ms)


def _from_now(old: Timed, schedule: Schedule, now_ms: int) -> Timed:
    """A schedule that begins anew: nothing that has come due so far is wanted."""
    settled_ms = max(now_ms, old.settled_ms)
    next_ms = None if schedule.paused else _moment(schedule, settled_ms)
    return Timed(schedule, next_ms, settled_ms, old.ticks)


def _requeue(transaction: Transaction, now_ms: int) -> int:
    moved = 0
    for timed in store.read_all(transaction.connection):
        if timed.schedule.paused or (timed.next_ms is not None and timed.next_ms <= now_ms):
            continue
        try:
            next_ms = _moment(timed.schedule, max(now_ms, timed.settled_ms))
        except (CronError, InvalidInput):
            # Of another release; it is set aside when it comes due.
            continue
        if next_ms != timed.next_ms:
            moved += 1
            store.put_timer(transaction.connection, msgspec.structs.replace(timed, next_ms=next_ms))
    return moved


def _moment(schedule: Schedule, after_ms: int) -> int | None:
    tick = next_tick(schedule, after_ms)
    return None if tick is None else tick.moment_ms


def _unknown(name: str) -> NotFound:
    return NotFound(f"Schedule '{name}' not found")
