"""Queues and leases in memory: order, delays, limits, waiting pollers, expiry."""

from __future__ import annotations

import asyncio

from edge.store import queues as queues_module
from edge.store.queues import Queues
from edge.store.slots import Limit, TaskId

_ANY = Limit("n")


def _task(number: int) -> TaskId:
    return bytes(16), number


def _put(
    queues: Queues,
    number: int,
    priority: int = 0,
    *,
    queue: str = "q",
    limit: Limit = _ANY,
    deliver_ms: int = 0,
    now_ms: int = 0,
) -> None:
    queues.put(queue, _task(number), priority, deliver_ms, limit=limit, now_ms=now_ms)


def _take(queues: Queues, count: int = 99, *, queue: str = "q", now_ms: int = 0) -> list[int]:
    return [task[1] for task, _ in queues.take(queue, count, now_ms)]


def test_priority_then_age() -> None:
    """Higher priority first, and first come, first served within one."""
    queues = Queues()
    for number, priority in ((1, 0), (2, 5), (3, 0), (4, 5)):
        _put(queues, number, priority)

    assert [2, 4, 1, 3] == _take(queues)
    assert [] == _take(queues)


def test_no_more_than_asked_for() -> None:
    """The rest stays."""
    queues = Queues()
    for number in range(5):
        _put(queues, number)

    assert 2 == len(_take(queues, 2))
    assert {"q": 3} == queues.sizes()


def test_withdrawn_tasks_are_never_handed_out() -> None:
    """Whether they were ready, delayed or held back."""
    queues = Queues()
    _put(queues, 1, 3)
    _put(queues, 2, deliver_ms=100)
    _put(queues, 3, limit=Limit("n", at_once=1))
    place = queues.withdraw(_task(1))

    assert place is not None
    assert ("q", 3) == (place.queue, place.priority)
    assert queues.withdraw(_task(1)) is None
    queues.withdraw(_task(2))
    queues.withdraw(_task(3))
    assert 0 == queues.promote(200, 0)
    assert [] == _take(queues)


def test_a_task_that_is_queued_again_waits_once() -> None:
    """What was left of its first time in the queue does not hand it out early, nor twice."""
    queues = Queues()
    _put(queues, 1)
    queues.withdraw(_task(1))
    _put(queues, 1, deliver_ms=100)

    assert [] == _take(queues)
    queues.promote(100, 0)
    assert [1] == _take(queues)
    assert [] == _take(queues)


def test_a_hand_over_that_failed_keeps_its_turn() -> None:
    """A task that is put back comes before the younger ones, and its slot is free."""
    limit = Limit("n", at_once=1)
    queues = Queues()
    _put(queues, 1, limit=limit)
    _put(queues, 2, limit=limit)
    ((task, place),) = queues.take("q", 9, 0)
    queues.put_back(task, place, 0)

    assert [1] == _take(queues)


def test_withdrawn_tasks_do_not_pile_up() -> None:
    """A queue that nobody polls is cleaned when most of what lies there was withdrawn."""
    queues = Queues()
    limit = Limit("n", at_once=1)
    for number in range(3 * queues_module._WITHDRAWN):
        _put(queues, number, deliver_ms=number % 3 and 5, limit=limit if number % 2 else _ANY)
        if number > 10:
            queues.withdraw(_task(number))
    entries = len(queues._delayed) + sum(map(len, queues._ready.values()))
    entries += sum(len(line) for lines in queues._lines.values() for line in lines.values())

    assert entries <= 2 * queues_module._WITHDRAWN
    queues.promote(5, 0)
    assert {"q": 11} == queues.sizes()
    assert set(range(11)) >= set(_take(queues))


def test_delayed_tasks_come_at_their_time() -> None:
    """They count as waiting, and nobody gets them before."""
    queues = Queues()
    _put(queues, 1, deliver_ms=100)
    _put(queues, 2, deliver_ms=300)

    assert {"q": 2} == queues.sizes()
    assert 100 == queues.promote(99, 0)
    assert [] == _take(queues)
    assert 300 == queues.promote(100, 0)
    assert [1] == _take(queues)


def test_a_limit_holds_across_queues() -> None:
    """Tasks of one definition share their slots, whatever domain they wait in."""
    limit = Limit("n", at_once=2)
    queues = Queues()
    for number, queue in ((1, "q"), (2, "yard:q"), (3, "q"), (4, "yard:q")):
        _put(queues, number, queue=queue, limit=limit)

    assert [1, 3] == _take(queues)
    assert [] == _take(queues, queue="yard:q")
    queues.free(_task(1), 0)
    assert [2] == _take(queues, queue="yard:q")
    assert {"yard:q": 1} == queues.sizes()


def test_what_is_held_back_stands_in_nobodys_way() -> None:
    """Tasks of other definitions in the same queue are handed out past it."""
    limit = Limit("narrow", at_once=1)
    queues = Queues()
    _put(queues, 1, 9, limit=limit)
    _put(queues, 2, 9, limit=limit)
    _put(queues, 3, limit=Limit("wide", at_once=5))
    _put(queues, 4)

    assert [1, 3, 4] == _take(queues)
    queues.free(_task(1), 0)
    assert [2] == _take(queues)


