"""Small wrong versions of our own engine: each imitates a fault that such engines have had.

They show that the checks of the world see what they are there to see. None is ever installed: a
mutant is put in place for the length of a block, in the process that asks for it. A transition that
is split over two transactions is not among them: a power cut at random hardly ever falls between the
two, and tests/power looks at every place where it could.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from edge import event_queue, events, transactions
from edge.clock import SystemClock
from edge.decider import children, decide, flow, policies, updates
from edge.decider.operators import wait
from edge.handover import HandOver
from edge.model.decision import UpdateTask
from edge.model.elapsed import NO_JUMPS
from edge.model.executions import TaskStatus
from edge.model.snapshot import Snapshot
from edge.model.times import duration_ms
from edge.store import events as stored_events
from edge.store import timers
from edge.store.executions import Executions
from edge.store.leases import Leases
from edge.store.queues import Queues
from edge.store.slots import Slots
from edge.store.timers import Timeline
from edge.store.waiters import Waiters
from edge.timekeeper import Timekeeper
from edge.transactions import Disk
from tests.simulation import sync_mutants
from tests.simulation.sync_mutants import Patch


class Mutant(NamedTuple):
    """One wrong version."""

    imitates: str
    """The fault, in words."""
    patches: Callable[[], list[Patch]]
    seed: int = 0
    """A seed that finds it."""
    kept: str = ""
    """A kept world that finds it, where few seeds do; "" = seeds have to."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The engine has this fault until the block ends."""
        patches = self.patches()
        before = [(place, name, _raw(place, name)) for place, name, _ in patches]
        for place, name, wrong in patches:
            setattr(place, name, wrong)
        try:
            yield
        finally:
            for place, name, right in before:
                setattr(place, name, right)


def _raw(place: Any, name: str) -> Any:
    """What stands under a name, as it stands there: a static method is one still."""
    return vars(place)[name]


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing where something should be done."""


# Leases and queues.


def _lease_forgotten() -> list[Patch]:
    def grant(self: Leases, task: Any, held: Any) -> None:
        self._held[task] = held

    return [(Leases, "grant", grant)]


def _leases_by_wall_clock() -> list[Patch]:
    return [(SystemClock, "monotonic_ms", lambda self: self._wall_ns() // 1_000_000)]


def _queues_not_rebuilt() -> list[Patch]:
    async def take_up(self: HandOver) -> None:
        """What waited before the power cut is forgotten."""

    return [(HandOver, "take_up", take_up)]


def _handed_twice() -> list[Patch]:
    right = Queues.take

    def take(self: Queues, queue: str, count: int, now_ms: int) -> Any:
        taken = right(self, queue, count, now_ms)
        for task, place in taken:
            if place.arrival % 3 == 0:
                self._where[task] = place
                self._insert(task, place, now_ms)
        return taken

    return [(Queues, "take", take)]


def _dead_ids() -> list[Patch]:
    return [(Queues, "withdraw", _nothing)]


def _poller_not_woken() -> list[Patch]:
    return [(Waiters, "wake", _nothing)]


def _slot_never_freed() -> list[Patch]:
    return [(Queues, "free", _nothing)]


def _limit_ignored() -> list[Patch]:
    return [(Slots, "room", lambda self, limit, now_ms: 99)]


def _window_too_long() -> list[Patch]:
    right = Slots.room

    def room(self: Slots, limit: Any, now_ms: int) -> int:
        return right(self, limit._replace(per_window=limit.per_window * 2), now_ms)

    return [(Slots, "room", room)]


def _callback_lost() -> list[Patch]:
    return [(Queues, "promote", lambda self, now_ms, monotonic_ms: 0)]


# Time.


def _time_stands_still() -> list[Patch]:
    def now_ms(self: SystemClock) -> int:
        shown = max(self._wall_ns() // 1_000_000, self._last[0])
        self._last = (shown, 0)
        return shown

    return [(SystemClock, "now_ms", now_ms)]


def _jump_not_noticed() -> list[Patch]:
    return [(SystemClock, "jumps", NO_JUMPS)]


def _jump_forgotten() -> list[Patch]:
    return [(Timeline, "flush", _nothing)]


def _elapsed_by_wall_clock() -> list[Patch]:
    return [(SystemClock, "elapsed_ms", lambda self: self._wall_ns() // 1_000_000)]


def _time_goes_back() -> list[Patch]:
    return [(SystemClock, "now_ms", lambda self: self._wall_ns() // 1_000_000)]


def _timer_early() -> list[Patch]:
    right = duration_ms
    return [(wait, "duration_ms", lambda text: right(text) * 9 // 10)]


def _timer_not_noticed() -> list[Patch]:
    return [(Timekeeper, "_see", _nothing)]


def _timer_lost() -> list[Patch]:
    right = timers.due

    def due(connection: sqlite3.Connection, now_ms: int, limit: int) -> Any:
        return [one for one in right(connection, now_ms, limit) if one[0][-5] % 4]

    return [(timers, "due", due)]


def _retry_at_once() -> list[Patch]:
    return [(policies, "retry_delay_s", lambda definition, attempt: 0)]


# Transactions.


class _Lazy:
    """A connection whose COMMIT is made with the next BEGIN."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement == "COMMIT":
            return None
        if statement == "BEGIN IMMEDIATE" and self._connection.in_transaction:
            self._connection.execute("COMMIT")
        return self._connection.execute(statement, *parameters)


