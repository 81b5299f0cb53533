"""One lane's side: acknowledgements land, and what is begun again is not measured (Karn)."""

from __future__ import annotations

from sync.lane_side import Flight, LaneSide


def test_an_acknowledgement_lands_all_that_it_covers() -> None:
    """It says when the newest of them was sent; what was sent again says nothing."""
    side = LaneSide(acked=10)
    for last, sent_s in ((20, 1.0), (30, 2.0), (40, 3.0)):
        side.flights.append(Flight(last, 100, sent_s))
    side.next_seq = 41

    assert 2.0 == side.land(30)
    assert [40] == [flight.last_seq for flight in side.flights]
    side.rewind()
    assert (31, 0) == (side.next_seq, len(side.flights))
    side.flights.append(Flight(40, 100, 9.0))
    side.next_seq = 41
    assert side.land(40) is None
