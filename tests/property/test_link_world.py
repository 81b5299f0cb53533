"""A slow link in virtual time (I-13, I-14): urgent records do not wait behind a backlog.

Session, receiver and pace are the real ones; the link is a queue that empties at a rate, and the
broker answers when it has a message.
"""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest

from sync import frames, receiver, topics
from sync.pace import Pace
from sync.receiver import DeviceState, Receiver
from sync.records import Lane, Record
from sync.session import Session, State
from sync.topics import Address

ROOF = Address("default", "roof")
_STEP_S = 0.01


class SlowWorld:
    """One device with a backlog, one link, one control plane."""

    def __init__(
        self, *, bytes_per_s: float, way_s: float, cap: float = 0.0, seed: int | None = None
    ) -> None:
        """With a seed each message takes up to four seconds more, and none overtakes another."""
        self.rate, self.way_s = bytes_per_s, way_s
        self.chance = None if seed is None else random.Random(seed)
        self.last_there_s = 0.0
        self.stored_bytes = 0
        self.now_s = 0.0
        self.pace = Pace(cap_bytes_per_s=cap)
        self.session = Session(epoch=1, boot=1, version="t", acked={}, pace=self.pace)
        self.state = DeviceState()
        self.written: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self.busy_until_s = 0.0
        self.order = count()
        self.events: list[tuple[float, int, str, bytes, float]] = []
        self.born_s: dict[int, float] = {}
        self.late_s: list[float] = []
        self.sent_bytes = 0

    def write(self, lane: Lane, many: int = 1) -> None:
        self.written[lane] += many
        self.session.note_bounds({lane: (1, self.written[lane])})

    def read(self, lane: Lane, after: int, limit: int) -> list[Record]:
        last = min(self.written[lane], after + limit)
        # Bodies that do not compress, as long as those of real history do when they are compressed.
        return [
            Record(lane, seq, "task", seq, 1, seq.to_bytes(8, "big") + frames_noise(seq))
            for seq in range(after + 1, last + 1)
        ]

    def send(self) -> None:
        for message in self.session.to_send(self.now_s):
            size = len(message.payload)
            self.sent_bytes += size
            self.busy_until_s = max(self.busy_until_s, self.now_s) + size / self.rate
            varies_s = 0.0 if self.chance is None else self.chance.uniform(0.0, 3.8)
            there_s = max(self.last_there_s, self.busy_until_s + self.way_s + varies_s)
            self.last_there_s = there_s
            at = (there_s, next(self.order), message.suffix, message.payload, self.now_s)
            heapq.heappush(self.events, at)

    def step(self) -> None:
        self.now_s += _STEP_S
        while self.events and self.events[0][0] <= self.now_s:
            _, _, suffix, payload, sent_s = heapq.heappop(self.events)
            if suffix == topics.ACK:
                self.session.receive(suffix, payload, self.now_s)
            else:
                self.arrive(suffix, payload, sent_s)
        if self.session.state is State.OFFLINE:
            self.session.connected(self.now_s, nonce=1)
        self.session.handle_timer(self.now_s)
        self.session.take_durable()
        self.send()
        while wants := self.session.wants():
            want = wants[0]
            assert self.session.offer(want.lane, self.read(want.lane, want.after_seq, want.limit))
            self.send()

    def arrive(self, suffix: str, payload: bytes, sent_s: float) -> None:
        """The broker has it and says so; the control plane commits and answers."""
        self.session.taken(len(payload), self.now_s + self.way_s - sent_s, self.now_s)
        arrival = receiver.read(ROOF.topic(suffix), payload, received_ms=int(self.now_s * 1000))
        assert arrival is not None
        assert arrival.frame is not None
        for record in arrival.frame.records:
            if record.lane is Lane.URGENT and record.seq in self.born_s:
                self.late_s.append(self.now_s - self.born_s.pop(record.seq))
        out = Receiver({ROOF: self.state}, now_ms=1).take([arrival])
        self.stored_bytes += sum(len(segment.payload) for segment in out.segments)
        for ack in out.acks:
            at = (self.now_s + self.way_s, next(self.order), topics.ACK, ack.payload, 0.0)
            heapq.heappush(self.events, at)


def frames_noise(seq: int) -> bytes:
    """Bytes that look like chance, the same for the same number."""
    return b"".join(
        (seq * 2_654_435_761 + at * 40_503 & 0xFFFFFFFF).to_bytes(4, "big") for at in range(4)
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way_s", [0.02, 0.3])
def test_urgent_records_pass_a_backlog_on_a_narrow_link(way_s: float) -> None:
    """I-13: at 256 kbit/s with a million records behind them, 99 of 100 arrive within a second."""
    world = SlowWorld(bytes_per_s=32_000, way_s=way_s)
    world.write(Lane.HISTORY, 1_000_000)
    for step in range(18_000):
        if step > 2_000 and step % 100 == 0:
            world.write(Lane.URGENT)
            world.born_s[world.written[Lane.URGENT]] = world.now_s
        world.step()
    late = sorted(world.late_s)

    assert len(late) > 150
    assert late[int(len(late) * 0.99)] <= 1.0 + way_s
    assert world.sent_bytes > 0.8 * 180 * 32_000, "and the link is used"


@pytest.mark.timeout(120)
def test_a_wide_link_is_not_kept_waiting() -> None:
    """At 100 Mbit/s the pace does not hold the backlog back: the window is the credit."""
    world = SlowWorld(bytes_per_s=12_500_000, way_s=0.005)
    world.write(Lane.HISTORY, 400_000)
    for _ in range(200):
        world.step()

    assert receiver.CREDIT_BYTES == world.pace.window_bytes


@pytest.mark.timeout(120)
def test_a_cap_holds_in_the_long_run() -> None:
    """I-14: bytes stay within cap x time + burst, and what is urgent passes when it is used up."""
    cap = 2_000.0
    world = SlowWorld(bytes_per_s=1_000_000, way_s=0.01, cap=cap)
    world.write(Lane.HISTORY, 1_000_000)
    for step in range(30_000):
        if step % 1_000 == 0:
            world.write(Lane.URGENT)
            world.born_s[world.written[Lane.URGENT]] = world.now_s
        world.step()
    burst = 60 * cap + frames.MAX_FRAME_BYTES

    assert world.sent_bytes <= cap * world.now_s + burst
    assert world.sent_bytes >= 0.9 * cap * world.now_s
    assert 30 == len(world.late_s)
    assert max(world.late_s) < 1.0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_link_that_varies_by_seconds_is_used(seed: int) -> None:
    """At 256 kbit/s with 0.2 to 4 s a message, what is stored is a sensible share of the link."""
    world = SlowWorld(bytes_per_s=32_000, way_s=0.2, seed=seed)
    world.write(Lane.HISTORY, 1_000_000)
    for _ in range(18_000):
        world.step()

    assert world.stored_bytes >= 0.4 * 180 * 32_000
