"""Queues and leases in memory: order, delays, waiting pollers, expiry."""

from __future__ import annotations

import asyncio

from edge.model.decision import Lease
from edge.store.queues import Held, Leases, Queues, TaskId


def _task(number: int) -> TaskId:
    return bytes(16), number


def _held(*, silent_until_ms: int = 0, runs_until_ms: int = 0, response_ms: int = 0) -> Held:
    return Held(Lease("w", 1, 1), "q", 0, response_ms, silent_until_ms, runs_until_ms)


def test_priority_then_age() -> None:
    """Higher priority first, and first come, first served within one."""
    queues = Queues()
    for number, priority in ((1, 0), (2, 5), (3, 0), (4, 5)):
        queues.put("q", _task(number), priority)

    assert [2, 4, 1, 3] == [task[1] for task, _ in queues.take("q", 9)]
    assert [] == queues.take("q", 9)


def test_no_more_than_asked_for() -> None:
    """The rest stays."""
    queues = Queues()
    for number in range(5):
        queues.put("q", _task(number), 0)

    assert 2 == len(queues.take("q", 2))
    assert {"q": 3} == queues.sizes()


def test_withdrawn_tasks_are_never_handed_out() -> None:
    """Whether they were ready or delayed."""
    queues = Queues()
    queues.put("q", _task(1), 3)
    queues.put("q", _task(2), 0, deliver_ms=100)

    assert ("q", 3) == queues.withdraw(_task(1))
    assert queues.withdraw(_task(1)) is None
    queues.withdraw(_task(2))
    assert 0 == queues.promote(200)
    assert [] == queues.take("q", 9)


def test_delayed_tasks_come_at_their_time() -> None:
    """They count as waiting, and nobody gets them before."""
    queues = Queues()
    queues.put("q", _task(1), 0, deliver_ms=100)
    queues.put("q", _task(2), 0, deliver_ms=300)

    assert {"q": 2} == queues.sizes()
    assert 100 == queues.promote(99)
    assert [] == queues.take("q", 9)
    assert 300 == queues.promote(100)
    assert [_task(1)] == [task for task, _ in queues.take("q", 9)]


def test_waiting_pollers_are_woken_one_a_task() -> None:
    """Two tasks wake two pollers, and a third goes on waiting."""

    async def main() -> list[bool]:
        queues = Queues()
        waiting = [asyncio.ensure_future(queues.wait("q", 0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        queues.put("q", _task(1), 0)
        queues.put("q", _task(2), 0)
        return [await one for one in waiting]

    assert [True, True, False] == asyncio.run(main())


def test_a_poller_that_goes_away_wakes_the_next() -> None:
    """A wake-up is not lost with the one it was meant for."""

    async def main() -> bool:
        queues = Queues()
        gone = asyncio.ensure_future(queues.wait("q", 5))
        stays = asyncio.ensure_future(queues.wait("q", 5))
        await asyncio.sleep(0)
        queues.put("q", _task(1), 0)
        gone.cancel()
        return await stays

    assert asyncio.run(main())


def test_leases_expire_at_the_earlier_moment() -> None:
    """Silence or run time, whichever comes first."""
    leases = Leases()
    leases.grant(_task(1), _held(silent_until_ms=100, runs_until_ms=50))
    leases.grant(_task(2), _held(silent_until_ms=70))
    leases.grant(_task(3), _held())

    assert 50 == leases.next_expiry_ms()
    assert [] == leases.expired(49)
    assert [_task(1)] == [task for task, _ in leases.expired(50)]
    assert 70 == leases.next_expiry_ms()
    assert 3 == len(leases.all())


def test_released_and_extended_leases_do_not_expire() -> None:
    """A sign of life moves the moment; the run time stays."""
    leases = Leases()
    leases.grant(_task(1), _held(silent_until_ms=100, response_ms=100))
    leases.grant(_task(2), _held(silent_until_ms=100))
    leases.release(_task(2))

    assert leases.extend(_task(1), 90)
    assert not leases.extend(_task(2), 90)
    assert [] == leases.expired(150)
    assert 190 == leases.next_expiry_ms()
    leases.release(_task(1))
    assert 0 == leases.next_expiry_ms()


def test_an_earlier_expiry_is_told() -> None:
    """The timekeeper must not sleep past it."""
    leases = Leases()
    told: list[int] = []
    leases.on_earlier = lambda: told.append(1)
    leases.grant(_task(1), _held(silent_until_ms=100))
    leases.grant(_task(2), _held(silent_until_ms=200))
    leases.grant(_task(3), _held(silent_until_ms=50))

    assert 2 == len(told)
