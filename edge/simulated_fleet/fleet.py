"""A fleet's memory: for each device a few integers in arrays, and for few of them a little more.

Nothing is sent here. What a device has recorded is not kept: it follows from the seed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator

import msgspec

from edge.simulated_fleet.figures import Figures
from edge.simulated_fleet.history import Brought, History, World
from sync import topics
from sync.records import Lane, Record

MOST_DEVICES = 10_000_000
_DIGITS = 7
_LANES = (Lane.HISTORY, Lane.URGENT)


class Dealt(msgspec.Struct, frozen=True):
    """What an order came to."""

    kind: str
    state: str
    reason: str | None
    output: bytes | None
    expires_ms: int


class Ordered(msgspec.Struct):
    """What orders have left on a device that was given some."""

    cseq: int = 0
    """Place of the last order that was dealt with."""
    last_id: str = ""
    dealt: dict[str, Dealt] = {}
    """By the ids of the orders, until their time is over."""
    revisions: dict[str, tuple[int, bytes]] = {}
    """Revision and content of what was put, by its subject."""
    brought: list[Brought] = []
    """What orders have started."""


class Fleet:
    """All devices of one run.

    Args:
        world: what they do.
        epoch: of their histories; each run begins a higher one.
        tenant: whose devices they are.
        prefix: of their names.
        now_ms: the machine's wall clock, which never steps back.
    """

    def __init__(
        self, world: World, *, epoch: int, tenant: str, prefix: str, now_ms: Callable[[], int]
    ) -> None:
        self.world = world
        self.epoch = epoch
        self.tenant = tenant
        self.figures = Figures()
        self._prefix = prefix
        self._now_ms = now_ms
        self._name = re.compile(re.escape(prefix) + rf"-(\d{{{_DIGITS}}})")
        self._until_ms: int | None = None
        self.size = world.timetable.devices
        self._acked = {lane: array("I", bytes(4 * self.size)) for lane in Lane}
        self.here = bytearray(self.size)
        """1 for those that share a connection, and have said on it that they are there."""
        self.shown = bytearray(self.size)
        """1 for those of them that a broker shows as online, as far as we know."""
        self.due = bytearray(self.size)
        """1 for those that share a connection and wait for their turn to speak."""
        self.away = bytearray(self.size)
        """1 for those that have no network just now."""
        self.timed = bytearray(self.size)
        """1 for those that have told how wrong their clock is."""
        self.unsent: dict[int, list[Record]] = {}
        """Records of the control lane that are not acknowledged, by device."""
        self.ordered: dict[int, Ordered] = {}

    def address(self, device: int) -> topics.Address:
        """Where a device speaks."""
        return topics.Address(self.tenant, self.name(device))

    def name(self, device: int) -> str:
        """The name of a device."""
        return f"{self._prefix}-{device:0{_DIGITS}}"

    def device_of(self, name: str) -> int | None:
        """The device of a name; None = it is none of ours."""
        match = self._name.fullmatch(name)
        device = int(match[1]) if match else self.size
        return device if device < self.size else None

    def now_ms(self) -> int:
        """The machine's clock."""
        return self._now_ms()

    def written_until_ms(self) -> int:
        """Up to when the timetable holds: now, or when the devices have stopped working."""
        return self._now_ms() if self._until_ms is None else self._until_ms

    def stop_writing(self, at_ms: int) -> None:
        """From here on nothing of the timetable happens any more."""
        self._until_ms = at_ms

    def history(self, device: int) -> History:
        """What a device has recorded."""
        ordered = self.ordered.get(device)
        return History(self.world, device, ordered.brought if ordered else ())

    def orders_of(self, device: int) -> Ordered:
        """What orders have left on a device; made when it is given its first."""
        return self.ordered.setdefault(device, Ordered())

    def acked(self, device: int, lane: Lane) -> int:
        """How far a lane was acknowledged."""
        return self._acked[lane][device]

    def acked_in_all(self, device: int) -> int:
        """Records of a device that were acknowledged."""
        return sum(column[device] for column in self._acked.values())

    def newest_in_all(self, device: int) -> int:
        """Records that a device has written."""
        return sum(self.newest(device, lane) for lane in Lane)

    def acknowledge(self, device: int, lane: Lane, seq: int) -> None:
        """Move a cursor; what is behind it need not be told again."""
        column = self._acked[lane]
        moved = seq - column[device]
        if moved <= 0:
            return
        column[device] = seq
        self.figures.acked += moved
        if lane is Lane.CONTROL:
            rest = [record for record in self.unsent.pop(device, []) if record.seq > seq]
            if rest:
                self.unsent[device] = rest

    def add_control(self, device: int, kind: str, at_ms: int, body: bytes, boot: int) -> None:
        """Write a record of the control lane, which stays until it is acknowledged."""
        seq = self.newest(device, Lane.CONTROL) + 1
        record = Record(Lane.CONTROL, seq, kind, at_ms, boot, body)
        self.unsent.setdefault(device, []).append(record)
        self.figures.written += 1

    def newest(self, device: int, lane: Lane, history: History | None = None) -> int:
        """The last sequence that a device has written in a lane; 0 = none."""
        if lane in _LANES:
            return (history or self.history(device)).newest(lane, self.written_until_ms())
        unsent = self.unsent.get(device)
        return unsent[-1].seq if unsent else self._acked[lane][device]

    def waits(self, device: int, history: History | None = None) -> bool:
        """Whether a device holds what is not acknowledged."""
        if device in self.unsent:
            return True
        history = history or self.history(device)
        return any(self.newest(device, one, history) > self._acked[one][device] for one in _LANES)

    def count_run(self, device: int, run: int) -> None:
        """Count the records of a run of the timetable that has just ended."""
        ending = self.world.mix.ending(self.world.offset(device), run)
        self.figures.written += sum(ending.count(lane) for lane in _LANES)

    def count_backlog(self) -> Iterator[int]:
        """Count what all devices hold at the beginning, a step at a time."""
        world, runs = self.world, self.world.timetable.backlog
        for device in range(self.size if runs else 0):
            offset = world.offset(device)
            for lane in _LANES:
                self.figures.written += world.mix.before(lane, offset, runs)
            yield device
