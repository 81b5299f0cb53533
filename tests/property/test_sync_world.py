"""Session, receiver and ledger in a hostile world of virtual time: nothing lost, nothing twice.

The two ends are the real ones, and so is the ledger's SQLite; only the network and the clock are
made up. A crash keeps what was committed and nothing else.
"""

from __future__ import annotations

import heapq
import random
import sqlite3
from functools import partial
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync import frames, receiver, topics
from sync.control_plane import projection, truth
from sync.database import in_transaction
from sync.receiver import Arrival
from sync.records import Lane, Record, WorkflowRecord, encode_body
from sync.runs import Portion, records_of
from sync.session import WINDOW_FRAMES, Message, Session, State
from sync.topics import Address

ADDRESS = Address("default", "roof")
INGESTERS = 3


class Cloud:
    """A ledger that survives, and ingesters that do not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.disk = sqlite3.connect(":memory:", isolation_level=None)
        in_transaction(self.disk, truth.create_schema)
        self.queues: list[list[Arrival]] = [[] for _ in range(INGESTERS)]

    def take(self, topic: str, payload: bytes) -> None:
        arrival = receiver.read(topic, payload, received_ms=self.world.wall_ms())
        assert arrival is not None
        self.queues[self.world.rng.randrange(INGESTERS)].append(arrival)

    def work(self) -> None:
        """Each ingester commits what it has; some die before, in the middle of, or after it."""
        rng = self.world.rng
        for queue in self.queues:
            fate = rng.random() if self.world.hostile else 1.0
            batch, queue[:] = queue[:], []
            if not batch or fate < 0.05:
                continue
            if fate < 0.10:
                # The power fails inside the transaction.
                self.disk.execute("BEGIN IMMEDIATE")
                truth.commit(self.disk, batch, now_ms=self.world.wall_ms())
                self.disk.execute("ROLLBACK")
                continue
            commit = partial(truth.commit, arrivals=batch, now_ms=self.world.wall_ms())
            outgoing = in_transaction(self.disk, commit)
            if fate < 0.15:
                continue
            for message in outgoing:
                self.check_ack(frames.decode_ack(message.payload))
                self.world.carry("down", message.topic, message.payload)
            if rng.random() < 0.5:
                in_transaction(self.disk, lambda disk: projection.project(disk, limit=4))

    def check_ack(self, ack: frames.Ack) -> None:
        """I-2: what is acknowledged is stored, or covered by a gap."""
        for lane, seq in ack.cursors.items():
            covered = self.stored(ack.epoch, lane) + self.gaps(ack.epoch, lane)
            assert set(range(1, seq + 1)) <= set(covered)

    def stored(self, epoch: int, lane: Lane) -> list[int]:
        """Every stored sequence, with repetitions if there were any."""
        rows = self.disk.execute(
            "SELECT first_seq, count FROM segment WHERE epoch = ? AND lane = ?", (epoch, lane)
        )
        return sorted(seq for first, many in rows for seq in range(first, first + many))

    def gaps(self, epoch: int, lane: Lane) -> list[int]:
        """Every sequence that is known never to arrive."""
        rows = self.disk.execute(
            "SELECT first_seq, last_seq FROM gap WHERE epoch = ? AND lane = ?", (epoch, lane)
        )
        return [seq for first, last in rows for seq in range(first, last + 1)]

    def bodies(self, epoch: int, lane: Lane) -> dict[int, bytes]:
        """What is stored as it was written: not of what is carried by another."""
        rows = self.disk.execute(
            "SELECT first_seq, count, payload FROM segment WHERE epoch = ? AND lane = ?",
            (epoch, lane),
        )
        found = {}
        for first, many, payload in rows:
            frame = frames.decode(payload)
            start = first - frame.header.first_seq
            for at, record in enumerate(frame.records[start : start + many], start):
                if at not in frame.carried:
                    found[record.seq] = record.body
        return found

    def shown(self) -> list[list[tuple[object, ...]]]:
        """What the pages are made of, once all that is stored is in view."""
        while in_transaction(self.disk, lambda one: projection.project(one, limit=50)):
            pass
        return [
            self.disk.execute(f"SELECT {columns} ORDER BY 1, 2").fetchall()
            for columns in (
                "workflow_id, name, status, created_ms, updated_ms, ended_ms, output, ver,"
                " output_ver FROM execution",
                "workflow_id, task_id, status, scheduled_ms, ended_ms, output, ver FROM task",
                "kind, seq FROM unread",
            )
        ]


class Device:
    """A disk that survives, and a session that does not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epoch = 1
        self.boot = 1
        self.held: dict[Lane, list[Record]] = {lane: [] for lane in Lane}
        self.written: dict[Lane, list[Record]] = {lane: [] for lane in Lane}
        self.cursors = dict.fromkeys(Lane, 0)
        self.nonce = count(1)
        self.session = self.new_session()

    def new_session(self) -> Session:
        session = Session(epoch=self.epoch, boot=self.boot, version="t", acked=self.cursors)
        session.note_bounds(self.bounds())
        return session

    def bounds(self) -> dict[Lane, tuple[int, int]]:
        found = {}
        for lane in Lane:
            newest = len(self.written[lane])
            oldest = self.held[lane][0].seq if self.held[lane] else newest + 1
            if newest:
                found[lane] = (oldest, newest)
        return found

    def write(self, lane: Lane) -> None:
        seq = len(self.written[lane]) + 1
        workflow = WorkflowRecord(
            id=f"w{seq % 7}",
            name="demo",
            version=1,
            status="RUNNING" if seq % 3 else "COMPLETED",
            created_ms=1,
            updated_ms=self.world.wall_ms(),
            output=self.world.rng.randbytes(self.world.rng.choice([4, 40, 30_000])),
        )
        body = encode_body(workflow)
        record = Record(lane, seq, "workflow", self.world.wall_ms(), self.boot, body)
        self.held[lane].append(record)
        self.written[lane].append(record)

    def read(self, lane: Lane, after: int, limit: int) -> Portion:
        return [record for record in self.held[lane] if record.seq > after][:limit]

    def crash(self) -> None:
        self.boot += 1
        self.session = self.new_session()

    def work(self) -> None:
        """One turn of what the uplink does."""
        session, rng, now_s = self.session, self.world.rng, self.world.now_s
        if session.state is State.OFFLINE:
            if not self.world.link_up:
                return
            session.connected(now_s, nonce=next(self.nonce) * 1_000_000)
        for lane, seq in session.doubts().items():
            found = records_of(self.read(lane, seq - 1, 1))
            session.settle(lane, found[0] if found else None, now_s)
        session.handle_timer(now_s)
        durable = session.take_durable()
        if durable and self.world.hostile and rng.random() < 0.1:
            # The power fails before the cursors are written.
            self.crash()
            return
        self.keep(durable)
        session.note_bounds(self.bounds())
        self.send(session.to_send(now_s))
        while wants := session.wants():
            want = wants[0]
            assert session.offer(want.lane, self.read(want.lane, want.after_seq, want.limit))
            self.send(session.to_send(now_s))

    def keep(self, durable: dict[Lane, int]) -> None:
        """I-3: what is pruned is stored in the cloud."""
        for lane, seq in durable.items():
            assert set(range(1, seq + 1)) <= set(self.world.cloud.stored(self.epoch, lane))
            self.cursors[lane] = max(self.cursors[lane], seq)
            self.held[lane] = [one for one in self.held[lane] if one.seq > self.cursors[lane]]

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            self.world.carry("up", ADDRESS.topic(message.suffix), message.payload)


