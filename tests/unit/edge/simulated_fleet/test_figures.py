"""Delays in classes."""

from __future__ import annotations

from edge.simulated_fleet.figures import Delays, Figures


def test_quantiles_are_right_to_five_percent() -> None:
    """However many delays there are, and 0 without any."""
    delays = Delays()
    assert 0.0 == delays.quantile_s(0.5)
    for number in range(1, 1_001):
        delays.add(number / 1_000)

    assert 0.47 < delays.quantile_s(0.5) < 0.53
    assert 0.94 < delays.quantile_s(0.99) < 1.05
    assert 1_000 == delays.count


def test_the_backlog_is_what_is_written_and_not_acknowledged() -> None:
    """Over all devices."""
    assert 30 == Figures(written=100, acked=70).backlog
