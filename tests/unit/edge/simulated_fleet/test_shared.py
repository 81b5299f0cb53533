"""A connection that many devices share: who is woken by what comes over it."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

from edge.simulated_fleet.connections import Connections, CountedLink
from edge.simulated_fleet.shared import Carrier
from edge.simulated_fleet.uplinks import Uplinks
from sync import frames, topics
from sync.frames import Announcement
from sync.link import Received
from tests.unit.edge.simulated_fleet.worlds import Watch, fleet


def test_an_announcement_that_was_heard_before_wakes_nobody() -> None:
    """It comes each minute; a fleet that has nothing to say is silent all the same."""
    carrier = Carrier(
        0, 1, fleet(Watch()),
        cast(Uplinks, SimpleNamespace(chance=random.Random(1))), cast(Connections, None), at_once=9,
    )  # fmt: skip
    link = cast(CountedLink, SimpleNamespace(settle=lambda _: None))

    def woken_by(started_ms: int, *, retained: bool = False) -> int:
        payload = frames.encode_announcement(Announcement(started_ms))
        topic = topics.server("default")
        carrier._sort(link, Received(topic, payload, 1, 1, retained=retained))
        woken = sum(carrier.fleet.due)
        carrier.fleet.due[:] = bytes(carrier.fleet.size)
        return woken

    assert 0 == woken_by(1, retained=True), "each says hello on a new connection anyway"
    assert [0, 10, 0] == [woken_by(started_ms) for started_ms in (1, 2, 2)]
