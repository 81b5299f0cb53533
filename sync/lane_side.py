"""What a session knows of one lane: what is held, what was sent, and what has arrived.

When anything is sent is decided by the session.
"""

from __future__ import annotations

from collections import deque

import msgspec

from sync.frames import mark_of
from sync.records import Record
from sync.runs import Portion


class Flight(msgspec.Struct):
    """A frame under way."""

    last_seq: int
    size_bytes: int
    sent_s: float


class Doubt(msgspec.Struct, frozen=True):
    """A record that the control plane has and has not told us of: is it ours?"""

    seq: int
    mark: int
    """What the record is known by, there."""
    cursor: int
    """Up to where all is stored, if it is."""

    def is_another(self, record: Record) -> bool:
        """Whether a record of ours has this sequence, and is not that one."""
        return record.seq == self.seq and mark_of(record) != self.mark


class LaneSide:
    """What the session knows of one lane."""

    def __init__(self, acked: int) -> None:
        self.acked = acked
        # What the control plane says it holds. Less than `acked` when a ledger was lost and the
        # device still has what that one had acknowledged.
        self.confirmed = acked
        self.next_seq = acked + 1
        self.oldest = acked + 1
        self.newest = acked
        self.told_oldest = 0
        # Up to here frames were sent before; an acknowledgement of them says nothing about the
        # round trip, because it may answer the first of them (Karn's rule).
        self.resent_to = 0
        self.offered: Portion = ()
        self.flights: deque[Flight] = deque()
        # Since when nothing of what is under way has been acknowledged.
        self.waiting_since_s = 0.0
        # A small rest waits until then for more to travel with.
        self.pauses_until_s = 0.0

    def waits(self) -> bool:
        """Whether there is something that was not sent."""
        return bool(self.offered) or self.next_seq <= self.newest

    def pauses(self, now_s: float) -> bool:
        """Whether a frame is under way, or another has just been."""
        return bool(self.flights) or now_s < self.pauses_until_s

    def rewind(self) -> None:
        """Begin again behind what the control plane holds."""
        self.resent_to = max(self.resent_to, self.next_seq - 1)
        self.next_seq = max(self.confirmed + 1, self.oldest)
        self.offered = ()
        self.flights.clear()
        self.pauses_until_s = 0.0

    def land(self, seq: int) -> float | None:
        """Take an acknowledgement; when the newest frame it covers was sent, if that counts."""
        sent_s = None
        while self.flights and self.flights[0].last_seq <= seq:
            flight = self.flights.popleft()
            if flight.last_seq > self.resent_to:
                sent_s = flight.sent_s
        self.confirmed = seq
        if self.next_seq <= seq:
            self.next_seq = seq + 1
            self.offered = ()
        return sent_s
