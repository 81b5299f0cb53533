"""The back-off between connections; real brokers are met in the integration tests."""

from __future__ import annotations

import random

from sync.link import Backoff, Broker


def test_waits_are_spread_and_bounded() -> None:
    """Every wait lies between 0.5 and 30 s, and no two devices wait alike."""
    waits = [[back.next_s() for _ in range(200)] for back in map(make, range(20))]

    assert all(0.5 <= wait <= 30.0 for each in waits for wait in each)
    assert 20 == len({each[3] for each in waits})


def test_the_first_wait_is_short_and_later_ones_grow() -> None:
    """The first is at most 1.5 s; after a while some reach the cap; success begins anew."""
    back = make(1)
    first = back.next_s()
    later = [back.next_s() for _ in range(100)]
    back.reset()

    assert first <= 1.5
    assert 30.0 == max(later)
    assert back.next_s() <= 1.5


def test_a_broker_is_named_for_people() -> None:
    """Host and port, as one would type them."""
    assert "10.0.0.1:8883" == Broker(host="10.0.0.1", port=8883).address


def make(seed: int) -> Backoff:
    """A back-off of one device."""
    return Backoff(random.Random(seed))
