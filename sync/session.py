"""The device end of the sync, without any I/O: what to send, what it waits for, what is safe.

No MQTT, no database and no clock: time, records and messages are handed in, messages and durable
cursors are handed out. A cursor moves only on the control plane's own acknowledgement; what the
broker says about a message is worth nothing here but a reason to slow down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from sync import frames, topics
from sync.codecs import CODECS, Codec, best_codec
from sync.frames import Ack, Hello
from sync.lane_side import Doubt, Flight, LaneSide
from sync.orders import Position
from sync.pace import Pace
from sync.records import Lane, Record
from sync.runs import Portion, Run, records_of

RTO_MIN_S = 2.0
RTO_MAX_S = 60.0
# How many frames each lane may have under way. Control and urgent have their own, so that a full
# window of history never keeps them waiting; the sum stays below the 20 messages that a broker
# usually lets a client have in flight.
WINDOW_FRAMES = {Lane.CONTROL: 2, Lane.URGENT: 4, Lane.HISTORY: 8, Lane.BULK: 2}
# The lanes whose bytes count against the control plane's credit.
CREDITED = (Lane.HISTORY, Lane.BULK)
# Assumed until the control plane has named its own.
FIRST_CREDIT_BYTES = 200_000
# While a frame of history is under way, a small rest waits for its acknowledgement and travels
# with what has come by then: one message for many records instead of one each.
WORTH_A_FRAME = 100
# And behind a frame that has arrived it waits for this long: one for what comes in quick succession.
PAUSE_S = 0.05


class State(Enum):
    """Where a session stands."""

    OFFLINE = "offline"
    GREETING = "greeting"
    """Hello sent; nothing is sent until the control plane has said what it holds."""
    STREAMING = "streaming"
    PROBING = "probing"
    """Nothing was heard for too long: only a hello is sent until something is."""
    HALTED = "halted"
    """The control plane knows a newer history under this name; sending would mix two."""


class Event(Enum):
    """What moves a session from one state to another."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ANSWERED = "answered"
    """An acknowledgement that answers our last hello."""
    PROGRESSED = "progressed"
    """An acknowledgement that moved a cursor."""
    TIMED_OUT = "timed out"
    UNHEARD = "unheard"
    """The broker said that nobody listens."""
    SERVER_STARTED = "server started"
    REFUSED = "refused"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.OFFLINE: {
        Event.CONNECTED: State.GREETING,
        Event.DISCONNECTED: State.OFFLINE,
    },
    State.GREETING: {
        Event.DISCONNECTED: State.OFFLINE,
        Event.ANSWERED: State.STREAMING,
        Event.TIMED_OUT: State.GREETING,
        Event.UNHEARD: State.GREETING,
        Event.SERVER_STARTED: State.GREETING,
        Event.REFUSED: State.HALTED,
    },
    State.STREAMING: {
        Event.DISCONNECTED: State.OFFLINE,
        Event.ANSWERED: State.STREAMING,
        Event.PROGRESSED: State.STREAMING,
        Event.TIMED_OUT: State.PROBING,
        Event.UNHEARD: State.PROBING,
        Event.SERVER_STARTED: State.PROBING,
        Event.REFUSED: State.HALTED,
    },
    State.PROBING: {
        Event.DISCONNECTED: State.OFFLINE,
        Event.ANSWERED: State.STREAMING,
        Event.PROGRESSED: State.STREAMING,
        Event.TIMED_OUT: State.PROBING,
        Event.UNHEARD: State.PROBING,
        Event.SERVER_STARTED: State.PROBING,
        Event.REFUSED: State.HALTED,
    },
    State.HALTED: {
        Event.DISCONNECTED: State.OFFLINE,
        Event.ANSWERED: State.HALTED,
        Event.PROGRESSED: State.HALTED,
        Event.REFUSED: State.HALTED,
        Event.UNHEARD: State.HALTED,
        Event.SERVER_STARTED: State.HALTED,
    },
}


class SessionError(Exception):
    """Head of this module's errors.

    SessionError
    └── IllegalEvent
    """


class IllegalEvent(SessionError):
    """The driver told the session something that cannot happen in its state; mend the driver."""


class Message(msgspec.Struct, frozen=True):
    """Something to publish under the device's own topics, with QoS 1."""

    suffix: str
    payload: bytes


class Want(msgspec.Struct, frozen=True):
    """Records the session could send now; `offer` them."""

    lane: Lane
    after_seq: int
    limit: int


