"""What the log says of an uplink."""

from __future__ import annotations

import structlog

from sync import link_log
from sync.link_log import LinkLog, LinkState

_CONNECTION = (LinkState.WAITING, LinkState.GREETING)


def _events(*told: tuple[LinkState, str, float]) -> list[tuple[str, str]]:
    log = LinkLog("broker:1883", "roof")
    with structlog.testing.capture_logs() as logs:
        for state, reason, now_s in told:
            log.tell(state, reason, now_s)
    assert all(("broker:1883", "roof") == (one["broker"], one["device"]) for one in logs)
    return [(one["event"], one["log_level"]) for one in logs]


def test_a_change_is_told_once() -> None:
    """Whether something waits to be sent is no change that a person would want to know of."""
    told = [
        (LinkState.WAITING, "no route", 0.0),
        (LinkState.WAITING, "no route", 1.0),
        (LinkState.GREETING, "", 2.0),
        (LinkState.SYNCING, "", 3.0),
        (LinkState.SYNCED, "", 4.0),
        (LinkState.SYNCING, "", 5.0),
        (LinkState.WAITING, "lost", 6.0),
    ]

    assert [
        ("broker_awaited", "info"),
        ("control_plane_awaited", "info"),
        ("sync_connected", "info"),
        ("broker_awaited", "info"),
    ] == _events(*told)


def test_twins_that_are_refused_in_turns_say_so_once_an_hour() -> None:
    """For days, every few seconds, and for two reasons by turns."""
    two_hours = [
        (state, reason, now_s)
        for at in range(1_000)
        for now_s in [at * 7.2]
        for reason in ["older-epoch" if at % 2 else "duplicate-identity"]
        for state in (*_CONNECTION, LinkState.HALTED)
    ]
    halted = [one for one in _events(*two_hours) if one[0] == "sync_halted"]

    assert [("sync_halted", "error")] * 4 == halted


def test_reasons_that_are_kept_are_bounded() -> None:
    """A control plane may give any; what falls out is told again."""
    log = LinkLog("broker:1883", "roof")
    for number in range(1_000):
        for state in (*_CONNECTION, LinkState.HALTED):
            log.tell(state, str(number), 0.0)

    assert link_log._REASONS >= len(log._halted_s)
