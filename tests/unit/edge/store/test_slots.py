"""Slots of a definition: tasks in progress, and hand-overs in a sliding window."""

from __future__ import annotations

import pytest

from edge.store import slots as module
from edge.store.slots import Limit, Slots, TaskId


def _task(number: int) -> TaskId:
    return bytes(16), number


def test_what_is_not_limited_has_room() -> None:
    """A definition that says nothing holds nobody back, but is counted."""
    slots = Slots()
    limit = Limit("n")
    for number in range(100):
        slots.occupy(_task(number), "n", 0)

    assert 0 < slots.room(limit, 0)
    assert 0 == slots.opens_ms(limit, 0)
    assert {"n": 100} == slots.in_progress()


def test_a_task_occupies_one_slot() -> None:
    """However often it is said, and it is freed once."""
    slots = Slots()
    slots.occupy(_task(1), "n", 0)
    slots.occupy(_task(1), "n", 0)

    assert {"n": 1} == slots.in_progress()
    assert "n" == slots.free(_task(1))
    assert slots.free(_task(1)) is None
    assert {} == slots.in_progress()


def test_one_name_may_have_several_windows() -> None:
    """Executions with older definitions count in their windows what the newer ones do."""
    slots = Slots()
    short, long = Limit("n", 0, 2, 100), Limit("n", 0, 3, 1_000)
    for limit in (short, long):
        slots.room(limit, 0)
    slots.occupy(_task(1), "n", 0)
    slots.occupy(_task(2), "n", 10)

    assert (0, 1) == (slots.room(short, 50), slots.room(long, 50))
    assert (100, 0) == (slots.opens_ms(short, 50), slots.opens_ms(long, 50))
    slots.occupy(_task(3), "n", 105)
    assert (1, 0) == (slots.room(short, 110), slots.room(long, 110))
    assert 1_000 == slots.opens_ms(long, 110)


def test_a_hand_over_that_reached_nobody_does_not_count() -> None:
    """The very one is taken back, not the latest."""
    slots = Slots()
    limit = Limit("n", 0, 2, 100)
    slots.room(limit, 0)
    slots.occupy(_task(1), "n", 0)
    slots.occupy(_task(2), "n", 60)
    slots.take_back(_task(1))

    assert 1 == slots.room(limit, 60)
    slots.occupy(_task(3), "n", 60)
    assert (0, 160) == (slots.room(limit, 159), slots.opens_ms(limit, 159))
    assert slots.take_back(_task(1)) is None


def test_a_wide_window_forgets_the_exact_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is bounded; what it rounds it rounds to the later side."""
    monkeypatch.setattr(module, "_EXACT", 10)
    slots = Slots()
    limit = Limit("n", 0, 5_000, 100_000)
    slots.room(limit, 0)
    for number in range(5_000):
        slots.occupy(_task(number), "n", number)
        slots.free(_task(number))
    stretches = slots._windows["n"][100_000]._stretches

    assert len(stretches) < 100
    assert 0 == slots.room(limit, 5_000)
    assert 100_000 <= slots.opens_ms(limit, 5_000) <= 100_100
    assert 0 == slots.room(limit, 99_999)
    assert 5_000 == slots.room(limit, 105_100)


def test_windows_that_nobody_uses_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that makes up names does not fill the memory."""
    monkeypatch.setattr(module, "_WINDOWS", 10)
    slots = Slots()
    for number in range(100):
        name = f"n{number}"
        slots.room(Limit(name, 0, 1, 50), number * 100)
        slots.occupy(_task(number), name, number * 100)

    assert len(slots._windows) <= 12
