"""When things happen to a fleet: runs that end, networks that go and come back, connections that drop.

Nothing happens here: whoever asks is told what is due.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.simulated_fleet.chance import draw
from edge.simulated_fleet.connections import Connections
from edge.simulated_fleet.fleet import Fleet

_GOLDEN = 0.618
_CUT = "cut on purpose"


class Turns:
    """Takes many in turns: each once a period, spread evenly over it.

    Args:
        began_ms: when the first has its first turn.
        period_ms: between two turns of one.
        many: how many there are.
    """

    def __init__(self, began_ms: int, period_ms: int, many: int) -> None:
        self._began_ms, self._period_ms, self._many = began_ms, period_ms, many
        self._taken = 0

    def due(self, now_ms: int) -> Iterator[tuple[int, int]]:
        """Who has had a turn since this was last asked, and in which period, from 0."""
        while True:
            period, one = divmod(self._taken, self._many)
            at_ms = self._began_ms + period * self._period_ms
            if at_ms + one * self._period_ms // self._many > now_ms:
                return
            self._taken += 1
            yield one, period


class Absences:
    """Devices without a network: a share of them at any time, each for a while.

    Args:
        fleet: whose devices.
        share_percent: of the devices.
        away_ms: how long each is away.
        began_ms: when the fleet began.
    """

    def __init__(self, fleet: Fleet, share_percent: float, away_ms: int, began_ms: int) -> None:
        self._fleet = fleet
        many = fleet.size
        cycle_ms = round(away_ms * 100 / share_percent)
        # Neighbours by number do not go together.
        self._stride = next(
            stride
            for stride in range(max(1, int(many * _GOLDEN)), 2 * many + 2)
            if _prime_to(stride, many)
        )
        self._leaving = Turns(began_ms, cycle_ms, many)
        self._back = Turns(began_ms - cycle_ms + away_ms, cycle_ms, many)
        list(self._back.due(began_ms))
        for place in range(many):
            if place * cycle_ms // many > cycle_ms - away_ms:
                fleet.away[self._device(place)] = 1

    def leave(self, now_ms: int) -> Iterator[int]:
        """Devices that have just lost their network."""
        for place, _ in self._leaving.due(now_ms):
            device = self._device(place)
            self._fleet.away[device] = 1
            yield device

    def come_back(self, now_ms: int) -> Iterator[int]:
        """Devices that have it again."""
        for place, _ in self._back.due(now_ms):
            device = self._device(place)
            self._fleet.away[device] = 0
            yield device

    def _device(self, place: int) -> int:
        return place * self._stride % self._fleet.size


class Drops:
    """Connections that are cut: one now and then, or all at once.

    Args:
        connections: those of the fleet.
        flap_ms: after which a connection is cut, on an average; 0 = never.
        storm_ms: between two moments at which all are cut; 0 = never.
        seed: draws which.
        began_ms: when the fleet began.
    """

    def __init__(
        self, connections: Connections, *, flap_ms: int, storm_ms: int, seed: int, began_ms: int
    ) -> None:
        self._connections = connections
        self._flap_ms, self._storm_ms, self._seed = flap_ms, storm_ms, seed
        self._seen_ms = self._storm_from_ms = began_ms
        self._owed = 0.0
        self._cuts = 0
        self.storms = 0

    def happen(self, now_ms: int) -> None:
        """Cut what has become due since this was last asked."""
        passed_ms, self._seen_ms = now_ms - self._seen_ms, now_ms
        if self._flap_ms:
            self._owed += len(self._connections.open) * passed_ms / self._flap_ms
            while self._owed >= 1:
                self._owed -= 1
                self._cuts += 1
                self._connections.cut(draw(self._seed, 14, self._cuts), _CUT)
        if self._storm_ms and now_ms - self._storm_from_ms >= self._storm_ms:
            self._storm_from_ms = now_ms
            self.storms += 1
            self._connections.cut_all(_CUT)


def _prime_to(stride: int, many: int) -> bool:
    while many:
        stride, many = many, stride % many
    return stride == 1
