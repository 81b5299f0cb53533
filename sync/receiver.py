"""The cloud end of the sync, without any I/O: what to store, and what may be said afterwards.

No database, no MQTT and no clock: messages and the stored state go in, a `Commitment` comes out.
Whoever drives it commits that in one transaction and only then sends its acknowledgements. Frames
may come in any order, twice, cut differently when sent again, and over several ingesters that
share one ledger: the state is read from the ledger inside the same transaction each time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sync import frames, topics
from sync.codecs import CODECS
from sync.frames import Ack, BodyError, Frame, FrameError, Header
from sync.orders import Position
from sync.records import Lane
from sync.topics import Address

# How much a device may have under way in history and bulk: eight full frames.
CREDIT_BYTES = 800_000
# Segments kept beyond a hole in one lane. A device has at most some 20 frames under way, so more
# than this comes only from a device that ignores its window; what is over is left to be re-sent.
MAX_HELD = 64
# Of a message that cannot be stored as a segment only so much is kept, to look at.
REJECT_BYTES = 4_096

OLDER_EPOCH = "older-epoch"


class Arrival(msgspec.Struct, frozen=True):
    """One message from a device, read as far as it could be."""

    topic: str
    address: Address
    payload: bytes
    received_ms: int
    frame: Frame | None
    """None when it could not be read."""
    header: Header | None
    """None when not even the header could be trusted."""
    error: str = ""


class Outgoing(msgspec.Struct, frozen=True):
    """A message to be sent once the commitment it belongs to is durable."""

    topic: str
    payload: bytes


class Held(msgspec.Struct, frozen=True):
    """A stored segment that lies beyond a hole."""

    first_seq: int
    last_seq: int
    last_recorded_ms: int


class LaneState(msgspec.Struct):
    """What is durably stored of one lane of the live epoch."""

    acked: int = 0
    """Everything up to here is stored, or known to be gone from the device."""
    newest: int = 0
    """The newest sequence the device is known to have written."""
    oldest: int = 0
    synced_ms: int = 0
    """The device's time of the newest record stored without a hole before it."""
    held: list[Held] = []
    """Segments beyond the hole, in order, never overlapping."""
    mark: tuple[int, int] | None = None
    """A sequence and what its record is known by; read for hellos only."""
    beyond: tuple[int, int] | None = None
    """The same of the last segment beyond the hole."""
    begins: int = 0
    """With which sequence the epoch begins; 0 = not known. Read for hellos only."""


class Run(msgspec.Struct, frozen=True):
    """A run of a device's program, as its last hello told of it."""

    boot: int
    run: bytes
    nonce: int
    place: int = 0
    """Of the last order that it had dealt with."""

    def contradicts(self, hello: frames.Hello) -> bool:
        """Whether both cannot be of one device: a boot is one run, boots and places only grow.

        A run of a lower boot is refused also where its hello is only late: the device does not
        mind, as it waits for the answer to another hello by then, and a clone whose clock is behind
        would else go on under the same numbers.
        What became of an order is told later than its place: a copy from before it may hold all the
        records that have arrived, and only its hello shows what it is.
        """
        if not hello.run or not self.run:
            return False
        if hello.boot <= self.boot and hello.run != self.run:
            return True
        return self._place_of(hello) < self.place and self.precedes(hello)

    def precedes(self, hello: frames.Hello) -> bool:
        """Whether a hello of the same device was said later."""
        return (self.boot, self.nonce) < (hello.boot, hello.nonce)

    def followed_by(self, hello: frames.Hello) -> Run:
        """What is known after a hello that does not contradict."""
        if (hello.boot, hello.nonce) < (self.boot, self.nonce):
            return self
        return Run(hello.boot, hello.run, hello.nonce, self._place_of(hello))

    def _place_of(self, hello: frames.Hello) -> int:
        """A device that takes no orders now says nothing of those that it has taken."""
        return self.place if hello.orders is None else hello.orders.cseq