def test_each_task_is_held_to_its_own_definition() -> None:
    """A definition that was changed counts for executions that started after it."""
    queues = Queues()
    _put(queues, 1, limit=Limit("n", at_once=1))
    _put(queues, 2, limit=Limit("n", at_once=1))
    _put(queues, 3, limit=Limit("n", at_once=2))
    _put(queues, 4, limit=Limit("n", at_once=2))

    assert [1, 3] == _take(queues)
    queues.free(_task(1), 0)
    # One is in progress: that is enough for the older definition, not for the newer.
    assert [4] == _take(queues)


def test_a_window_lets_no_more_through() -> None:
    """In any stretch of its length; whether tasks have ended does not matter."""
    limit = Limit("n", per_window=2, window_ms=1_000)
    queues = Queues()
    for number in range(1, 6):
        _put(queues, number, limit=limit)

    assert [1] == _take(queues, 1, now_ms=0)
    assert [2] == _take(queues, now_ms=600)
    queues.free(_task(1), 700)
    assert [] == _take(queues, now_ms=999)
    assert [3] == _take(queues, now_ms=1_000)
    assert [] == _take(queues, now_ms=1_599)
    assert [4] == _take(queues, now_ms=1_600)


def test_the_moment_a_window_opens_is_told() -> None:
    """The timekeeper is woken for it, and there is one moment for each limit."""
    limit = Limit("n", per_window=1, window_ms=500)
    told: list[int] = []
    queues = Queues()
    queues.on_earlier = lambda: told.append(1)
    for number in (1, 2, 3):
        _put(queues, number, limit=limit, now_ms=10)

    assert [1] == _take(queues, now_ms=20)
    assert 520 == queues.open_windows(20)
    assert 1 == len(told)
    assert [2] == _take(queues, now_ms=520)
    assert 1_020 == queues.open_windows(520)
    assert [3] == _take(queues, now_ms=1_020)
    assert 0 == queues.open_windows(1_100)


def test_a_free_slot_wakes_who_waits_first_in_line() -> None:
    """One slot, two queues: the poller of the older task is woken before the other."""

    async def main() -> list[str]:
        limit = Limit("n", at_once=1)
        queues = Queues()
        for number, queue in ((1, "q"), (2, "yard:q"), (3, "q")):
            _put(queues, number, queue=queue, limit=limit)
        _take(queues)
        order: list[str] = []

        async def poller(queue: str) -> None:
            await queues.waiters.wait(queue, 5)
            order.append(queue)

        async with asyncio.TaskGroup() as group:
            group.create_task(poller("q"))
            group.create_task(poller("yard:q"))
            await asyncio.sleep(0)
            queues.free(_task(1), 0)
        return order

    assert ["yard:q", "q"] == asyncio.run(main())


def test_an_opening_wakes_as_many_as_may_go() -> None:
    """Two hand-overs leave the window in the same moment: two pollers are woken."""

    async def main() -> list[bool]:
        limit = Limit("n", per_window=2, window_ms=100)
        queues = Queues()
        for number in range(6):
            _put(queues, number, limit=limit)
        _take(queues)
        waiting = [asyncio.ensure_future(queues.waiters.wait("q", 0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        assert 100 == queues.open_windows(99)
        queues.open_windows(100)
        return [await one for one in waiting]

    assert [True, True, False] == asyncio.run(main())


def test_waiting_pollers_are_woken_one_a_task() -> None:
    """Two tasks wake two pollers, and a third goes on waiting."""

    async def main() -> list[bool]:
        queues = Queues()
        waiting = [asyncio.ensure_future(queues.waiters.wait("q", 0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        _put(queues, 1)
        _put(queues, 2)
        return [await one for one in waiting]

    assert [True, True, False] == asyncio.run(main())


def test_a_poller_that_goes_away_wakes_the_next() -> None:
    """A wake-up is not lost with the one it was meant for."""

    async def main() -> bool:
        queues = Queues()
        gone = asyncio.ensure_future(queues.waiters.wait("q", 5))
        stays = asyncio.ensure_future(queues.waiters.wait("q", 5))
        await asyncio.sleep(0)
        _put(queues, 1)
        gone.cancel()
        return await stays

    assert asyncio.run(main())


def test_since_when_the_foremost_waits() -> None:
    """Of those that may go; one that was withdrawn waits no more, and one that is held back may not."""
    queues = Queues()
    assert 0 == queues.foremost_since_ms("q")
    _put(queues, 1, now_ms=5)
    _put(queues, 2, now_ms=7)
    _put(queues, 3, queue="held", limit=Limit("h", at_once=1), now_ms=9)

    assert 5 == queues.foremost_since_ms("q")
    queues.withdraw(_task(1))
    assert 7 == queues.foremost_since_ms("q")
    assert 0 == queues.foremost_since_ms("held")
