"""How much time passed between stamps of a clock that has jumped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.model.elapsed import NO_JUMPS, Jump, Jumps

HOUR = 3_600_000


def test_without_jumps_stamps_tell_the_time() -> None:
    """Nothing is added and nothing left out."""
    assert 70 == NO_JUMPS.passed_ms(30, 100)
    assert 100 == NO_JUMPS.moment_ms(30, 70)
    assert 30 == NO_JUMPS.before_ms(100, 70)
    assert not NO_JUMPS


def test_a_jump_is_left_out() -> None:
    """Between its two ends no time passes; before and behind it all does."""
    jumps = NO_JUMPS.and_one(Jump(1_000, 1_000 + HOUR))

    assert 800 == jumps.passed_ms(500, 1_300 + HOUR)
    assert 500 == jumps.passed_ms(500, 1_000) == jumps.passed_ms(500, 1_000 + HOUR)
    assert 300 == jumps.passed_ms(1_000 + HOUR, 1_300 + HOUR)
    assert 1_000 == jumps.moment_ms(500, 500)
    assert 1_001 + HOUR == jumps.moment_ms(500, 501)
    assert 1_500 + HOUR == jumps.moment_ms(1_000 + HOUR, 500)


def test_a_jump_that_shows_how_long_the_device_was_off() -> None:
    """For what is older than the boot it counts as time that has passed."""
    jumps = Jumps([Jump(1_000, 1_000 + HOUR, since_ms=900)])

    assert HOUR + 200 == jumps.passed_ms(850, 1_050 + HOUR)
    assert 100 == jumps.passed_ms(950, 1_050 + HOUR)
    assert 1_050 == jumps.moment_ms(850, 200)
    assert 1_150 + HOUR == jumps.moment_ms(950, 200)


_SPANS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 500), st.booleans()), min_size=1, max_size=80
)


def _jumps(spans: list[tuple[int, int, bool]]) -> Jumps:
    jumps, at_ms = NO_JUMPS, 0
    for gap_ms, length_ms, unset in spans:
        at_ms += gap_ms
        jumps = jumps.and_one(Jump(at_ms, at_ms + length_ms, at_ms // 2 if unset else 0))
        at_ms += length_ms
    return jumps


@given(spans=_SPANS, since_ms=st.integers(0, 30_000), wait_ms=st.integers(1, 30_000))
def test_a_wait_is_over_when_it_has_passed(
    spans: list[tuple[int, int, bool]], since_ms: int, wait_ms: int
) -> None:
    """The moment of a wait is the first at which so much has passed."""
    jumps = _jumps(spans)
    moment_ms = jumps.moment_ms(since_ms, wait_ms)

    assert wait_ms == jumps.passed_ms(since_ms, moment_ms)
    assert wait_ms > jumps.passed_ms(since_ms, moment_ms - 1)


@given(spans=_SPANS, now_ms=st.integers(30_000, 90_000), age_ms=st.integers(0, 30_000))
def test_what_is_below_a_stamp_is_older(
    spans: list[tuple[int, int, bool]], now_ms: int, age_ms: int
) -> None:
    """No stamp below the one that is told is younger than the age."""
    jumps = _jumps(spans)
    stamp_ms = jumps.before_ms(now_ms, age_ms)

    assert all(
        jumps.passed_ms(older_ms, now_ms) >= age_ms
        for older_ms in {stamp_ms - 1, *(jump.from_ms - 1 for jump in jumps.all)}
        if older_ms < stamp_ms
    )


@given(
    spans=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=51, max_size=70),
    since_ms=st.integers(0, 8_000),
)
def test_many_jumps_are_told_as_few(spans: list[tuple[int, int]], since_ms: int) -> None:
    """They stay few, and nothing comes earlier for it."""
    jumps, each, at_ms = NO_JUMPS, [], 0
    for gap_ms, length_ms in spans:
        at_ms += gap_ms
        each.append(Jump(at_ms, at_ms + length_ms))
        jumps = jumps.and_one(each[-1])
        at_ms += length_ms

    assert 50 == len(jumps.all)
    assert jumps.passed_ms(since_ms, 9_000) <= Jumps(each).passed_ms(since_ms, 9_000)
    assert Jumps(each).passed_ms(0, 9_000) == jumps.passed_ms(0, 9_000)
