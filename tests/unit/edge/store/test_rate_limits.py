"""Lines of executions that share a key: who runs, who waits, what a failed request leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from edge.model.executions import Workflow, WorkflowStatus
from edge.store.rate_limits import Group, RateLimits

_NOWHERE = cast(sqlite3.Connection, None)
"""What is open is handed in: no database is asked."""

_GROUP = Group("w", "k")


def _id(number: int) -> bytes:
    return bytes([number])


def _workflow(number: int, **fields: object) -> Workflow:
    workflow = Workflow(number, _id(number), "w", 1, 1, WorkflowStatus.RUNNING)
    return msgspec.structs.replace(workflow, **fields)


def _limits(*found: tuple[Workflow, int]) -> RateLimits:
    return RateLimits(lambda _, name: [one for one in found if one[0].name == name])


def _run(limits: RateLimits, number: int, group: Group = _GROUP) -> None:
    limits.run(_NOWHERE, group, _id(number))


def _wait(limits: RateLimits, number: int, limit: int = 1, group: Group = _GROUP) -> None:
    limits.wait(_NOWHERE, group, _id(number), limit)


def _leave(limits: RateLimits, number: int, group: Group = _GROUP) -> list[int]:
    """Who may run once this one is gone."""
    limits.leave(_NOWHERE, group, _id(number))
    return [found[0] for found in limits.admit(_NOWHERE, group, 99)[0]]


def _room(limits: RateLimits, limit: int, key: str = "k") -> bool:
    return limits.has_room(_NOWHERE, Group("w", key), limit)


def test_there_is_room_up_to_the_limit() -> None:
    """For each key by itself."""
    limits = _limits()
    for number in (1, 2):
        assert _room(limits, 2)
        _run(limits, number)
        _run(limits, number)

    assert not _room(limits, 2)
    assert _room(limits, 3)
    assert _room(limits, 2, "other")


def test_whoever_waits_comes_in_order() -> None:
    """First come, first served; a new one does not overtake, and to ask again changes nothing."""
    limits = _limits()
    _run(limits, 1)
    for number in (2, 3, 2):
        _wait(limits, number)

    assert not _room(limits, 5)
    assert [2] == _leave(limits, 1)
    assert [3] == _leave(limits, 2)
    assert [] == _leave(limits, 3)
    assert _room(limits, 1)


def test_one_that_leaves_the_line_lets_the_others_move_up() -> None:
    """Each is held to its own definition; the one that stood in the way is gone."""
    limits = _limits()
    _run(limits, 1)
    for number, limit in ((2, 1), (3, 3), (4, 3)):
        _wait(limits, number, limit)

    assert ([], None) == limits.admit(_NOWHERE, _GROUP, 99)
    assert [3, 4] == _leave(limits, 2)


def test_as_many_are_let_in_as_are_asked_for() -> None:
    """Whoever might go as well is named."""
    limits = _limits()
    for number in (1, 2, 3):
        _wait(limits, number, 2)

    assert ([_id(1)], _id(2)) == limits.admit(_NOWHERE, _GROUP, 1)
    assert ([], _id(2)) == limits.admit(_NOWHERE, _GROUP, 0)
    assert ([_id(2)], None) == limits.admit(_NOWHERE, _GROUP, 5)


def test_what_was_open_is_read_once() -> None:
    """In the order in which they began to wait; each with its own limit; one in a pause does not."""
    asked: list[str] = []
    found = [
        (_workflow(1, rate_limit_key="k", created_ms=10), 1),
        (_workflow(2, rate_limit_key="k", rate_limited=True, created_ms=30), 1),
        (_workflow(3, rate_limit_key="k", rate_limited=True, created_ms=20), 1),
        (_workflow(4, created_ms=5), 0),
        (_workflow(5, rate_limit_key="k", rate_limited=True, status=WorkflowStatus.PAUSED), 1),
        (_workflow(6, rate_limit_key="k", rate_limited=True, last_retried_ms=40), 1),
    ]

    def read_open(_: sqlite3.Connection, name: str) -> list[tuple[Workflow, int]]:
        asked.append(name)
        return found

    limits = RateLimits(read_open)

    assert not _room(limits, 9)
    assert [3] == _leave(limits, 1)
    assert [2] == _leave(limits, 3)
    assert [6] == _leave(limits, 2)
    assert [] == _leave(limits, 6)
    assert ["w"] == asked


_REQUESTS: list[Callable[[RateLimits], object]] = [
    lambda limits: _run(limits, 9),
    lambda limits: _run(limits, 2),
    lambda limits: _wait(limits, 9),
    lambda limits: _wait(limits, 1),
    lambda limits: _leave(limits, 1),
    lambda limits: _leave(limits, 2),
    lambda limits: [_leave(limits, 1), _leave(limits, 2), _leave(limits, 3)],
    lambda limits: [act(limits, 2) for act in (_leave, _wait)],
    lambda limits: _wait(limits, 9, group=Group("w", "unheard of")),
]


@pytest.mark.parametrize("request_", _REQUESTS)
def test_a_request_that_fails_leaves_no_trace(request_: Callable[[RateLimits], object]) -> None:
    """Afterwards the line moves as if it had never been asked for."""
    limits = _limits()
    _run(limits, 1)
    for number in (2, 3):
        _wait(limits, number)
    limits.keep()
    request_(limits)
    limits.discard()

    assert {"k"} == set(limits._names["w"])
    assert [[2], [3], []] == [_leave(limits, number) for number in (1, 2, 3)]


def test_keys_that_nobody_is_left_in_are_forgotten() -> None:
    """A key that is different each time does not fill the memory."""
    limits = _limits()
    for number in range(100):
        group = Group("w", f"k{number}")
        _run(limits, number, group)
        limits.keep()
        _leave(limits, number, group)
        limits.keep()

    assert {"w": {}} == limits._names


def test_after_a_rollback_it_is_read_again() -> None:
    """What is in memory may be ahead of the disk."""
    limits = _limits((_workflow(1, rate_limit_key="k"), 1))
    assert [] == _leave(limits, 1)
    limits.forget_all()

    assert not _room(limits, 1)
