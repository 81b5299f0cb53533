"""One schedule: a real uplink, two receivers on one ledger, and all that may go wrong between them.

Only the network, the clock and the device's records are made up. What is committed stays, whatever
dies; what is in memory is gone with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from edge.simulated_fleet.device import VirtualDevice
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import BOOT, Timetable, World
from edge.simulated_fleet.obeying import Obedience
from edge.simulated_fleet.shapes import SHAPES, Mix
from sync import frames, receiver, topics
from sync.codecs import Codec
from sync.control_plane import truth
from sync.database import in_transaction
from sync.evidence_files import Folders
from sync.frames import Announcement
from sync.identity import Identity
from sync.link import Broker, Dialect, LinkError, Lost, NotTaken, Received
from sync.receiver import Arrival, Outgoing
from sync.records import Lane
from sync.uplink import Uplink
from tests.simulation.loop import SimLoop
from tests.simulation.network import SimBroker, Weather

_BEGAN_MS = 1_700_000_000_000
_WORKING_S = 60.0
"""How long the device writes, and everything goes wrong."""
_PEACE_S = 1_800.0
"""How long it may take then until all has arrived."""
_RUN_RECORDS = 11.6
"""Records of an execution, on an average."""
INGESTERS = 2
FAULTS = ("acknowledged-before-the-commit", "stored-twice")
"""Wrong control planes, to see that they are found."""


class Wrong(Exception):
    """A promise was broken."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of one schedule."""

    seed: int
    records: int
    """That the device has written, over all lanes."""
    lost: int
    duplicated: int
    changed: int
    """Records that are stored as something else; what a carrier says counts as what was written."""
    coalesced: int
    """Records that are stored without a body, because a later one of their frame carries them."""
    frames: int
    """That the control plane has heard, with those that it had already."""
    troubles: int
    virtual_s: float
    wrong: str = ""
    """What was broken; empty when nothing was."""


class Ledger:
    """The truth of a control plane in memory, and its receivers' commits."""

    def __init__(self, fault: str) -> None:
        self.disk = sqlite3.connect(":memory:", isolation_level=None)
        in_transaction(self.disk, truth.create_schema)
        self.frames = 0
        self._fault = fault

    def commit(self, batch: list[Arrival], now_ms: int, *, fails: bool) -> list[Outgoing]:
        """What may be said once the frames are stored; nothing when the power fails inside."""
        self.frames += len(batch)
        if fails:
            self.disk.execute("BEGIN IMMEDIATE")
            outgoing = truth.commit(self.disk, batch, now_ms=now_ms)
            self.disk.execute("ROLLBACK")
            return outgoing if self._fault == FAULTS[0] else []
        outgoing = in_transaction(self.disk, partial(truth.commit, arrivals=batch, now_ms=now_ms))
        if self._fault == FAULTS[1]:
            self.disk.execute(
                "INSERT INTO segment (device_id, epoch, lane, first_seq, count, last_recorded_ms,"
                " received_ms, payload) SELECT device_id, epoch, lane, first_seq + 1, count - 1,"
                " last_recorded_ms, received_ms, payload FROM segment WHERE first_seq = 1 AND"
                " count > 1 AND NOT EXISTS (SELECT 1 FROM segment WHERE first_seq = 2)"
            )
        return outgoing

    def stored(self, lane: Lane, up_to: int) -> int:
        """How many of the records up to a sequence are stored, counting each as often as it is."""
        (found,) = self.disk.execute(
            "SELECT COALESCE(SUM(MIN(count, ? - first_seq + 1)), 0) FROM segment"
            " WHERE lane = ? AND first_seq <= ?",
            (up_to, lane, up_to),
        ).fetchone()
        return int(found)


