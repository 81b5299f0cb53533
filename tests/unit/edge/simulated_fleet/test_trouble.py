"""When something is due."""

from __future__ import annotations

import pytest

from edge.simulated_fleet.connections import Connections
from edge.simulated_fleet.figures import Figures
from edge.simulated_fleet.trouble import Absences, Drops, Turns
from tests.unit.edge.simulated_fleet.worlds import BEGAN_MS, Watch, fleet, world


def test_each_has_one_turn_a_period() -> None:
    """In their order, however seldom it is asked."""
    often, seldom = Turns(0, 1_000, 7), Turns(0, 1_000, 7)
    taken = [turn for now_ms in range(0, 3_000, 13) for turn in often.due(now_ms)]

    assert taken == list(seldom.due(2_999))
    assert [(one, period) for period in range(3) for one in range(7)] == taken


@pytest.mark.parametrize("devices", [1, 7, 100, 1_009])
def test_a_share_of_the_devices_is_away_at_any_time(devices: int) -> None:
    """As many as was asked for, each in its turn, and each comes back."""
    made = fleet(Watch(), world(devices=devices))
    absences = Absences(made, 20.0, 1_000, BEGAN_MS)
    seen = set()
    for now_ms in range(BEGAN_MS, BEGAN_MS + 10_001, 100):
        list(absences.leave(now_ms))
        list(absences.come_back(now_ms))
        away = [device for device in range(devices) if made.away[device]]
        assert abs(len(away) - devices * 0.2) <= devices * 0.03 + 1
        seen.update(away)

    assert set(range(devices)) == seen


def test_nothing_is_cut_that_is_not_open() -> None:
    """A storm over no connections is a storm all the same."""
    drops = Drops(Connections(Figures()), flap_ms=10, storm_ms=1_000, seed=1, began_ms=0)
    for now_ms in range(0, 3_500, 50):
        drops.happen(now_ms)

    assert 3 == drops.storms
