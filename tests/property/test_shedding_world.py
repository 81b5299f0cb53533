"""A device that seals and sheds in the hostile world: what is missing is accounted for, exactly.

The device's disk is a real database with the store's own functions; see `test_sync_world`.
"""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.store import outbox
from edge.store.migrations import migrate
from sync.control_plane import gaps, projection
from sync.database import in_transaction
from sync.frames import MAX_RECORDS
from sync.records import KINDS, GapRecord, Lane, TaskRecord, decode_body, encode_body
from sync.runs import Portion, records_of
from tests.property.test_sync_world import Device, World


class SheddingDevice(Device):
    """A device whose history lies in its database."""

    def __init__(self, world: World) -> None:
        self.disk = sqlite3.connect(":memory:", isolation_level=None)
        in_transaction(self.disk, migrate)
        self.writer = outbox.OutboxWriter()
        self.bodies: dict[Lane, dict[int, bytes]] = {lane: {} for lane in Lane}
        super().__init__(world)

    def bounds(self) -> dict[Lane, tuple[int, int]]:
        lanes = outbox.read_lanes(self.disk)
        return {Lane(lane): found[1:] for lane, found in lanes.items()}

    def write(self, lane: Lane) -> None:
        if lane is Lane.CONTROL:
            return
        newest = self.bounds().get(lane, (1, 0))[1]
        for seq in range(newest + 1, newest + 1 + self.world.rng.choice([1, 30, 700])):
            task = TaskRecord(f"w{seq % 7}", f"t{seq}", 1, "r", "SIMPLE", "n", "COMPLETED", seq)
            body = encode_body(task)
            self.bodies[lane][seq] = body
            self.writer.add(self.disk, lane, KINDS[TaskRecord], body, now_ms=seq, boot=1)
        in_transaction(self.disk, self.writer.flush)

    def read(self, lane: Lane, after: int, limit: int) -> Portion:
        return outbox.read_portion(self.disk, lane, after, limit, 400_000)

    def keep(self, durable: dict[Lane, int]) -> None:
        acked = {int(lane): seq for lane, seq in durable.items()}
        in_transaction(self.disk, lambda disk: outbox.acknowledge(disk, acked))
        for lane, seq in durable.items():
            self.cursors[lane] = max(self.cursors[lane], seq)

    def save_space(self) -> None:
        """Seal or shed something; the power may fail in the middle of it."""
        rng = self.world.rng
        lane = rng.choice([Lane.URGENT, Lane.HISTORY, Lane.BULK])
        self.disk.execute("BEGIN IMMEDIATE")
        if rng.random() < 0.6:
            outbox.seal(self.disk, lane)
        else:
            outbox.shed(self.disk, lane, reason="budget", now_ms=1, boot=1)
        self.disk.execute("ROLLBACK" if rng.random() < 0.2 else "COMMIT")

    def check_weights(self) -> None:
        """What is counted in passing is what is there."""
        counted = outbox.held_bytes(self.disk)
        for lane, size in counted.items():
            here = (lane << 56, (lane + 1 << 56) - 1)
            rows = (
                "SELECT COALESCE(SUM(LENGTH(body) + 40), 0) FROM history WHERE key BETWEEN ? AND ?"
            )
            runs = "SELECT COALESCE(SUM(LENGTH(frame)), 0) FROM sealed WHERE key BETWEEN ? AND ?"
            there = sum(self.disk.execute(one, here).fetchone()[0] for one in (rows, runs))
            assert there == size, lane


class SheddingWorld(World):
    """The hostile world, with a device that is short of space."""

    device: SheddingDevice

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.device = SheddingDevice(self)

    def trouble(self) -> None:
        super().trouble()
        if self.rng.random() < 0.3:
            self.device.save_space()

    def settle(self) -> None:
        """Peace: within ten virtual minutes all that is left has arrived."""
        self.hostile, self.link_up = False, True
        for _ in range(2_400):
            self.step()
            backlog = self.device.session.backlog()
            if not any(backlog.values()) and self.device.cursors == self.device.session.acked():
                return
        raise AssertionError(f"never came to rest: {self.device.session.state}")


@pytest.mark.timeout(240)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
@example(seed=1)
@example(seed=5000)
def test_what_is_missing_is_accounted_for(seed: int) -> None:
    """I-2 to I-5: stored and gaps are 1..max and disjoint; every gap was shed and is explained."""
    world = SheddingWorld(seed)
    for _ in range(100):
        world.step()
    world.settle()
    device, cloud = world.device, world.cloud
    device.check_weights()
    while in_transaction(cloud.disk, lambda disk: projection.project(disk, limit=50)):
        pass

    for lane in Lane:
        newest = device.bounds().get(lane, (1, 0))[1]
        stored, missing = cloud.stored(1, lane), cloud.gaps(1, lane)
        assert list(range(1, newest + 1)) == sorted(stored + missing)
        if lane is Lane.CONTROL:
            assert [] == missing
            continue
        found = {seq: decode_body("task", body) for seq, body in cloud.bodies(1, lane).items()}
        written = device.bodies[lane]
        assert {seq: decode_body("task", written[seq]) for seq in stored} == found
    for view in gaps.read(cloud.disk, tenant="default", device="roof"):
        assert view.last_seq - view.first_seq + 1 == view.shed, view
        assert ["budget"] == view.reasons


def test_records_of_a_gap_say_what_was_in_it() -> None:
    """Lane, range, kinds and size stand in the control lane, written with the deletion."""
    world = SheddingWorld(1)
    device = world.device
    for _ in range(1_200):
        device.writer.add(device.disk, Lane.HISTORY, "task", b"x" * 50, now_ms=1, boot=1)
        in_transaction(device.disk, device.writer.flush)
    before = outbox.held_bytes(device.disk)[Lane.HISTORY]
    assert outbox.seal(device.disk, Lane.HISTORY)
    assert outbox.held_bytes(device.disk)[Lane.HISTORY] < before * 0.7
    assert outbox.shed(device.disk, Lane.HISTORY, reason="budget", now_ms=1, boot=1)
    assert outbox.shed(device.disk, Lane.HISTORY, reason="budget", now_ms=1, boot=1)

    records = outbox.read_records(device.disk, Lane.CONTROL, 0, 10, 10_000)
    told = [decode_body(record.kind, record.body) for record in records]
    assert all(isinstance(one, GapRecord) for one in told)
    ranges = [(one.first_seq, one.last_seq) for one in told if isinstance(one, GapRecord)]
    assert [(1, MAX_RECORDS), (MAX_RECORDS + 1, 2 * MAX_RECORDS)] == ranges
    assert [1001] == [records_of(device.read(Lane.HISTORY, 0, 1))[0].seq]
    device.check_weights()
