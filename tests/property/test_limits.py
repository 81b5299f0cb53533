"""Queues under limits: never more than is allowed, in order, and nobody waits who might go.

The model beside the queues is as simple as can be: lists that are searched from their beginning.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.store.backlog import Place
from edge.store.queues import Queues
from edge.store.slots import Limit, TaskId

QUEUES = ("q", "yard:q")
LIMITS = (
    Limit("free"),
    Limit("one", at_once=1),
    Limit("one", at_once=2),
    Limit("slow", per_window=2, window_ms=100),
    Limit("slow", per_window=3, window_ms=250),
    Limit("both", at_once=2, per_window=3, window_ms=60),
)


class _Waits(NamedTuple):
    """A task of the model that waits; tuples in their order are in the order of hand-over."""

    rank: int
    arrival: int
    task: TaskId
    queue: str
    limit: Limit


class _HandOver(NamedTuple):
    """A task has been handed over."""

    name: str
    at_ms: int
    number: int


class Limited(RuleBasedStateMachine):
    """Tasks come, go out, end, come back and are withdrawn; pollers wait; time passes."""

    window = 5_000

    def __init__(self) -> None:
        super().__init__()
        self.queues = Queues(window=self.window)
        self.loop = asyncio.new_event_loop()
        self.now_ms = 1_000
        self.arrivals = 0
        self.waiting: list[_Waits] = []
        self.out: dict[TaskId, tuple[_Waits, Place, _HandOver]] = {}
        self.log: list[_HandOver] = []
        """Every hand-over, in their order."""
        self.handed = 0
        self.pollers: dict[str, asyncio.Future[bool]] = {}
        self.limits: tuple[Limit, ...] = LIMITS
        for limit in LIMITS:
            # A window counts what happens after somebody has first asked for it.
            self.queues.slots.room(limit, 0)

    def teardown(self) -> None:
        self.loop.close()

    @initialize(name=st.sampled_from(("one", "slow", "both", "all")))
    def one_definition_or_all(self, name: str) -> None:
        """A world of few definitions runs into their limits more often."""
        chosen = tuple(one for one in LIMITS if one.name in (name, "free"))
        self.limits = LIMITS if name == "all" else chosen

    # What may happen.

    @rule(queue=st.sampled_from(QUEUES), priority=st.integers(0, 2), choice=st.integers(0, 99))
    def put(self, queue: str, priority: int, choice: int) -> None:
        limit = self.limits[choice % len(self.limits)]
        self.arrivals += 1
        task = (bytes(16), self.arrivals)
        self.waiting.append(_Waits(-priority, self.arrivals, task, queue, limit))
        self.queues.put(queue, task, priority, limit=limit, now_ms=self.now_ms)
        self._let_pollers_run()

    @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 4))
    def take(self, queue: str, count: int) -> None:
        self._take(queue, count)
        self._let_pollers_run()

    def _take(self, queue: str, count: int) -> bool:
        expected = []
        for _ in range(count):
            found = self._next(queue)
            if found is not None:
                expected.append(found)
                self._hand_out(found)
        taken = self.queues.take(queue, count, self.now_ms)

        assert [one.task for one in expected] == [task for task, _ in taken]
        for one, (task, place) in zip(expected, taken, strict=True):
            self.out[task] = (one, place, self.out[task][2])
        return bool(taken)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[task]
        self.queues.free(task, self.now_ms)
        self._let_pollers_run()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(sorted(self.out)))
        waits, place, handed = self.out.pop(task)
        self.log.remove(handed)
        self.waiting.append(waits)
        self.queues.put_back(task, place, self.now_ms)
        self._let_pollers_run()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.remove(one)

        assert self.queues.withdraw(one.task) is not None
        self._let_pollers_run()

    @rule(ms=st.sampled_from((1, 30, 60, 100, 300)))
    def time_passes(self, ms: int) -> None:
        """As the timekeeper lets it: it sleeps until the next opening that it was told."""
        end_ms = self.now_ms + ms
        while True:
            opening_ms = self.queues.open_windows(self.now_ms)
            self._let_pollers_run()
            opening_ms = self.queues.open_windows(self.now_ms)
            if not self.now_ms < opening_ms <= end_ms:
                break
            self.now_ms = opening_ms
        self.now_ms = end_ms

    @rule(queue=st.sampled_from(QUEUES))
    def poll(self, queue: str) -> None:
        """Somebody asks, and waits if there is nothing."""
        if queue not in self.pollers and not self._take(queue, 1):
            self._wait(queue)

    # What must hold.

    @invariant()
    def nobody_waits_who_might_go(self) -> None:
        """While a poller waits, every task of its queue is held back by a limit."""
        assert [] == [queue for queue in self.pollers if self._next(queue) is not None]

    @invariant()
    def no_limit_is_passed(self) -> None:
        """Counted over all hand-overs, whoever of a definition's tasks they were."""
        for waits, _, handed in self.out.values():
            limit = waits.limit
            if limit.per_window:
                # One that came later in the same moment may have gone by a shorter window.
                inside = [
                    one
                    for one in self.log[: self.log.index(handed) + 1]
                    if one.name == limit.name and one.at_ms > handed.at_ms - limit.window_ms
                ]
                widest = max(one.per_window for one in LIMITS if one.name == limit.name)
                assert len(inside) <= widest
            if limit.at_once:
                most = max(one.at_once for one in LIMITS if one.name == limit.name)
                assert most >= sum(one.limit.name == limit.name for one, _, _ in self.out.values())

    @invariant()
    def sizes_count_all_that_wait(self) -> None:
        """What is held back is not hidden."""
        sizes = {
            queue: count
            for queue in QUEUES
            if (count := sum(one.queue == queue for one in self.waiting))
        }
        assert sizes == self.queues.sizes()

    # The model.

    def _next(self, queue: str) -> _Waits | None:
        for one in sorted(self.waiting):
            if one.queue == queue and self._may_go(one.limit):
                return one
        return None

    def _may_go(self, limit: Limit) -> bool:
        out = sum(waits.limit.name == limit.name for waits, _, _ in self.out.values())
        if limit.at_once and out >= limit.at_once:
            return False
        recent = [
            one
            for one in self.log
            if one.name == limit.name and one.at_ms > self.now_ms - limit.window_ms
        ]
        return not limit.per_window or len(recent) < limit.per_window

    def _hand_out(self, one: _Waits) -> None:
        self.waiting.remove(one)
        self.handed += 1
        handed = _HandOver(one.limit.name, self.now_ms, self.handed)
        self.log.append(handed)
        self.out[one.task] = (one, Place(one.queue, -one.rank, one.limit, 0), handed)

    def _wait(self, queue: str) -> None:
        """What a poll does that has found nothing."""
        future: asyncio.Future[bool] = self.loop.create_future()
        self.queues.waiters._waiting.setdefault(queue, {})[future] = None
        self.pollers[queue] = future

    def _let_pollers_run(self) -> None:
        """Pollers that were woken look; one that finds something is done."""
        for queue, future in list(self.pollers.items()):
            if future.done():
                del self.pollers[queue]
                if not self._take(queue, 1):
                    self._wait(queue)