class World:
    """A network with a grudge, and the time it takes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.hostile = True
        self.link_up = True
        self.order = count()
        self.wire: list[tuple[float, int, str, str, bytes]] = []
        self.drop, self.twice, self.delay_s = (
            self.rng.choice([0.0, 0.1, 0.4]),
            self.rng.choice([0.0, 0.2]),
            self.rng.choice([0.0, 0.3, 5.0]),
        )
        self.cloud = Cloud(self)
        self.device = Device(self)

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.now_s * 1000)

    def carry(self, way: str, topic: str, payload: bytes) -> None:
        copies = 1
        if self.hostile:
            copies = 0 if self.rng.random() < self.drop else 1
            copies += self.rng.random() < self.twice
        for _ in range(copies):
            delay_s = self.rng.uniform(0, self.delay_s) if self.hostile else 0.01
            heapq.heappush(self.wire, (self.now_s + delay_s, next(self.order), way, topic, payload))

    def deliver(self) -> None:
        while self.wire and self.wire[0][0] <= self.now_s:
            _, _, way, topic, payload = heapq.heappop(self.wire)
            if way == "up":
                self.cloud.take(topic, payload)
            elif self.device.session.state is not State.OFFLINE:
                self.device.session.receive(topics.ACK, payload, self.now_s)

    def trouble(self) -> None:
        """What else may happen in a step."""
        chance = self.rng.random()
        if chance < 0.02:
            self.device.crash()
        elif chance < 0.04:
            # The broker dies with all it carried.
            self.wire.clear()
            self.device.session.disconnected(self.now_s)
            self.link_up = False
        elif chance < 0.06:
            self.cloud.queues = [[] for _ in range(INGESTERS)]
        elif chance < 0.08:
            self.device.session.server_started(self.now_s)
        elif chance < 0.09:
            self.device.session.unheard(self.now_s)
        elif chance < 0.2:
            self.link_up = True

    def step(self) -> None:
        self.now_s += 0.25
        if self.hostile:
            self.trouble()
            for _ in range(self.rng.choice([0, 0, 1, 5])):
                self.device.write(self.rng.choice(list(Lane)))
        self.deliver()
        self.cloud.work()
        self.deliver()
        self.device.work()

    def settle(self) -> None:
        """Peace: within ten virtual minutes everything must have arrived."""
        self.hostile, self.link_up = False, True
        for _ in range(2_400):
            self.step()
            if not any(self.device.held.values()):
                return
        raise AssertionError(f"never came to rest: {self.device.session.state}")


def plainly_shown(device: Device) -> list[list[tuple[object, ...]]]:
    """What a ledger shows that has had every record whole, each in a frame of its own."""
    cloud = Cloud(device.world)
    for lane, written in device.written.items():
        for record in written:
            payload = frames.encode([record], epoch=device.epoch, oldest_seq=1)
            arrival = receiver.read(ADDRESS.topic(topics.up(lane)), payload, received_ms=1)
            assert arrival is not None
            truth.commit(cloud.disk, [arrival], now_ms=1)
    return cloud.shown()


@pytest.mark.timeout(120)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
@example(seed=1)
def test_nothing_is_lost_and_nothing_is_twice(seed: int) -> None:
    """I-2 to I-5: whatever happens, at rest the ledger holds 1..max of each lane once.

    What is stored with a body is what was written, and what is shown is what whole records show.
    """
    world = World(seed)
    for _ in range(120):
        world.step()
    world.settle()

    device, cloud = world.device, world.cloud
    for lane in Lane:
        expected = {record.seq: record.body for record in device.written[lane]}
        assert sorted(expected) == cloud.stored(1, lane)
        assert cloud.bodies(1, lane).items() <= expected.items()
    assert plainly_shown(device) == cloud.shown()
    assert cloud.disk.execute("SELECT COUNT(*) FROM gap").fetchone() == (0,)


@pytest.mark.timeout(120)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32), backlog=st.sampled_from([0, 4_000]))
def test_what_is_in_memory_does_not_grow_with_the_backlog(seed: int, backlog: int) -> None:
    """I-19: a session holds what is under way and one batch to come, whatever waits on the disk."""
    world = World(seed)
    device = world.device
    for _ in range(backlog):
        device.write(Lane.HISTORY)
    for _ in range(60):
        world.step()
        for lane, side in device.session._lanes.items():
            assert len(side.flights) <= WINDOW_FRAMES[lane]
            assert len(records_of(side.offered)) <= frames.MAX_RECORDS


@pytest.mark.timeout(120)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_live_projection_is_the_rebuilt_one(seed: int) -> None:
    """I-7: what was projected while frames came in any order is what a rebuild makes of them."""
    world = World(seed)
    for _ in range(80):
        world.step()
    world.settle()
    disk = world.cloud.disk
    while in_transaction(disk, lambda one: projection.project(one, limit=3)):
        pass
    shown = "SELECT * FROM {} ORDER BY 1, 2, 3"
    columns = "device_id, workflow_id, status, updated_ms, ended_ms, output, ver, output_ver"
    live = [
        disk.execute(f"SELECT {columns} FROM execution ORDER BY workflow_id").fetchall(),
        disk.execute(shown.format("lag")).fetchall(),
    ]
    in_transaction(disk, projection.forget)
    while in_transaction(disk, lambda one: projection.project(one, limit=50)):
        pass

    assert (
        live[0] == disk.execute(f"SELECT {columns} FROM execution ORDER BY workflow_id").fetchall()
    )
    assert live[1] == disk.execute(shown.format("lag")).fetchall()


@pytest.mark.timeout(120)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_a_lost_ledger_is_filled_with_what_is_left(seed: int) -> None:
    """I-4 with gaps: after the cloud loses its ledger, stored and gaps together are 1..max."""
    world = World(seed)
    for _ in range(40):
        world.step()
    world.cloud.disk.close()
    world.cloud = Cloud(world)
    world.wire.clear()
    world.device.session.disconnected(world.now_s)
    world.hostile, world.link_up = False, True
    for _ in range(10):
        world.device.write(Lane.HISTORY)
    device = world.device
    device.keep = device.cursors.update  # type: ignore[assignment, method-assign]
    for _ in range(600):
        world.step()

    for lane in Lane:
        stored = world.cloud.stored(1, lane)
        gaps = world.cloud.gaps(1, lane)
        assert list(range(1, len(device.written[lane]) + 1)) == sorted(stored + gaps)
        assert {record.seq for record in device.held[lane]} <= set(stored)