class DeviceState(msgspec.Struct):
    """What is durably stored of one device."""

    live_epoch: int = 0
    """0 when it has never been heard of."""
    lanes: dict[Lane, LaneState] = {}
    run: Run | None = None
    """Of the live epoch; None before its first hello."""

    def contradicts(self, hello: frames.Hello) -> bool:
        """Whether what has come under this name cannot be of the device that says hello.

        What was sent was written before. Where a later run has written less, its database was put
        back, though the cursors may tell nothing: what it had sent may wait beyond a hole.
        Two that were refused at once may begin an epoch of one number, but not with the same
        records: what the one has yet to tell lies before the cursor of the other.
        """
        if self.run is None:
            return False
        if self.run.contradicts(hello):
            return True
        if not hello.run or not self.run.run or hello.run == self.run.run:
            return False
        if any(
            state.begins not in (0, max(1, hello.first.get(lane, 1)))
            for lane, state in self.lanes.items()
        ):
            return True
        less = any(
            lane in self.lanes and newest < self.lanes[lane].newest
            for lane, (_, newest) in hello.lanes.items()
        )
        return less and self.run.precedes(hello)


class Segment(msgspec.Struct, frozen=True):
    """A range of records to store."""

    address: Address
    epoch: int
    lane: Lane
    first_seq: int
    count: int
    last_recorded_ms: int
    received_ms: int
    payload: bytes
    """The frame, verbatim. The range above may be a part of the frame's own, when the rest was
    stored from another."""
    quarantined: str | None = None
    """Why it could not be read; None when it could."""


class Gap(msgspec.Struct, frozen=True):
    """A range that the device no longer holds and that never arrived."""

    address: Address
    epoch: int
    lane: Lane
    first_seq: int
    last_seq: int


class Reject(msgspec.Struct, frozen=True):
    """A message that names no range, kept to be looked at."""

    topic: str
    reason: str
    received_ms: int
    payload: bytes


class Greeting(msgspec.Struct, frozen=True):
    """What a hello tells about the device itself."""

    address: Address
    epoch: int
    boot: int
    version: str
    orders: Position | None
    """How far it has come with its orders; None when it takes none."""


class Notice(msgspec.Struct, frozen=True):
    """Something about a device that a person should know."""

    address: Address
    kind: str
    text: str


class Commitment(msgspec.Struct):
    """What must be made durable together, and what may be said when it is."""

    segments: list[Segment] = []
    gaps: list[Gap] = []
    rejects: list[Reject] = []
    greetings: list[Greeting] = []
    notices: list[Notice] = []
    contested: set[Address] = set()
    """Under these names more than one device speaks."""
    states: dict[Address, DeviceState] = {}
    """The devices heard from, as they stand afterwards."""
    touched: set[tuple[Address, Lane]] = set()
    """The lanes whose state has changed."""
    acks: list[Outgoing] = []


def read(topic: str, payload: bytes, *, received_ms: int) -> Arrival | None:
    """A message from an `up` topic; None when the topic is not one of ours."""
    place = topics.parse(topic)
    lane = topics.parse_up(place[1]) if place else None
    if place is None or lane is None:
        return None
    frame: Frame | None = None
    header: Header | None = None
    error = ""
    try:
        frame = frames.decode(payload)
        header = frame.header
    except BodyError as damaged:
        header, error = damaged.header, f"{type(damaged).__name__}: {damaged}"
    except FrameError as unreadable:
        error = f"{type(unreadable).__name__}: {unreadable}"
    if header is not None and header.lane != lane:
        # The broker grants rights by topic, so the topic is the one to believe.
        frame, error, header = None, f"LaneMismatch: frame of lane {header.lane} on {lane}", None
    return Arrival(
        topic=topic,
        address=place[0],
        payload=payload,
        received_ms=received_ms,
        frame=frame,
        header=header,
        error=error,
    )