Limited.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLimited = Limited.TestCase


class Crowded(Limited):
    """The same, with hardly any room in memory: all but the first three of a line are put off."""

    window = 3


Crowded.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestCrowded = Crowded.TestCase


@given(
    at_once=st.integers(0, 4),
    per_window=st.integers(0, 4),
    window_ms=st.integers(1, 50),
    pollers=st.integers(1, 6),
    lasts_ms=st.lists(st.integers(1, 60), min_size=1, max_size=25),
    window=st.sampled_from((2, 5_000)),
)
@settings(max_examples=300, deadline=None)
def test_every_task_starts_as_soon_as_it_may(
    *, at_once: int, per_window: int, window_ms: int, pollers: int, lasts_ms: list[int], window: int
) -> None:
    """Workers that do nothing but wait to be woken are as busy as the limits let them be."""
    limit = Limit("n", at_once, per_window, window_ms)

    assert _earliest(limit, pollers, lasts_ms) == _started(limit, pollers, lasts_ms, window)


def _earliest(limit: Limit, pollers: int, lasts_ms: list[int]) -> list[int]:
    """When each task may start, tried millisecond by millisecond."""
    starts: list[int] = []
    ends: list[int] = []
    now_ms = 0
    while len(starts) < len(lasts_ms):
        busy = sum(end > now_ms for end in ends)
        recent = sum(start > now_ms - limit.window_ms for start in starts)
        held_back = (limit.at_once and busy >= limit.at_once) or (
            limit.per_window and recent >= limit.per_window
        )
        if busy < pollers and not held_back:
            ends.append(now_ms + lasts_ms[len(starts)])
            starts.append(now_ms)
        else:
            now_ms += 1
    return starts


def _started(limit: Limit, pollers: int, lasts_ms: list[int], window: int) -> list[int]:
    """When each task starts; time jumps from one end or opening to the next."""
    loop = asyncio.new_event_loop()
    queues, starts, now_ms = Queues(window=window), [0] * len(lasts_ms), 0
    for number in range(len(lasts_ms)):
        queues.put("q", (b"", number), 0, limit=limit, now_ms=0)
    running: dict[int, int] = {}
    looking, waiting = pollers, list[asyncio.Future[bool]]()
    while True:
        queues.open_windows(now_ms)
        looking += sum(one.done() for one in waiting)
        waiting = [one for one in waiting if not one.done()]
        for _ in range(looking):
            for (_, number), _ in queues.take("q", 1, now_ms):
                starts[number] = now_ms
                running[number] = now_ms + lasts_ms[number]
                break
            else:
                waiting.append(loop.create_future())
                queues.waiters._waiting.setdefault("q", {})[waiting[-1]] = None
        moments = [*running.values(), queues.open_windows(now_ms)]
        later = [moment for moment in moments if moment > now_ms]
        if not later:
            loop.close()
            return starts
        now_ms = min(later)
        ended = [number for number, end_ms in running.items() if end_ms <= now_ms]
        for number in ended:
            del running[number]
            queues.free((b"", number), now_ms)
        looking = len(ended)