def _acknowledged_before_commit() -> list[Patch]:
    right = Disk.run

    def run(self: Disk, connection: Any, *rest: Any) -> Any:
        return right(self, _Lazy(connection), *rest)  # type: ignore[arg-type]

    return [(Disk, "run", run)]


def _memory_ahead_of_disk() -> list[Patch]:
    def forget_all(self: Executions) -> None:
        self._batch.clear()
        self._request.clear()

    return [(Executions, "forget_all", forget_all)]


def _end_flips_back() -> list[Patch]:
    """An answer that comes after the end is taken for news."""
    right = updates.update_task

    def update_task(draft: Any, command: Any) -> None:
        task = draft.snapshot.tasks.get(command.ordinal)
        ended = draft.snapshot.workflow.status.terminal
        if task is not None and task.status.terminal and not ended and task.kind == "SIMPLE":
            draft.change(task, status=TaskStatus.SCHEDULED, ended_ms=0)
        right(draft, command)

    return [(decide, "_COMMANDS", {**decide._COMMANDS, UpdateTask: update_task})]


# Flow.


def _parent_not_told() -> list[Patch]:
    return [(children, "tell_parent", _nothing)]


def _children_go_on() -> list[Patch]:
    return [(children, "give_up_child", _nothing)]


def _join_not_told() -> list[Patch]:
    return [(Snapshot, "joins_waiting_for", lambda self, ref: [])]


def _tasks_left_open() -> list[Patch]:
    return [(flow, "cancel", _nothing)]


def _key_forgotten() -> list[Patch]:
    return [(Disk, "_existing", lambda self, connection, pinned, request: None)]


def _started_twice() -> list[Patch]:
    """A launch that has been carried out is carried out again, as by two that look for work."""
    right = Disk._launch

    def launch(self: Disk, connection: sqlite3.Connection, asking: bytes, call: Any) -> Any:
        first = right(self, connection, asking, call)
        if call.child or not call.ordinal:
            return first
        return [*first, *right(self, connection, asking, call)]

    return [(Disk, "_launch", launch), (transactions, "still_wanted", lambda *_: True)]


# Messages and schedules.


_GAP_S = 1.0
"""Between two halves of what should be whole, so that some seeds fall between them."""


def _message_handled_twice() -> list[Patch]:
    async def take(self: Any, limit: int) -> int:
        found = await self._engine.request(
            lambda t: [
                (key, events.handle(t, message))
                for key, message in stored_events.waiting(t.connection, limit)
            ]
        )

        def settle(t: Any) -> None:
            for key, _ in found:
                stored_events.settle(t.connection, key)

        if found:
            await asyncio.sleep(_GAP_S)
        await self._engine.request(settle)
        return len(found)

    return [
        (event_queue.EventQueue, "_take", take),
        (stored_events, "is_done", lambda *_: False),
        (stored_events, "add_execution", _nothing),
    ]


def _message_lost() -> list[Patch]:
    async def take(self: Any, limit: int) -> int:
        def settle(t: Any) -> Any:
            found = stored_events.waiting(t.connection, limit)
            for key, _ in found:
                stored_events.settle(t.connection, key)
            return found

        found = await self._engine.request(settle)
        if found:
            await asyncio.sleep(_GAP_S)
        await self._engine.request(lambda t: [events.handle(t, message) for _, message in found])
        return len(found)

    return [(event_queue.EventQueue, "_take", take)]


