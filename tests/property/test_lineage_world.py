"""A device whose database is put back to copies, in the hostile world (I-15): nothing is overwritten.

What was acknowledged stays stored under its number, and what the copy holds arrives under an epoch
of its own; see `test_shedding_world` for the device's disk.
"""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.store import facts, outbox
from sync import frames
from sync.control_plane import notices
from sync.database import in_transaction
from sync.records import KINDS, Lane, TaskRecord, decode_body, encode_body
from sync.session import Session, State
from tests.property.test_shedding_world import SheddingDevice
from tests.property.test_sync_world import Cloud, World

Place = tuple[int, int, int]


class LineageCloud(Cloud):
    """A ledger that knows with what each epoch begins."""

    def check_ack(self, ack: frames.Ack) -> None:
        """I-2, for what belongs to the epoch."""
        house = self.world
        assert isinstance(house, LineageWorld)
        for lane, seq in ack.cursors.items():
            covered = self.stored(ack.epoch, lane) + self.gaps(ack.epoch, lane)
            first = house.firsts.get((ack.epoch, lane), 1)
            assert set(range(first, seq + 1)) <= set(covered)


class CopiedDevice(SheddingDevice):
    """A device that remembers what stood in its database when it was copied."""

    def __init__(self, world: World) -> None:
        self.copies: list[tuple[sqlite3.Connection, int, set[str]]] = []
        self.here: set[str] = set()
        """Of the timeline that its database is in."""
        self.acknowledged: set[str] = set()
        self.placed: dict[tuple[int, int], str] = {}
        self.written_ever = 0
        super().__init__(world)
        self.epoch = 1

    def new_session(self) -> Session:
        first = {Lane(lane): seq for lane, seq in outbox.read_first(self.disk).items()}
        session = Session(
            epoch=self.epoch,
            boot=self.boot,
            version="t",
            acked={Lane(lane): row[0] for lane, row in outbox.read_lanes(self.disk).items()},
            first=first,
            run=self.world.rng.randbytes(8),
        )
        session.note_bounds(self.bounds())
        return session

    def write(self, lane: Lane) -> None:
        if lane is Lane.CONTROL:
            return
        for _ in range(self.world.rng.choice([1, 30])):
            self.written_ever += 1
            name = f"t{self.written_ever}"
            seq = self.bounds().get(lane, (1, 0))[1] + 1
            task = TaskRecord("w", name, 1, "r", "SIMPLE", "n", "COMPLETED", self.written_ever)
            self.writer.add(
                self.disk,
                lane,
                KINDS[TaskRecord],
                encode_body(task),
                now_ms=self.written_ever,
                boot=1,
            )
            in_transaction(self.disk, self.writer.flush)
            self.here.add(name)
            self.placed[int(lane), seq] = name

    def keep(self, durable: dict[Lane, int]) -> None:
        before = outbox.read_lanes(self.disk)
        for lane, seq in durable.items():
            acked = before[lane][0]
            self.acknowledged |= {self.placed[int(lane), at] for at in range(acked + 1, seq + 1)}
        super().keep(durable)

    def copy(self) -> None:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        self.disk.backup(copy)
        self.copies.append((copy, self.boot, set(self.here)))

    def put_back(self) -> None:
        """The power goes, and comes back to an older disk; nothing is under way for that long."""
        self.world.wire.clear()
        self.world.cloud.queues = [[] for _ in self.world.cloud.queues]
        copy, boot, here = self.world.rng.choice(self.copies)
        copy.backup(self.disk)
        self.writer.forget_all()
        self.here = set(here)
        lanes = outbox.read_lanes(self.disk)
        self.placed = {
            (lane, record.seq): record_name(record.body)
            for lane, (_, oldest, newest) in lanes.items()
            if oldest <= newest
            for record in outbox.read_records(self.disk, lane, oldest - 1, 100_000, 10**9)
        }
        self.boot = boot + 1
        self.epoch = facts.read(self.disk, "epoch") or 1
        self.session = self.new_session()

    def work(self) -> None:
        super().work()
        if self.session.state is State.HALTED:
            epoch = max(self.session.live_epoch, self.epoch) + 1
            in_transaction(self.disk, lambda disk: facts.begin_epoch(disk, epoch))
            self.epoch = epoch
            house = self.world
            assert isinstance(house, LineageWorld)
            for lane, first in outbox.read_first(self.disk).items():
                house.firsts[epoch, Lane(lane)] = first
            self.session = self.new_session()

    def crash(self) -> None:
        self.boot += 1
        self.session = self.new_session()


def record_name(body: bytes) -> str:
    """The task that a record is about."""
    task = decode_body("task", body)
    assert isinstance(task, TaskRecord)
    return task.task_id


class LineageWorld(World):
    """The hostile world, with copies of a disk."""

    device: CopiedDevice

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.firsts: dict[tuple[int, Lane], int] = {}
        self.cloud = LineageCloud(self)
        self.device = CopiedDevice(self)
        self.device.copy()
        self.stored: dict[Place, str] = {}

    def trouble(self) -> None:
        super().trouble()
        chance = self.rng.random()
        if chance < 0.05:
            self.device.copy()
        elif chance < 0.08:
            self.device.put_back()

    def step(self) -> None:
        super().step()
        now = self.all_stored()
        for place, name in self.stored.items():
            assert now[place] == name, "what is stored stays what it was"
        self.stored = now

    def all_stored(self) -> dict[Place, str]:
        rows = self.cloud.disk.execute("SELECT epoch, lane, first_seq, count, payload FROM segment")
        found: dict[Place, str] = {}
        for epoch, lane, first, count, payload in rows:
            frame = frames.decode(payload)
            start = first - frame.header.first_seq
            for record in frame.records[start : start + count]:
                place = (epoch, lane, record.seq)
                assert place not in found, "nothing is stored twice"
                found[place] = record_name(record.body)
        return found

    def settle(self) -> None:
        """Peace: within ten virtual minutes all that is left has arrived."""
        self.hostile, self.link_up = False, True
        for _ in range(2_400):
            self.step()
            session = self.device.session
            if session.state is State.STREAMING and not any(session.backlog().values()):
                return
        raise AssertionError(f"never came to rest: {self.device.session.state}")


@pytest.mark.timeout(240)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
@example(seed=3)
@example(seed=54)
def test_a_copy_overwrites_nothing_and_loses_nothing(seed: int) -> None:
    """All that was acknowledged, and all that the database holds in the end, is in the ledger."""
    world = LineageWorld(seed)
    for _ in range(100):
        world.step()
    world.settle()
    stored = set(world.stored.values())

    assert world.device.acknowledged <= stored
    assert world.device.here <= stored
    assert world.cloud.disk.execute("SELECT COUNT(*) FROM gap").fetchone() == (0,)
    told = notices.read(world.cloud.disk, tenant="default", after_ms=0, limit=99)
    if world.device.epoch > 1:
        assert {"epoch", frames.DUPLICATE} & {notice.kind for notice in told}
