"""Leases: when they end, and that those which are over leave nothing behind."""

from __future__ import annotations

from edge.model.decision import Lease
from edge.store import leases as leases_module
from edge.store.backlog import Place
from edge.store.leases import Held, Leases
from edge.store.slots import Limit, TaskId

_ANY = Limit("n")


def _task(number: int) -> TaskId:
    return bytes(16), number


def _held(*, silent_until_ms: int = 0, runs_until_ms: int = 0, response_ms: int = 0) -> Held:
    place = Place("q", 0, _ANY, 1)
    return Held(Lease("w", 1, 1), place, response_ms, silent_until_ms, runs_until_ms)


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


def test_leases_that_are_over_leave_nothing_behind() -> None:
    """Millions of tasks are answered within the hour after which their leases would have ended."""
    leases = Leases()
    leases.grant(_task(0), _held(silent_until_ms=5_000_000, response_ms=5_000_000))
    for number in range(1, 10 * leases_module._STALE):
        leases.grant(_task(number), _held(silent_until_ms=3_600_000 + number))
        leases.extend(_task(0), number)
        leases.release(_task(number))

    assert len(leases._expiry) <= leases_module._STALE + 2
    assert 5_000_000 + 10 * leases_module._STALE - 1 == leases.next_expiry_ms()
    assert [] == leases.expired(5_000_000)
    assert [_task(0)] == [task for task, _ in leases.expired(6_000_000)]