class Measured(msgspec.Struct, frozen=True):
    """The control plane's clock, as an answer to a hello showed it."""

    server_ms: int
    round_trip_s: float
    heard_s: float


class Session:
    """One device's conversation with its control plane, over any number of connections."""

    def __init__(
        self,
        *,
        epoch: int,
        boot: int,
        version: str,
        acked: Mapping[Lane, int],
        codecs: Sequence[Codec] = CODECS,
        first: Mapping[Lane, int] | None = None,
        run: bytes = b"",
        pace: Pace | None = None,
    ) -> None:
        """Start from what the store holds.

        Args:
            epoch: the lineage of the device's history, from 1.
            boot: the present boot.
            version: the release, for the control plane to show.
            acked: the durable cursors.
            codecs: what to offer.
            first: with which sequence the epoch begins, by lane; None = with 1.
            run: drawn anew by each run of the program.
            pace: of the link; None = one that carries everything at once.
        """
        self.state = State.OFFLINE
        self.halted_because = ""
        self.live_epoch = epoch
        """The highest epoch that is known to be live under our name."""
        self._first = {lane: seq for lane, seq in (first or {}).items() if seq > 1}
        self._run = run
        self._measured: Measured | None = None
        self._doubts: dict[Lane, Doubt] = {}
        """Lanes of which the control plane has more than it has told us: is it ours?"""
        self.last_ack_s: float | None = None
        """When the last acknowledgement came; None before the first."""
        self.orders: Position | None = None
        """What the next hello says of orders; None when the device takes none."""
        self._server: tuple[int, float] | None = None
        """What the control plane's clock showed, and when that was heard on this connection."""
        self._epoch = epoch
        self._boot = boot
        self._version = version
        self._codecs = tuple(codecs)
        self._codec = Codec.ZLIB
        self._coalesce = False
        self._lanes = {lane: LaneSide(acked.get(lane, 0)) for lane in Lane}
        self._credit_bytes = FIRST_CREDIT_BYTES
        self._pace = pace or Pace(first_bytes=2**40)
        self._now_s = 0.0
        """When something last happened."""
        self._record_bytes = 40.0
        """What a record has taken in the frames before, about."""
        self._durable: dict[Lane, int] = {}
        self._hello_due = self._looks = False
        self._must_tell = False
        """Whether a lane has nothing left to send, and the control plane does not know it."""
        self._nonce, self._greeted_s = 0, 0.0
        self._srtt_s: float | None = None
        self._rttvar_s = 0.0
        self._backoff = 1

    # What the driver tells.

    def connected(self, now_s: float, *, nonce: int) -> None:
        """The broker has taken the connection; `nonce` is larger than on any one before."""
        self._nonce = max(self._nonce + 1, nonce)
        self._now_s = now_s
        self._pace.began(now_s)
        self._backoff = 1
        self._greet(Event.CONNECTED, now_s)

    def disconnected(self, now_s: float) -> None:
        """The connection is gone, and with it all that was under way."""
        del now_s
        self._move(Event.DISCONNECTED)
        self._server = None
        self._doubts.clear()
        self._hello_due = False
        for side in self._lanes.values():
            side.rewind()

    def taken(self, size_bytes: int, took_s: float, now_s: float) -> None:
        """The broker has a frame: how long that took says how full the link is, nothing more."""
        self._now_s = now_s
        self._pace.taken(size_bytes, took_s, now_s)
        self._pace.limit(self._credit_bytes)

    def unheard(self, now_s: float) -> None:
        """The broker has said that nobody listens (MQTT 5, reason 0x10): stop, and ask later."""
        if self.state is State.STREAMING:
            self._move(Event.UNHEARD)
            self._greeted_s = now_s

    def server_started(self, now_s: float) -> None:
        """A control plane has begun to listen; what was under way may never have reached one."""
        if self.state in (State.OFFLINE, State.HALTED):
            return
        self._backoff = 1
        self._greet(Event.SERVER_STARTED, now_s)

    def note_bounds(self, bounds: Mapping[Lane, tuple[int, int]]) -> None:
        """Take the oldest and newest sequence that the store holds in each lane."""
        self._looks = False
        for lane, (oldest, newest) in bounds.items():
            side = self._lanes[lane]
            side.newest = max(side.newest, newest)
            # The store may hold more than was not acknowledged: a ledger that was lost gets it.
            side.oldest = oldest or side.oldest
            if side.next_seq < side.oldest:
                side.next_seq, side.offered = side.oldest, ()
            # Of what was shed the next frame's header tells. Where there is none, a hello must; and
            # of what was freed, because a ledger had it that was lost.
            if side.confirmed < side.newest < side.oldest != side.told_oldest:
                side.told_oldest = side.oldest
                self._must_tell = True

    def receive(self, suffix: str, payload: bytes, now_s: float) -> None:
        """Take a message from the control plane.

        Raises:
            FrameError: it cannot be read; nothing has changed.
        """
        if suffix != topics.ACK:
            return
        ack = frames.decode_ack(payload)
        if self.state is State.OFFLINE:
            return
        if ack.refused or ack.epoch != self._epoch:
            self._take_refusal(ack)
            return
        self._take_ack(ack, now_s)

    def doubts(self) -> dict[Lane, int]:
        """Sequences whose records must be looked at before anything is sent: `settle` them."""
        return {lane: doubt.seq for lane, doubt in self._doubts.items()}

    def settle(self, lane: Lane, record: Record | None, now_s: float) -> None:
        """Hand over what stands at a doubtful sequence; None when it is not held any more.

        Another record there means that this database was put back to a copy and has gone on from
        it: the control plane's is the one that came first.
        """
        doubt = self._doubts.pop(lane, None)
        if doubt is None or self.state in (State.OFFLINE, State.HALTED):
            return
        if record is not None and doubt.is_another(record):
            self.halted_because = "the control plane holds another history under our numbers"
            self._doubts.clear()
            self._move(Event.REFUSED)
            return
        self._take_cursor(lane, doubt.cursor, now_s, measured=False)
        self._go_on_from(lane, doubt.cursor)

    # What the driver asks.

    def wants(self) -> list[Want]:
        """Records that could be sent at once, most pressing lane first."""
        if self.state is not State.STREAMING or self._doubts:
            return []
        found = []
        for lane in Lane:
            side = self._lanes[lane]
            ready = side.newest - side.next_seq + 1
            if side.offered or ready <= 0 or not self._room(lane):
                continue
            if lane in CREDITED and ready < WORTH_A_FRAME and side.pauses(self._now_s):
                continue
            found.append(Want(lane, side.next_seq - 1, frames.MAX_RECORDS))
        return found

    def offer(self, lane: Lane, portion: Portion) -> bool:
        """Hand over what a want asked for; False when it does not continue where the lane stands.

        Records that are not consecutive are taken up to the hole. A run travels as it is kept where
        the control plane can read it and the link has room for so much at once.
        """
        side = self._lanes[lane]
        if isinstance(portion, Run) and self._travels_as_it_is(portion):
            if self.state is not State.STREAMING or portion.first_seq != side.next_seq:
                return False
            side.offered = portion
            side.newest = max(side.newest, portion.first_seq + portion.count - 1)
            return True
        records = records_of(portion)
        if not records or self.state is not State.STREAMING or records[0].seq != side.next_seq:
            return False
        if records[-1].seq != side.next_seq + len(records) - 1:
            records = [one for at, one in enumerate(records) if one.seq == side.next_seq + at]
        side.offered = records
        # What was written since the bounds were noted is held as well: an answer that covers it
        # must not be taken for one from a future of ours.
        side.newest = max(side.newest, records[-1].seq)
        return True

    def _travels_as_it_is(self, run: Run) -> bool:
        readable = run.header.codec in (Codec.NONE, Codec.ZLIB, self._codec)
        return readable and len(run.frame) <= self._frame_bytes()

    def to_send(self, now_s: float) -> list[Message]:
        """What to publish now, in this order."""
        self._now_s = now_s
        out = []
        if self._hello_due:
            self._hello_due = False
            out.append(self._hello())
        if self.state is not State.STREAMING:
            return out
        for lane in Lane:
            side = self._lanes[lane]
            while side.offered and self._room(lane):
                out.append(self._frame(lane, side, now_s))
        return out

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called; None when nothing is waited for."""
        due_s = self._silence_s()
        if self.state is not State.STREAMING:
            return due_s
        free_s = self._pace.free_s(self._now_s)
        waiting = [side for side in map(self._lanes.__getitem__, CREDITED) if side.waits()]
        frees = [max(free_s, 0.0 if side.offered else side.pauses_until_s) for side in waiting]
        ahead = [one for one in frees if one > self._now_s]
        return min(ahead if due_s is None else [due_s, *ahead], default=None)

    def _silence_s(self) -> float | None:
        """When it has been silent for too long."""
        if self.state in (State.OFFLINE, State.HALTED):
            return None
        if self._must_tell and self.state is State.STREAMING:
            return 0.0
        since_s: float | None = self._greeted_s
        if self.state is State.STREAMING:
            # Each lane waits for itself: the progress of one must not hide another's loss.
            waiting = [side.waiting_since_s for side in self._lanes.values() if side.flights]
            since_s = min(waiting, default=None)
        return None if since_s is None else since_s + self._rto_s()

    def handle_timer(self, now_s: float) -> None:
        """Nothing was heard for as long as it ever takes: ask what has arrived."""
        self._now_s = now_s
        if self._must_tell and self.state is State.STREAMING:
            self._must_tell = False
            self._greet(Event.SERVER_STARTED, now_s)
            return
        due_s = self._silence_s()
        if due_s is None or now_s < due_s:
            return
        self._backoff = min(self._backoff * 2, 64)
        self._greet(Event.TIMED_OUT, now_s)

    def server_ms(self, now_s: float) -> int | None:
        """What the control plane's clock shows at least; None when it has not been heard yet."""
        if self._server is None:
            return None
        shown_ms, heard_s = self._server
        return shown_ms + int((now_s - heard_s) * 1000)

    def take_measured(self) -> Measured | None:
        """What the last answer told of the control plane's clock, once."""
        measured, self._measured = self._measured, None
        return measured

    def take_durable(self) -> dict[Lane, int]:
        """The cursors that have moved since this was last asked; write them, then prune."""
        durable, self._durable = self._durable, {}
        return durable

    @property
    def looks(self) -> bool:
        """Whether the control plane has less than it had: what is held still has to be noted."""
        return self._looks

    @property
    def epoch(self) -> int:
        """The lineage this session speaks for."""
        return self._epoch

    def acked(self) -> dict[Lane, int]:
        """How far each lane is stored in the control plane."""
        return {lane: side.acked for lane, side in self._lanes.items()}

    def backlog(self) -> dict[Lane, int]:
        """How many records of each lane the control plane does not have yet."""
        return {lane: max(0, side.newest - side.acked) for lane, side in self._lanes.items()}

    # How it works.

    def _move(self, event: Event) -> None:
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise IllegalEvent(f"{event.value} while {self.state.value}")
        self.state = following

    def _greet(self, event: Event, now_s: float) -> None:
        self._move(event)
        if event is not Event.CONNECTED:
            self._nonce += 1
        self._hello_due = True
        self._greeted_s = now_s

    def _take_refusal(self, ack: Ack) -> None:
        ours = ack.refused == frames.DUPLICATE and ack.nonce == self._nonce
        if ack.epoch <= self._epoch and not ours:
            # Meant for an older history under our name, or said before ours was known.
            return
        self.live_epoch = max(self.live_epoch, ack.epoch)
        self.halted_because = ack.refused or "another epoch is live"
        self._move(Event.REFUSED)

    def _take_ack(self, ack: Ack, now_s: float) -> None:
        if self.state is State.GREETING and ack.nonce != self._nonce:
            # Of frames of a connection before this one, which need not have been ours: another
            # machine may have this name and a copy of this database.
            return
        ends = ack.cursors | {lane: seq for lane, (seq, _) in ack.beyond.items()}
        ahead = [lane for lane, seq in ends.items() if seq > self._lanes[lane].newest]
        if ahead and ack.nonce == self._nonce:
            # The hello carried our newest: the control plane holds a future of ours that we do
            # not know, so this database was put back to an earlier state.
            self.halted_because = "the control plane is ahead of this database"
            self._move(Event.REFUSED)
            return
        if ahead:
            return
        moved = False
        for lane, seq in ack.cursors.items():
            if lane in ack.beyond:
                self._doubts[lane] = Doubt(*ack.beyond[lane], seq)
                continue
            if lane in ack.marks and seq > self._lanes[lane].acked:
                self._doubts[lane] = Doubt(seq, ack.marks[lane], seq)
                continue
            # The answer to a hello says nothing about how long the frames before it took.
            moved = self._take_cursor(lane, seq, now_s, measured=not ack.nonce) or moved
        self.last_ack_s = now_s
        self._note_server(ack.server_ms, now_s)
        self._credit_bytes = ack.credit_bytes
        if ack.nonce and ack.nonce == self._nonce:
            self._take_answer(ack, now_s)
        elif moved:
            self._backoff = 1
            self._move(Event.PROGRESSED)

    def _note_server(self, shown_ms: int, now_s: float) -> None:
        # What travelled longest shows least; the time that was latest is the best.
        known_ms = self.server_ms(now_s)
        if known_ms is None or shown_ms > known_ms:
            self._server = (shown_ms, now_s)

    def _take_cursor(self, lane: Lane, seq: int, now_s: float, *, measured: bool) -> bool:
        side = self._lanes[lane]
        if seq <= side.confirmed:
            return False
        sent_s = side.land(seq)
        side.waiting_since_s = now_s
        if sent_s is not None and measured:
            self._note_round_trip(now_s - sent_s)
        if seq > side.acked:
            side.acked = seq
            self._durable[lane] = seq
        return True

    def _take_answer(self, ack: Ack, now_s: float) -> None:
        """The control plane has said what it holds: send from there."""
        self._move(Event.ANSWERED)
        self._measured = Measured(ack.server_ms, now_s - self._greeted_s, now_s)
        self._nonce += 1
        self._backoff = 1
        both = [codec for codec in self._codecs if codec in ack.codecs]
        self._codec = best_codec(both)
        self._coalesce = frames.Feature.COALESCED in ack.features
        for lane in self._lanes.keys() - self._doubts.keys():
            self._go_on_from(lane, ack.cursors.get(lane, self._lanes[lane].confirmed))

    def _go_on_from(self, lane: Lane, cursor: int) -> None:
        side = self._lanes[lane]
        side.confirmed = cursor
        side.rewind()
        # A ledger that was put back: what was freed since the last look is not held.
        self._looks = self._looks or side.confirmed < side.acked

    def _room(self, lane: Lane) -> bool:
        side = self._lanes[lane]
        if len(side.flights) >= WINDOW_FRAMES[lane]:
            return False
        if lane not in CREDITED:
            return True
        if self._pace.free_s(self._now_s) > self._now_s:
            return False
        under_way = sum(
            flight.size_bytes for one in CREDITED for flight in self._lanes[one].flights
        )
        # One frame may always be under way, or a credit below its size would stop the lane.
        window = min(self._credit_bytes, self._pace.window_bytes)
        return under_way == 0 or under_way + self._frame_bytes() <= window

    def _frame_bytes(self) -> int:
        return min(frames.MAX_FRAME_BYTES, self._pace.message_bytes)

    def _frame(self, lane: Lane, side: LaneSide, now_s: float) -> Message:
        if not side.flights:
            side.waiting_since_s = now_s
        payload, taken, side.offered = self._packed(side)
        side.next_seq += taken
        self._record_bytes += (len(payload) / taken - self._record_bytes) / 4
        self._pace.sent(len(payload), now_s)
        side.flights.append(Flight(side.next_seq - 1, len(payload), now_s))
        side.pauses_until_s = now_s + PAUSE_S if taken < WORTH_A_FRAME else 0.0
        return Message(topics.up(lane), payload)

    def _packed(self, side: LaneSide) -> tuple[bytes, int, Portion]:
        """A frame of what is offered, how many records are in it, and what is left of the offer."""
        offered = side.offered
        if isinstance(offered, Run):
            whole = offered.addressed(epoch=self._epoch, oldest_seq=side.oldest)
            return whole, offered.count, ()
        # About as much as the link is to have of one message; what is urgent waits for its end.
        most = max(1, int(self._frame_bytes() / self._record_bytes))
        payload, taken = frames.pack(
            offered[:most],
            epoch=self._epoch,
            oldest_seq=side.oldest,
            codec=self._codec,
            coalesce=self._coalesce,
        )
        return payload, taken, offered[taken:]

    def _hello(self) -> Message:
        hello = Hello(
            boot=self._boot,
            nonce=self._nonce,
            lanes={lane: (side.oldest, side.newest) for lane, side in self._lanes.items()},
            codecs=list(self._codecs),
            version=self._version,
            orders=self.orders,
            first=self._first,
            run=self._run,
        )
        return Message(topics.up(Lane.CONTROL), frames.encode_hello(hello, epoch=self._epoch))

    def _note_round_trip(self, took_s: float) -> None:
        """Smooth the round trip as RFC 6298 section 2 does for TCP."""
        if self._srtt_s is None:
            self._srtt_s, self._rttvar_s = took_s, took_s / 2
        else:
            self._rttvar_s += (abs(self._srtt_s - took_s) - self._rttvar_s) / 4
            self._srtt_s += (took_s - self._srtt_s) / 8

    def _rto_s(self) -> float:
        base_s = RTO_MIN_S if self._srtt_s is None else self._srtt_s + 4 * self._rttvar_s
        return min(RTO_MAX_S, max(RTO_MIN_S, base_s) * self._backoff)
