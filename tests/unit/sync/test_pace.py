"""The pace of a link: it grows while the link takes everything at once, and halves when it does not."""

from __future__ import annotations

from sync.pace import LEAST_BYTES, Pace


def test_a_fast_link_gets_what_the_other_end_grants() -> None:
    """Doubled with each round, up to the credit."""
    pace = Pace()
    pace.began(0.0)
    for turn in range(20):
        pace.taken(pace.window_bytes, 0.01, 1.0 + turn)
        pace.limit(800_000)

    assert 800_000 == pace.window_bytes
    assert 200_000 == pace.message_bytes


def test_a_full_link_gets_half_once_for_each_wait() -> None:
    """Messages that were handed over before the step back do not lead to another."""
    pace = Pace(first_bytes=100_000)
    pace.began(0.0)
    pace.taken(100, 0.1, 0.2)
    pace.taken(20_000, 2.0, 3.0)
    pace.taken(20_000, 2.5, 3.1)
    assert 50_050 == pace.window_bytes
    for turn in range(30):
        pace.taken(4_000, 1.0, 5.0 + 2 * turn)
    assert (LEAST_BYTES, LEAST_BYTES // 2) == (pace.window_bytes, pace.message_bytes)


def test_a_long_way_is_no_full_link() -> None:
    """By satellite each message takes 0.7 seconds, whatever is under way."""
    pace = Pace()
    pace.began(0.0)
    for turn in range(10):
        pace.taken(8_000, 0.7, 1.0 + turn)

    assert 112_000 == pace.window_bytes


def test_a_cap_is_kept_over_a_minute() -> None:
    """What was not used in it may be used at once; a debt is waited for."""
    pace = Pace(cap_bytes_per_s=1_000)
    pace.began(0.0)
    assert 5.0 == pace.free_s(5.0)
    pace.sent(65_000, 5.0)
    assert 10.0 == pace.free_s(5.0)
    assert 11.0 == pace.free_s(11.0)
    assert 7.0 == Pace().free_s(7.0)


def _varying(pace: Pace, begin_s: float, turns: int) -> float:
    """Messages that take from 0.3 to 4 seconds in turns; the time afterwards."""
    now_s = begin_s
    for turn in range(turns):
        now_s += 2.0
        pace.taken(4_000, (0.3, 4.0, 2.0, 3.5)[turn % 4], now_s)
    return now_s


def test_a_link_that_varies_by_itself_is_not_starved() -> None:
    """What messages take with a small window is the link's own: the window grows again."""
    pace = Pace()
    pace.began(0.0)
    now_s = _varying(pace, 0.0, 20)
    least = pace.window_bytes
    _varying(pace, now_s, 20)

    assert pace.window_bytes >= least + 16 * 4_000


def test_what_was_learned_of_a_link_is_forgotten() -> None:
    """When it varies no more, messages that wait behind ours lead to a step back again."""
    pace = Pace()
    pace.began(0.0)
    now_s = _varying(pace, 0.0, 40)
    wide = pace.window_bytes
    for turn in range(30):
        pace.taken(4_000, 0.9, now_s + 120.0 + 3 * turn)

    assert wide > 4 * LEAST_BYTES
    assert LEAST_BYTES == pace.window_bytes


def test_a_slow_link_that_does_not_vary_keeps_the_least_window() -> None:
    """At 64 kbit/s the least window is a second's work: that is our doing, and nothing to allow for."""
    pace = Pace()
    pace.began(0.0)
    for turn in range(60):
        pace.taken(4_000, 0.5 + 0.5 * (turn % 2), 2.0 * (turn + 1))

    assert 2 * LEAST_BYTES >= pace.window_bytes