MUTANTS: dict[str, Mutant] = {
    "lease-forgotten": Mutant("a dead worker's task never comes back", _lease_forgotten),
    "leases-by-wall-clock": Mutant("a jump ends leases", _leases_by_wall_clock, seed=56),
    "queues-not-rebuilt": Mutant("the queue is only in memory", _queues_not_rebuilt),
    "handed-twice": Mutant("one task, two workers", _handed_twice),
    "dead-ids": Mutant("ended tasks stay in their queues", _dead_ids),
    "poller-not-woken": Mutant("a worker sleeps beside its work", _poller_not_woken),
    "slot-never-freed": Mutant("a limit fills up for good", _slot_never_freed),
    "limit-ignored": Mutant("more tasks at once than allowed", _limit_ignored),
    "window-too-long": Mutant("more hand-overs in a window than allowed", _window_too_long),
    "callback-lost": Mutant("a task that was put off never returns", _callback_lost),
    "time-stands-still": Mutant("timers stop when the clock is set back", _time_stands_still),
    "time-goes-back": Mutant("time steps back with the wall clock", _time_goes_back),
    "jump-not-noticed": Mutant(
        "a wait ends when the clock is set forward", _jump_not_noticed, seed=87
    ),
    "jump-forgotten": Mutant("the next start does not know of a jump", _jump_forgotten, seed=175),
    "elapsed-by-wall-clock": Mutant("time passes with each jump", _elapsed_by_wall_clock),
    "timer-early": Mutant("a wait ends before its time", _timer_early),
    "timer-not-noticed": Mutant("an earlier deadline wakes nobody", _timer_not_noticed),
    "timer-lost": Mutant("some timers never fire", _timer_lost),
    "retry-at-once": Mutant("a retry does not wait", _retry_at_once),
    "acknowledged-before-commit": Mutant(
        "an answer before its COMMIT", _acknowledged_before_commit
    ),
    "memory-ahead-of-disk": Mutant("a ROLLBACK that memory does not see", _memory_ahead_of_disk),
    "end-flips-back": Mutant("a finished task begins again", _end_flips_back),
    "parent-not-told": Mutant("a child ends and its parent waits on", _parent_not_told),
    "children-go-on": Mutant("a parent ends and its children go on", _children_go_on, seed=38),
    "join-not-told": Mutant("a join misses its last branch", _join_not_told),
    "tasks-left-open": Mutant("tasks are open after the end", _tasks_left_open, seed=38),
    "key-forgotten": Mutant("an idempotency key is not looked up", _key_forgotten, seed=27),
    "started-twice": Mutant("what a task starts is started twice", _started_twice),
    "message-handled-twice": Mutant(
        "a crash repeats what a message did", _message_handled_twice, seed=47
    ),
    "message-lost": Mutant("a message is settled before it is handled", _message_lost, seed=47),
    "gap-in-outbox": Mutant("a sequence is used up by a ROLLBACK", sync_mutants.gap_in_outbox),
    "end-not-recorded": Mutant(
        "the end of an execution is not in history", sync_mutants.end_not_recorded
    ),
    "cursor-ahead": Mutant(
        "one record more is pruned than acknowledged", sync_mutants.cursor_ahead
    ),
    "cloud-acknowledges-early": Mutant(
        "the control plane acknowledges before its COMMIT",
        sync_mutants.cloud_acknowledges_before_commit,
    ),
    "delivery-is-receipt": Mutant(
        "the broker's receipt is taken for good", sync_mutants.delivery_is_receipt
    ),
    "order-never-sent-again": Mutant(
        "an order is lost on the link", sync_mutants.order_never_sent_again
    ),
    "order-carried-out-late": Mutant(
        "an order has no end", sync_mutants.order_carried_out_late, seed=1
    ),
    "configuration-goes-back": Mutant(
        "an older order has the last word", sync_mutants.configuration_goes_back, seed=42
    ),
    "copy-not-noticed": Mutant(
        "an old disk goes on under its epoch", sync_mutants.copy_not_noticed, seed=8
    ),
    "old-cursor-taken": Mutant(
        "a new epoch begins behind the old cursors", sync_mutants.old_cursor_taken, seed=8
    ),
    "epoch-takes-nothing-along": Mutant(
        "what waits when an epoch begins is lost", sync_mutants.epoch_takes_nothing_along, seed=8
    ),
    "old-epoch-thrown-away": Mutant(
        "history of before an epoch is gone", sync_mutants.old_epoch_thrown_away, seed=8
    ),
    "not-told-anew": Mutant(
        "a lost branch has the last word", sync_mutants.not_told_anew, seed=216
    ),
    "failures-not-told-anew": Mutant(
        "what has failed is shown as it was before",
        sync_mutants.failures_not_told_anew,
        kept="failed-before-what-waits",
    ),
    "lost-steps-shown": Mutant(
        "steps of a lost branch stand beside those of the other",
        sync_mutants.lost_steps_shown,
        seed=561,
    ),
    "less-not-compared": Mutant(
        "a run that knows less than was told is let in",
        sync_mutants.less_not_compared,
        kept="orders-behind-a-later-boot",
    ),
    "clones-acknowledgement-taken": Mutant(
        "what one machine was told moves the cursors of its clone",
        sync_mutants.clones_acknowledgement_taken,
        seed=3034,
    ),
    "farewell-of-the-other": Mutant(
        "a machine is shown as its clone was when it went",
        sync_mutants.farewell_of_the_other,
        kept="shown-as-the-clone-was",
    ),
    "lost-records-awaited": Mutant(
        "a ledger waits for what only a lost one had",
        sync_mutants.lost_records_awaited,
        kept="idle-while-a-ledger-was-lost",
    ),
    "announced-once": Mutant(
        "an idle device does not hear that a ledger was put back",
        sync_mutants.announced_once,
        kept="idle-and-not-told-of-a-ledger",
    ),
    "gap-not-noted": Mutant(
        "what was lost with a ledger is lost in silence",
        sync_mutants.gap_not_noted,
        kept="idle-while-a-ledger-was-lost",
    ),
    "projection-skips": Mutant("a segment is never shown", sync_mutants.projection_skips),
}
