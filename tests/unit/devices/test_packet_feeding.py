"""Tests of the choice of packets: none without those it leans on, none twice."""

from __future__ import annotations

from collections.abc import Callable

from devices.drivers.camera_source import Arrival
from devices.drivers.packet_feeding import Feeding
from devices.packets import Packet, PacketRing


def _fed(wants_all: Callable[[int], bool], count: int = 60) -> list[int]:
    """Run the choice of packets over a stream with a keyframe every ten; tell what was chosen."""
    ring = PacketRing(max_bytes=10**6, span_ms=10**6)
    kept: list[Packet] = []
    arrivals = iter(Arrival(b"x", n % 10 == 0, n * 40.0, None) for n in range(count))

    def keep(arrival: Arrival) -> Packet:
        index = len(kept)
        packet = Packet(arrival.data, arrival.is_key, arrival.pts_ms, index * 40, index, 0)
        kept.append(packet)
        ring.append(packet)
        return packet

    feeding = Feeding(
        lambda: next(arrivals, None),
        keep,
        lambda: wants_all(len(kept) - 1),
        lambda: ring.since_keyframe()[1:],
    )
    chosen = []
    while (packet := feeding.pull()) is not None:
        chosen.append(packet.index)
    return chosen


def test_all_packets_are_decoded_when_all_are_wanted() -> None:
    """Decoding always means every packet, in order, once."""
    assert list(range(60)) == _fed(lambda index: True)


def test_keyframes_alone_are_decoded_when_that_is_enough() -> None:
    """While nothing moves one packet in ten reaches the decoder."""
    assert [0, 10, 20, 30, 40, 50] == _fed(lambda index: False)


def test_waking_up_within_a_group_decodes_what_was_skipped_first() -> None:
    """No packet is given without those that it leans on, and none is given twice."""
    assert [0, 10, *range(20, 60)] == _fed(lambda index: index >= 25)


def test_falling_asleep_and_waking_within_one_group_leaves_no_hole() -> None:
    """What was skipped in between is made up for from where decoding stopped."""
    assert list(range(20)) == _fed(lambda index: index < 3 or index >= 7, count=20)
