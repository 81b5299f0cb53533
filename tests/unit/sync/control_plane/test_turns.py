"""Whose turn it is: a backlog is acknowledged first, and nothing waits for ever."""

from __future__ import annotations

from sync.control_plane.projection import FEW_RECORDS
from sync.control_plane.turns import EVERY_S, PATIENCE_S, QUIET_S, Turns


def test_what_is_small_keeps_nobody_waiting() -> None:
    """A round of few records is in view already: a look is allowed, and nothing is waited for."""
    turns = Turns()
    turns.stored(FEW_RECORDS, 1.0)

    assert turns.may_step(1.0)
    assert turns.wait_s(1.0) is None


def test_a_step_is_made_when_it_has_been_quiet() -> None:
    """Each large round begins the wait anew."""
    turns = Turns()
    turns.stored(500, 1.0)
    assert not turns.may_step(1.0 + QUIET_S / 2)
    turns.stored(500, 1.0 + QUIET_S / 2)
    assert not turns.may_step(1.0 + QUIET_S)

    assert QUIET_S / 2 - 1e-9 <= (turns.wait_s(1.0 + QUIET_S) or 0.0)
    assert turns.may_step(1.0 + QUIET_S * 1.6)


def test_a_backlog_that_drains_holds_the_projection_off() -> None:
    """Of a drain without a pause all but a small share of the time is the ingest's."""
    turns, steps, now_s = Turns(), 0, 0.0
    while now_s < 10.0:
        turns.stored(500, now_s)
        now_s += 0.008
        if turns.may_step(now_s):
            steps += 1
            turns.stepped(1, now_s, now_s + 0.015, more_waits=True)
            now_s += 0.015

    assert 10.0 / EVERY_S / 2 <= steps <= 10.0 / EVERY_S


def test_what_never_stops_coming_is_shown_in_turns() -> None:
    """It is no backlog that ends: the projection is given as much time as it takes."""
    turns, showing_s, now_s = Turns(), 0.0, 0.0
    while now_s < PATIENCE_S + 20.0:
        turns.stored(500, now_s)
        now_s += 0.008
        if turns.may_step(now_s):
            turns.stepped(1, now_s, now_s + 0.015, more_waits=True)
            showing_s += 0.015 if now_s > PATIENCE_S else 0.0
            now_s += 0.015

    assert 20.0 * 0.4 <= showing_s <= 20.0 * 0.6


def test_with_pauses_between_frames_it_keeps_up() -> None:
    """A steady load that leaves time is shown as it comes: the queue does not grow."""
    turns, waiting, longest, now_s, next_s = Turns(), 0, 0, 0.0, 0.0
    while now_s < 10.0:
        if now_s >= next_s:
            turns.stored(500, now_s)
            waiting, next_s = waiting + 1, next_s + 0.05
            longest = max(longest, waiting)
        if waiting and turns.may_step(now_s):
            waiting, began_s, now_s = waiting - 1, now_s, now_s + 0.015
            turns.stepped(1, began_s, now_s, more_waits=now_s >= next_s)
        else:
            now_s += 0.001

    assert longest <= 3


def test_when_all_is_in_view_nothing_is_waited_for() -> None:
    """Until something comes."""
    turns = Turns()
    turns.stored(500, 1.0)
    turns.stepped(1, 1.9, 2.0, more_waits=False)
    assert 0.0 == turns.wait_s(2.0)
    turns.stepped(0, 2.0, 2.1, more_waits=False)

    assert turns.wait_s(2.1) is None
