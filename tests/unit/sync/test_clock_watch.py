"""The watch over a clock: what is recorded, and when it is asked for."""

from __future__ import annotations

from sync.clock_watch import ASK_EVERY_S, ClockWatch
from sync.records import ClockRecord
from sync.session import Measured

JUMP = (50, 1_000_000, 0)


def measured(server_ms: int, round_trip_s: float = 0.1) -> Measured:
    """An answer to a hello."""
    return Measured(server_ms, round_trip_s, 0.0)


def test_what_is_new_is_recorded() -> None:
    """The first measurement, one that has moved, one after a jump; not the same again."""
    watch = ClockWatch()

    assert ClockRecord(950, 4_050, 51) == watch.see(measured(5_000), 1_000, [], 1.0)
    assert watch.see(measured(6_000), 2_100, [], 2.0) is None
    moved = watch.see(measured(9_000), 2_100, [], 3.0)
    assert moved is not None
    assert 6_950 == moved.offset_ms
    jumped = watch.see(measured(1_009_000), 1_000_000, [JUMP], 4.0)
    assert jumped is not None
    assert [JUMP] == jumped.jumps


def test_a_slow_answer_says_less() -> None:
    """What may be wrong by seconds does not count as a change of a second."""
    watch = ClockWatch()
    watch.see(measured(5_000), 1_000, [], 1.0)

    assert watch.see(measured(7_000, 6.0), 2_000, [], 2.0) is None


def test_it_is_asked_for_after_a_jump_and_now_and_then() -> None:
    """Once each; not before the first answer."""
    watch = ClockWatch()
    assert not watch.asks([JUMP], 1.0)
    watch.see(measured(5_000), 1_000, [], 1.0)

    assert not watch.asks([], 2.0)
    assert watch.asks([JUMP], 3.0)
    assert not watch.asks([JUMP], 4.0)
    assert watch.due_s == 3.0 + ASK_EVERY_S
    assert watch.asks([JUMP], watch.due_s)