class Receiver:
    """One round of receiving: some arrivals against the state of their devices."""

    def __init__(self, states: dict[Address, DeviceState], *, now_ms: int) -> None:
        """Take the stored states; they are changed in place and handed on in the commitment."""
        self._states = states
        self._now_ms = now_ms
        self._out = Commitment(states=states)
        # One acknowledgement a device is enough for all its frames of this round.
        self._answers: dict[Address, set[Lane]] = {}
        self._refused: set[Address] = set()

    def take(self, arrivals: Sequence[Arrival]) -> Commitment:
        """What to commit for these messages, and what to say then."""
        for arrival in arrivals:
            self._take_one(arrival)
        for address, lanes in self._answers.items():
            self._acknowledge(address, lanes)
        for address in sorted(self._refused):
            self._refuse(address)
        return self._out

    def _take_one(self, arrival: Arrival) -> None:
        header = arrival.header
        if header is None or (arrival.frame is None and header.hello):
            self._reject(arrival)
            return
        device = self._states[arrival.address]
        if header.epoch < device.live_epoch:
            self._refused.add(arrival.address)
            if header.hello:
                self._out.contested.add(arrival.address)
            return
        if header.epoch > device.live_epoch:
            # A new lineage: its sequences begin at 1 again, and the old ones stay stored.
            if device.live_epoch:
                self._notice_epoch(arrival, device, header)
            device.live_epoch = header.epoch
            device.lanes, device.run = {}, None
        if arrival.frame is not None and arrival.frame.hello is not None:
            self._greet(arrival, device, arrival.frame.hello)
        else:
            self._store(arrival, device, header)

    def _notice_epoch(self, arrival: Arrival, device: DeviceState, header: Header) -> None:
        text = (
            f"epoch {header.epoch} follows {device.live_epoch}: "
            "its database was put back, begun anew or salvaged"
        )
        self._out.notices.append(Notice(arrival.address, "epoch", text))

    def _refuse_duplicate(self, address: Address, device: DeviceState, nonce: int) -> None:
        run = device.run
        if run is None or nonce > run.nonce:
            # Else it may be a late one of the device that is known, which is nothing to tell.
            text = (
                "two devices speak under this name, or one was put back to a copy: "
                "each begins an epoch of its own; give one of them another name"
            )
            self._out.notices.append(Notice(address, frames.DUPLICATE, text))
            self._out.contested.add(address)
        ack = Ack(
            epoch=device.live_epoch,
            cursors={},
            credit_bytes=0,
            server_ms=self._now_ms,
            nonce=nonce,
            refused=frames.DUPLICATE,
        )
        self._say(address, ack)

    def _greet(self, arrival: Arrival, device: DeviceState, hello: frames.Hello) -> None:
        address = arrival.address
        if device.contradicts(hello):
            self._refuse_duplicate(address, device, hello.nonce)
            return
        device.run = (device.run or Run(0, b"", 0)).followed_by(hello)
        self._out.greetings.append(
            Greeting(
                address=address,
                epoch=device.live_epoch,
                boot=hello.boot,
                version=hello.version,
                orders=hello.orders,
            )
        )
        for lane, (oldest, newest) in hello.lanes.items():
            # What an epoch does not begin with was stored in another, or is accounted for there.
            begins = max(1, hello.first.get(lane, 1))
            state = device.lanes.setdefault(lane, LaneState(acked=begins - 1, begins=begins))
            state.newest = max(state.newest, newest)
            self._note_oldest(address, device, lane, min(oldest, newest + 1))
            self._out.touched.add((address, lane))
        ack = Ack(
            epoch=device.live_epoch,
            cursors={lane: device.lanes.get(lane, LaneState()).acked for lane in Lane},
            credit_bytes=CREDIT_BYTES,
            server_ms=self._now_ms,
            nonce=hello.nonce,
            codecs=list(CODECS),
            features=list(frames.FEATURES),
            marks={
                lane: state.mark[1]
                for lane, state in device.lanes.items()
                if state.mark is not None and state.mark[0] == state.acked
            },
            beyond={
                lane: state.beyond
                for lane, state in device.lanes.items()
                if state.beyond is not None and state.held
            },
        )
        self._say(address, ack)

    def _store(self, arrival: Arrival, device: DeviceState, header: Header) -> None:
        lane = header.lane
        state = device.lanes.setdefault(lane, LaneState())
        state.newest = max(state.newest, header.last_seq)
        self._out.touched.add((arrival.address, lane))
        self._answers.setdefault(arrival.address, set()).add(lane)
        self._note_oldest(arrival.address, device, lane, header.oldest_seq)
        for first, last in _missing(state, header.first_seq, header.last_seq):
            if first > state.acked + 1 and len(state.held) >= MAX_HELD:
                continue
            segment = _segment(arrival, header, first, last)
            self._out.segments.append(segment)
            state.held.append(Held(first, last, segment.last_recorded_ms))
            state.held.sort(key=lambda held: held.first_seq)
        _advance(state)

    def _note_oldest(
        self, address: Address, device: DeviceState, lane: Lane, oldest_seq: int
    ) -> None:
        """Account for what the device no longer holds: waiting for it would be for ever.

        This happens when a ledger is begun anew or restored from a copy, and when a device sheds.
        """
        state = device.lanes[lane]
        state.oldest = max(state.oldest, oldest_seq)
        if oldest_seq <= state.acked + 1:
            return
        for first, last in _missing(state, state.acked + 1, oldest_seq - 1):
            self._out.gaps.append(Gap(address, device.live_epoch, lane, first, last))
            state.held.append(Held(first, last, 0))
        state.held.sort(key=lambda held: held.first_seq)
        _advance(state)

    def _reject(self, arrival: Arrival) -> None:
        self._out.rejects.append(
            Reject(
                topic=arrival.topic,
                reason=arrival.error,
                received_ms=arrival.received_ms,
                payload=arrival.payload[:REJECT_BYTES],
            )
        )

    def _acknowledge(self, address: Address, lanes: set[Lane]) -> None:
        device = self._states[address]
        cursors = {lane: device.lanes[lane].acked for lane in sorted(lanes) if lane in device.lanes}
        self._say(
            address,
            Ack(
                epoch=device.live_epoch,
                cursors=cursors,
                credit_bytes=CREDIT_BYTES,
                server_ms=self._now_ms,
            ),
        )

    def _refuse(self, address: Address) -> None:
        self._say(
            address,
            Ack(
                epoch=self._states[address].live_epoch,
                cursors={},
                credit_bytes=0,
                server_ms=self._now_ms,
                refused=OLDER_EPOCH,
            ),
        )

    def _say(self, address: Address, ack: Ack) -> None:
        self._out.acks.append(Outgoing(address.topic(topics.ACK), frames.encode_ack(ack)))


