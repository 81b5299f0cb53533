"""Small fleets for the tests of their parts."""

from __future__ import annotations

from typing import Any

from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import Timetable, World
from edge.simulated_fleet.shapes import SHAPES, Mix

BEGAN_MS = 1_800_000_000_000
PERIOD_MS = 60_000


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = BEGAN_MS

    def now_ms(self) -> int:
        """What it shows."""
        return self.ms


def world(
    *, devices: int = 10, seed: int = 7, backlog: int = 0, failing: float = 20.0, **more: Any
) -> World:
    """What a fleet does; every fifth run fails."""
    table = Timetable(began_ms=BEGAN_MS, period_ms=PERIOD_MS, devices=devices, backlog=backlog)
    return World(seed=seed, mix=Mix(tuple(SHAPES), failing, seed), timetable=table, **more)


def fleet(watch: Watch, of: World | None = None) -> Fleet:
    """A fleet that reads its time from a watch."""
    return Fleet(of or world(), epoch=3, tenant="default", prefix="sim", now_ms=watch.now_ms)
