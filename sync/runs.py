"""A run: consecutive records that are kept as one frame, and travel as that if they may.

Who keeps them, and who decides how they travel, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sync import frames
from sync.frames import Header
from sync.records import Lane, Record


class Run(msgspec.Struct, frozen=True):
    """Records of one lane in a frame; the numbers in its own header are of no account."""

    lane: Lane
    first_seq: int
    header: Header
    frame: bytes

    @property
    def count(self) -> int:
        """How many records."""
        return self.header.count

    def addressed(self, *, epoch: int, oldest_seq: int) -> bytes:
        """The frame as it travels, with the same body.

        Args:
            epoch: of the device's history.
            oldest_seq: that the device still holds of this lane.
        """
        return frames.readdressed(
            self.frame, lane=self.lane, epoch=epoch, first_seq=self.first_seq, oldest_seq=oldest_seq
        )

    def unpack(self) -> list[Record]:
        """The records, as if each had been kept by itself.

        Raises:
            FrameError: the frame cannot be read.
        """
        return [
            msgspec.structs.replace(record, lane=self.lane, seq=self.first_seq + at)
            for at, record in enumerate(frames.decode(self.frame).records)
        ]


Portion = Sequence[Record] | Run
"""What is read of a history at once."""


def records_of(portion: Portion) -> Sequence[Record]:
    """The records one by one; those of a run that cannot be read are hollow."""
    if not isinstance(portion, Run):
        return portion
    try:
        return portion.unpack()
    except frames.FrameError:
        return hollow(portion.lane, portion.first_seq, portion.count)


def hollow(lane: Lane, first_seq: int, count: int) -> list[Record]:
    """In place of records that are lost: the control plane sets them aside, and the lane goes on."""
    return [Record(lane, first_seq + at, "sealed", 0, 0, b"") for at in range(count)]
