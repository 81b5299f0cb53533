"""What a simulated fleet counts while it works: totals, and how long acknowledgements take.

Nothing is printed here and no clock is read.
"""

from __future__ import annotations

import math
from collections import Counter

import msgspec

_GROWTH = 1.05
"""Each class of delays is 5 % wider than the one before: percentiles are right to that."""
_LEAST_S = 0.000_1


class Delays:
    """A distribution of delays in a few hundred classes, however many there are."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0

    def add(self, delay_s: float) -> None:
        """Count one."""
        self._classes[round(math.log(max(delay_s, _LEAST_S), _GROWTH))] += 1
        self.count += 1

    def quantile_s(self, share: float) -> float:
        """The delay that so great a share is not above; 0 when there are none."""
        seen = 0
        for at in sorted(self._classes):
            seen += self._classes[at]
            if seen >= share * self.count:
                return float(_GROWTH**at)
        return 0.0


class Figures(msgspec.Struct):
    """Totals since the fleet began."""

    written: int = 0
    """Records that devices have written, whether they could send them or not."""
    acked: int = 0
    """Records that the control plane has acknowledged, each counted once."""
    acks: int = 0
    """Acknowledgements that moved a cursor."""
    orders_done: int = 0
    orders_failed: int = 0
    """With those that had expired or were superseded."""
    opened: int = 0
    """MQTT connections that were made."""
    lost: int = 0
    """MQTT connections that ended without having been closed by us."""
    refused_messages: int = 0
    """Messages that the broker did not let through."""
    refusals: int = 0
    """Times that the control plane would not have a device's history."""
    unopened: int = 0
    """Attempts to connect that failed."""
    problem: str = ""
    """What stood in the way last."""
    delays: Delays = msgspec.field(default_factory=Delays)
    """From handing a record to the link to its acknowledgement."""

    @property
    def backlog(self) -> int:
        """Records that are still with the devices."""
        return self.written - self.acked