def _missing(state: LaneState, first_seq: int, last_seq: int) -> list[tuple[int, int]]:
    """The parts of a range that are not stored yet."""
    missing = []
    start = max(first_seq, state.acked + 1)
    for held in state.held:
        if held.first_seq > last_seq:
            break
        if held.last_seq < start:
            continue
        if start < held.first_seq:
            missing.append((start, held.first_seq - 1))
        start = held.last_seq + 1
    if start <= last_seq:
        missing.append((start, last_seq))
    return missing


def _advance(state: LaneState) -> None:
    """Move the cursor over what is now contiguous; no later than the first hole."""
    taken = 0
    for held in state.held:
        if held.first_seq != state.acked + 1:
            break
        state.acked = held.last_seq
        state.synced_ms = max(state.synced_ms, held.last_recorded_ms)
        taken += 1
    del state.held[:taken]


def _segment(arrival: Arrival, header: Header, first: int, last: int) -> Segment:
    """What to store of a frame: its payload as it came, and the part of its range that counts."""
    frame = arrival.frame
    recorded_ms = frame.recorded_ms(last) if frame else 0
    return Segment(
        address=arrival.address,
        epoch=header.epoch,
        lane=header.lane,
        first_seq=first,
        count=last - first + 1,
        last_recorded_ms=recorded_ms,
        received_ms=arrival.received_ms,
        payload=arrival.payload[: frames.MAX_FRAME_BYTES],
        quarantined=None if frame else arrival.error,
    )
