"""One simulated device as its uplink sees it: outbox, chronicle and orders over a fleet's arrays.

No connection is made here. An instance lives for as long as its device speaks, and is made anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import BOOT
from edge.simulated_fleet.obeying import Obedience
from sync.link import NotTaken
from sync.orders import Order
from sync.records import KINDS, ClockRecord, Lane, Record, encode_body

_LANES = (Lane.CONTROL, Lane.URGENT, Lane.HISTORY)


class VirtualDevice:
    """Outbox, Chronicle and Orders of one device.

    Args:
        fleet: what is kept of it.
        number: of the device, from 0.
        obedience: carries orders out.
    """

    def __init__(self, fleet: Fleet, number: int, obedience: Obedience) -> None:
        self._fleet = fleet
        self._number = number
        self._obedience = obedience
        self._clock_off_ms = fleet.world.clock_off_ms(number)
        self._under_way: deque[tuple[Lane, int, float]] = deque()
        """What was read and is not acknowledged: lane, last sequence, when."""
        self._read_to = dict.fromkeys(_LANES, 0)
        self.wake: Callable[[], None] | None = None
        """Called when records have come into being."""

    def now_ms(self) -> int:
        """What the device's own clock shows."""
        return self._fleet.now_ms() + self._clock_off_ms

    def waits(self) -> bool:
        """Whether anything is still to be acknowledged."""
        return self._fleet.waits(self._number)

    # The history.

    @property
    def epoch(self) -> int:
        """As the Protocol says."""
        return self._fleet.epoch

    async def cursors(self) -> Mapping[Lane, int]:
        """As the Protocol says."""
        return {lane: self._fleet.acked(self._number, lane) for lane in Lane}

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        """As the Protocol says; what is acknowledged counts as pruned."""
        fleet, history = self._fleet, self._fleet.history(self._number)
        found = {}
        for lane in _LANES:
            newest = fleet.newest(self._number, lane, history)
            if newest:
                found[lane] = (fleet.acked(self._number, lane) + 1, newest)
        return found

    async def look(
        self, after: Mapping[Lane, int]
    ) -> tuple[Mapping[Lane, tuple[int, int]], Mapping[Lane, Sequence[Record]]]:
        """As the Protocol says, without records: they are read one lane after the other."""
        del after
        return await self.bounds(), {}

    async def read(
        self, lane: Lane, after_seq: int, limit: int, max_bytes: int
    ) -> Sequence[Record]:
        """As the Protocol says."""
        fleet = self._fleet
        if lane is Lane.CONTROL:
            unsent = fleet.unsent.get(self._number, [])
            records = [record for record in unsent if record.seq > after_seq][:limit]
        else:
            history = fleet.history(self._number)
            newest = fleet.newest(self._number, lane, history)
            records = history.read(lane, after_seq, newest, limit)
        size = 0
        for at, record in enumerate(records):
            size += len(record.body)
            if at and size > max_bytes:
                del records[at:]
                break
        if records and records[-1].seq > self._read_to[lane]:
            self._read_to[lane] = records[-1].seq
            self._under_way.append((lane, records[-1].seq, _steady_s()))
        return records

    async def acknowledge(self, epoch: int, cursors: Mapping[Lane, int]) -> None:
        """As the Protocol says."""
        assert epoch == self._fleet.epoch
        figures, now_s = self._fleet.figures, _steady_s()
        for lane, seq in cursors.items():
            self._fleet.acknowledge(self._number, lane, seq)
            figures.acks += 1
        rest: deque[tuple[Lane, int, float]] = deque()
        for lane, seq, read_s in self._under_way:
            if seq <= cursors.get(lane, 0):
                figures.delays.add(now_s - read_s)
            else:
                rest.append((lane, seq, read_s))
        self._under_way = rest

    # The lineage and the clock.

    async def first(self) -> Mapping[Lane, int]:
        """As the Protocol says: this epoch begins with nothing."""
        return {}

    async def begin_epoch(self, above: int) -> None:
        """As the Protocol says: never, because no device of ours is put back to a copy."""
        fleet = self._fleet
        fleet.figures.refusals += 1
        fleet.figures.problem = (
            f"the control plane knows another {fleet.name(self._number)} (epoch {above}): "
            "give this fleet other names with --name"
        )
        raise NotTaken(fleet.figures.problem)

    def jumps(self) -> Sequence[tuple[int, int, int]]:
        """As the Protocol says: a wrong clock is wrong all the time."""
        return ()

    async def note_clock(self, seen: ClockRecord) -> None:
        """As the Protocol says; once in a run of the fleet is enough."""
        if self._fleet.timed[self._number]:
            return
        self._fleet.timed[self._number] = 1
        kind = KINDS[ClockRecord]
        self._fleet.add_control(self._number, kind, self.now_ms(), encode_body(seen), BOOT)
        self._tell()

    # Orders.

    async def position(self) -> tuple[int, str]:
        """As the Protocol says."""
        return self._obedience.position(self._number)

    async def carry_out(self, given: Sequence[Order], server_ms: int) -> tuple[int, str]:
        """As the Protocol says."""
        reached = self._obedience.carry_out(self._number, given, server_ms)
        self._tell()
        return reached

    def _tell(self) -> None:
        if self.wake is not None:
            self.wake()


def _steady_s() -> float:
    return asyncio.get_running_loop().time()