class _Device(VirtualDevice):
    """A device whose disk is busy now and then, and that gives up nothing that is not stored."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule.fleet, 0, Obedience(schedule.fleet, failing_percent=0.0, seed=1))
        self._schedule = schedule

    async def acknowledge(self, epoch: int, cursors: Mapping[Lane, int]) -> None:
        """Write the cursors, unless the disk is busy."""
        schedule = self._schedule
        if schedule.hostile and schedule.chance.random() < 0.02:
            raise NotTaken("the disk is busy")
        for lane, seq in cursors.items():
            if schedule.ledger.stored(lane, seq) < seq:
                raise Wrong(f"lane {lane}: {seq} acknowledged, and not all of it is stored")
        await super().acknowledge(epoch, cursors)


class Schedule:
    """The world of one seed.

    Args:
        seed: draws all that happens.
        records: that the device writes, about.
        fault: one of ``FAULTS``; empty = none.
    """

    def __init__(self, seed: int, records: int, fault: str = "") -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.hostile = True
        self.troubles = 0
        runs = max(20, round(records / _RUN_RECORDS))
        working = runs * self.chance.randrange(10, 90) // 100
        table = Timetable(
            began_ms=_BEGAN_MS, period_ms=max(1, round(_WORKING_S * 1_000 / working)), devices=1,
            backlog=runs - working,
        )  # fmt: skip
        mix = Mix(tuple(SHAPES), self.chance.choice([0.0, 5.0, 40.0]), seed)
        world = World(
            seed=seed, mix=mix, timetable=table,
            output_bytes=self.chance.choice([0, 0, 200, 2_000]),
        )  # fmt: skip
        self.fleet = Fleet(world, epoch=1, tenant="default", prefix="d", now_ms=self.now_ms)
        self.ledger = Ledger(fault)
        self.broker = SimBroker(self.chance, self._weather(), lambda *_: None)
        self._device_task: asyncio.Task[None] | None = None
        self._ingester_tasks: list[asyncio.Task[None] | None] = [None] * INGESTERS

    def now_ms(self) -> int:
        """The wall clock, which goes with the loop's time."""
        try:
            return _BEGAN_MS + int(asyncio.get_running_loop().time() * 1_000)
        except RuntimeError:
            return _BEGAN_MS

    async def live(self) -> Outcome:
        """From the first connection until all has arrived, or too long after."""
        loop, wrong = asyncio.get_running_loop(), ""
        try:
            async with asyncio.TaskGroup() as group:
                self._start_device(group)
                for number in range(INGESTERS):
                    self._start_ingester(group, number)
                while loop.time() < _WORKING_S:
                    await asyncio.sleep(self.chance.uniform(0.1, 3.0))
                    await self._trouble(group)
                self._make_peace()
                while self.fleet.waits(0):
                    if loop.time() > _WORKING_S + _PEACE_S:
                        raise Wrong("it never came to rest")
                    await asyncio.sleep(0.5)
                for task in (self._device_task, *self._ingester_tasks):
                    if task is not None:
                        task.cancel()
        except* Wrong as group_of:
            wrong = str(group_of.exceptions[0])
        return self._judge(wrong, loop.time())

    def _make_peace(self) -> None:
        self.hostile = False
        self.broker.up = True
        # Fair weather: over ways that take now long and now short an uplink sends little at a time.
        self.broker.weather = Weather(delay_s=0.05)
        self.fleet.stop_writing(self.now_ms())
        self._wake()

    # Who takes part.

    def _start_device(self, group: asyncio.TaskGroup) -> None:
        device = _Device(self)
        uplink = Uplink(
            broker=Broker(),
            identity=Identity("default", self.fleet.name(0), bytes(32)),
            outbox=device,
            publications=None,
            folders=Folders(Path("/nonexistent")),
            boot=BOOT,
            version="t",
            now_ms=device.now_ms,
            chance=self.chance,
            wiring=self.broker.wiring("device"),
            chronicle=device,
        )
        device.wake = self._wake = uplink.wake
        self._device_task = group.create_task(uplink.run())

    def _start_ingester(self, group: asyncio.TaskGroup, number: int) -> None:
        self._ingester_tasks[number] = group.create_task(self._ingest(number))

    async def _ingest(self, number: int) -> None:
        while True:
            with contextlib.suppress(LinkError):
                await self._listen(number)
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))

    async def _listen(self, number: int) -> None:
        """One connection of a receiver, from its opening to its loss."""
        news, broker = asyncio.Event(), Broker()
        link = self.broker.wiring(f"ingester{number}")(
            broker, client_id=f"ingester{number}", dialect=Dialect(broker), on_news=news.set
        )
        await link.open()
        try:
            link.subscribe([topics.every_up()])
            link.publish(
                topics.server("default"),
                frames.encode_announcement(Announcement(started_ms=self.now_ms())),
                retain=True,
            )
            while True:
                await news.wait()
                news.clear()
                # What comes meanwhile is committed together.
                await asyncio.sleep(self.chance.uniform(0.0, 0.05))
                events = link.news()
                batch = [self._arrival(event) for event in events if self._takes(event, number)]
                for message in self._commit(batch):
                    link.publish(message.topic, message.payload)
                if any(isinstance(event, Lost) for event in events):
                    return
        finally:
            await link.close()

    def _takes(self, event: object, number: int) -> bool:
        """Whether a frame is this receiver's: most are one's, some are both's."""
        if not isinstance(event, Received):
            return False
        return zlib.crc32(event.payload) % INGESTERS == number or self.chance.random() < 0.1

    def _arrival(self, event: object) -> Arrival:
        assert isinstance(event, Received)
        arrival = receiver.read(event.topic, event.payload, received_ms=self.now_ms())
        assert arrival is not None
        return arrival

    def _commit(self, batch: list[Arrival]) -> list[Outgoing]:
        """Commit, or die before, inside or after it; what may be said of it."""
        if not batch:
            return []
        fate = self.chance.random() if self.hostile else 1.0
        if fate < 0.03:
            return []
        outgoing = self.ledger.commit(batch, self.now_ms(), fails=fate < 0.06)
        return [] if 0.06 <= fate < 0.09 else outgoing

    # What goes wrong.

    async def _trouble(self, group: asyncio.TaskGroup) -> None:
        self.troubles += 1
        self._wake()
        match self.chance.choice(["broker", "ingester", "device", "cut", "weather"]):
            case "broker":
                self.broker.kill()
                await asyncio.sleep(self.chance.choice([0.0, 0.5, 4.0]))
                self.broker.up = True
            case "ingester":
                number = self.chance.randrange(INGESTERS)
                await _end(self._ingester_tasks[number])
                self._start_ingester(group, number)
            case "device":
                await _end(self._device_task)
                self._start_device(group)
            case "cut":
                host = self.chance.choice(["device", "ingester0", "ingester1"])
                self.broker.cut_off.add(host)
                await asyncio.sleep(self.chance.uniform(0.1, 5.0))
                self.broker.join_again(host)
            case _:
                self.broker.weather = self._weather()

    def _weather(self) -> Weather:
        chance = self.chance
        return Weather(
            delay_s=chance.choice([0.02, 0.2, 1.5]),
            drop=chance.choice([0.0, 0.0, 0.02, 0.1]),
            twice=chance.choice([0.0, 0.1]),
            overtake=chance.choice([0.0, 0.2, 0.8]),
            refuse=chance.choice([0.0, 0.3]),
        )

    # What came of it.

    def _judge(self, wrong: str, virtual_s: float) -> Outcome:
        """Compare all that is stored with what the device has written."""
        lost = duplicated = changed = coalesced = 0
        history = self.fleet.history(0)
        for lane in Lane:
            newest = self.fleet.newest(0, lane)
            seen, at = 0, 1
            for first, many, payload in self.ledger.disk.execute(
                "SELECT first_seq, count, payload FROM segment WHERE lane = ? ORDER BY first_seq",
                (lane,),
            ):
                lost += max(0, first - at)
                duplicated += max(0, min(at, first + many) - first)
                at = max(at, first + many)
                seen += many
                if lane is not Lane.CONTROL:
                    frame = frames.decode(payload)
                    begin = first - frame.header.first_seq
                    stored = frame.records[begin : begin + many]
                    carried = len(frame.carried)
                    coalesced += carried
                    # A record that is carried has to be one that its carrier, as it was written,
                    # really carries: the same frame, made from what the device wrote, must come out.
                    whole = history.read(
                        lane, frame.header.first_seq - 1, newest, frame.header.count
                    )
                    expected = frames.decode(
                        frames.encode(
                            whole,
                            epoch=1,
                            oldest_seq=1,
                            # By another codec it may not fit.
                            codec=Codec(frame.header.codec),
                            coalesce=bool(carried),
                        )
                    )
                    changed += expected.carried != frame.carried
                    wanted = expected.records[begin : begin + many]
                    changed += sum(a != b for a, b in zip(wanted, stored, strict=False))
                    changed += abs(len(wanted) - len(stored))
            lost += max(0, newest + 1 - at)
        return Outcome(
            seed=self.seed,
            records=self.fleet.newest_in_all(0),
            lost=lost, duplicated=duplicated, changed=changed, coalesced=coalesced,
            frames=self.ledger.frames, troubles=self.troubles, virtual_s=virtual_s, wrong=wrong,
        )  # fmt: skip


async def _end(task: asyncio.Task[None] | None) -> None:
    """Let a process die."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


def live(seed: int, records: int, fault: str = "") -> Outcome:
    """Live through the schedule of a seed."""
    factory = partial(SimLoop, f"schedule-{seed}", shuffled=True)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(Schedule(seed, records, fault).live())
