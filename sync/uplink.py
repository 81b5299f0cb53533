"""The uplink: drives the session over MQTT and publishes what workflows publish.

No protocol rule stands here (see `session`) and nothing of the engine is known: records come from
an Outbox and cursors go back to it. A broker that is down is not an error; history waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from sync import frames, topics
from sync.announcements import Announcements
from sync.clock_watch import ClockWatch
from sync.evidence_files import NAMING, Folders, with_contents
from sync.frames import FrameError
from sync.identity import Identity
from sync.link import (
    Backoff,
    Broker,
    Chance,
    Dialect,
    Link,
    LinkError,
    Lost,
    NotTaken,
    Received,
    Taken,
    Will,
    Wire,
    Wiring,
)
from sync.link_log import LinkLog, LinkState
from sync.order_desk import OrderDesk
from sync.orders import Order, OrdersUnreadable, Verify
from sync.pace import Pace
from sync.publishing import Publications, Publisher
from sync.records import ClockRecord, Lane
from sync.runs import Portion, Run, records_of
from sync.session import Session, State

# What is read from the outbox at once. Text compresses some five times, so that this fills a frame
# of at most 100 KB; what does not compress is sent in more than one.
READ_BYTES = 400_000
WILL_DELAY_S = 10
EPOCH_EVERY_S = 60.0
"""Between two new epochs: two devices under one name would else begin them in turns, at once."""
LOOK_EVERY_S = 1.0
"""While there is no connection: how often the outbox is asked at most how much waits."""
ASK_AGAIN_S = 5.0
"""Between two hellos because of orders that have been dealt with already."""

_log = structlog.get_logger("sync.uplink")


class Outbox(Protocol):
    """The device's history as the uplink needs it: the engine's store keeps it."""

    @property
    def epoch(self) -> int:
        """The lineage of this database, from 1."""
        ...

    async def cursors(self) -> Mapping[Lane, int]:
        """How far each lane was acknowledged, durably."""
        ...

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        """The oldest and newest sequence held in each lane; (newest + 1, newest) when empty."""
        ...

    async def look(
        self, after: Mapping[Lane, int]
    ) -> tuple[Mapping[Lane, tuple[int, int]], Mapping[Lane, Portion]]:
        """The bounds; and of lanes in which little stands behind a sequence, those records.

        Args:
            after: a sequence of each lane in question.
        """
        ...

    async def read(self, lane: Lane, after_seq: int, limit: int, max_bytes: int) -> Portion:
        """The next records in order; at least one if there is one, whatever its size."""
        ...

    async def acknowledge(self, epoch: int, cursors: Mapping[Lane, int]) -> None:
        """Move the cursors durably, never backwards; what is behind them may be pruned.

        Raises:
            NotTaken: not now.
        """
        ...


class Chronicle(Protocol):
    """What the device keeps of its lineage and its clock, as the uplink needs it."""

    async def first(self) -> Mapping[Lane, int]:
        """With which sequence the epoch begins, by lane."""
        ...

    async def begin_epoch(self, above: int) -> None:
        """Begin a new epoch, above this one and our own, durably; `Outbox.epoch` is it then.

        Raises:
            NotTaken: not now.
        """
        ...

    def jumps(self) -> Sequence[tuple[int, int, int]]:
        """(from, to, since) of the jumps that the wall clock has made."""
        ...

    async def note_clock(self, seen: ClockRecord) -> None:
        """Write a record of the clock, durably. Raises NotTaken."""
        ...


class Orders(Protocol):
    """What the device is ordered, as the uplink needs it: the engine carries it out."""

    async def position(self) -> tuple[int, str]:
        """Place and id of the last order that was dealt with; (0, "") before the first."""
        ...

    async def carry_out(self, given: Sequence[Order], server_ms: int) -> tuple[int, str]:
        """Deal with orders in their line, durably; returns what `position` says then.

        Raises:
            NotTaken: not now.
        """
        ...


class UplinkStatus(msgspec.Struct, frozen=True):
    """How far the history has come."""

    state: str
    """One of LinkState's values."""
    broker: str
    reason: str
    """Why it waits or has halted; empty when all is well."""
    synced_to: dict[str, int]
    """The last acknowledged sequence, by lane name."""
    backlog: dict[str, int]
    """Records not acknowledged yet, by lane name, as of the last look."""
    last_ack_ms: int
    """Wall clock of the last acknowledgement; 0 before the first."""
    last_connected_ms: int
    """0 before the first connection."""
    records_sent: int
    """Since the start, including what was sent again."""
    frames_sent: int
    bytes_sent: int


class Uplink:
    """Carries the outbox to the control plane for as long as `run` runs."""

    def __init__(
        self,
        *,
        broker: Broker,
        identity: Identity,
        outbox: Outbox,
        publications: Publications | None,
        folders: Folders,
        boot: int,
        version: str,
        now_ms: Callable[[], int],
        chance: Chance,
        wiring: Wiring = Link,
        chronicle: Chronicle | None = None,
        run_id: bytes = b"",
        cap_bytes_per_s: float = 0.0,
        orders: Orders | None = None,
        order_keys: Mapping[bytes, Verify] | None = None,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            broker: where to connect.
            identity: who we are.
            outbox: the history.
            publications: what workflows publish; None when nothing does.
            folders: where the files are that records name.
            boot: the present boot's number.
            version: this release, shown in the control plane.
            now_ms: the wall clock, which never steps back.
            chance: draws the jitter between attempts, usually a seeded `random.Random`.
            wiring: makes the connections.
            chronicle: begins epochs and notes the clock; None = a history that is refused halts.
            run_id: drawn anew by each run of the program, up to 16 bytes.
            cap_bytes_per_s: what may be sent in the long run, but for what is urgent; 0 = no cap.
            orders: carries out what is ordered; None = no orders are taken.
            order_keys: whose orders are obeyed, by the ids of their keys.
        """
        self._broker = broker
        self._wiring = wiring
        self._orders = orders
        self._order_keys = order_keys or {}
        self._desk: OrderDesk | None = None
        self._chronicle = chronicle
        self._run_id = run_id
        self._pace = Pace(cap_bytes_per_s=cap_bytes_per_s)
        self._sent: dict[int, tuple[int, float]] = {}
        """Size and time of the frames that the broker does not have yet, by their tickets."""
        self._epoch_begun_s = -EPOCH_EVERY_S
        self._clock, self._announcements = ClockWatch(), Announcements()
        self._asked_s = 0.0
        """When a hello was last sent because of an order that was behind us."""
        self._identity = identity
        self._outbox = outbox
        self._publisher = None if publications is None else Publisher(publications)
        self._folders = folders
        self._boot = boot
        self._version = version
        self._now_ms = now_ms
        self._backoff = Backoff(chance)
        self._session: Session | None = None
        self._news = asyncio.Event()
        self._records_waiting = True
        self._dialect = Dialect(broker)
        self._unkept: dict[Lane, int] = {}
        """Cursors that have moved and are not durable yet."""
        self._log = LinkLog(broker.address, identity.device)
        self._connected, self._reason = False, ""
        self._last_ack_ms = self._last_connected_ms = self._last_session = 0
        self._records_sent = self._frames_sent = self._bytes_sent = 0

    def wake(self) -> None:
        """Rows may be waiting. A hint, on the loop's own thread; losing one costs only time."""
        self._records_waiting = True
        if self._publisher is not None:
            self._publisher.wake()
        self._news.set()

    def status(self) -> UplinkStatus:
        """How far the history has come."""
        session = self._session
        acked = session.acked() if session else {}
        backlog = session.backlog() if session else {}
        return UplinkStatus(
            state=self._state().value,
            broker=self._broker.address,
            reason=self._reason,
            synced_to={lane.name.lower(): acked.get(lane, 0) for lane in Lane},
            backlog={lane.name.lower(): backlog.get(lane, 0) for lane in Lane},
            last_ack_ms=self._last_ack_ms,
            last_connected_ms=self._last_connected_ms,
            records_sent=self._records_sent,
            frames_sent=self._frames_sent,
            bytes_sent=self._bytes_sent,
        )

    async def run(self) -> None:
        """Connect, carry, and connect again, until cancelled; then say goodbye."""
        session = await self._new_session()
        while True:
            try:
                if await self._begin_epoch(session):
                    session = await self._new_session()
                await self._converse(session)
            except LinkError as error:
                self._reason = str(error)
            self._connected = False
            session.disconnected(_monotonic_s())
            if self._publisher is not None:
                self._publisher.disconnected()
            self._log.tell(self._state(), self._reason, _monotonic_s())
            await self._pause(session, self._backoff.next_s())

    async def _pause(self, session: Session, pause_s: float) -> None:
        """Wait before the next try; what is committed meanwhile counts as backlog, and is told so."""
        until_s = _monotonic_s() + pause_s
        while (left_s := until_s - _monotonic_s()) > 0:
            if self._records_waiting:
                self._records_waiting = False
                session.note_bounds(await self._outbox.bounds())
                await asyncio.sleep(min(left_s, LOOK_EVERY_S))
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._news.wait()

    async def _new_session(self) -> Session:
        """What is said from now on, over any number of connections."""
        outbox, chronicle = self._outbox, self._chronicle
        session = Session(
            epoch=outbox.epoch,
            boot=self._boot,
            version=self._version,
            acked=await outbox.cursors(),
            first=None if chronicle is None else await chronicle.first(),
            run=self._run_id,
            pace=self._pace,
        )
        session.note_bounds(await outbox.bounds())
        self._session = session
        if self._orders is not None and self._order_keys:
            self._desk = OrderDesk(self._identity.address, outbox.epoch, self._order_keys)
            self._desk.note(*await self._orders.position())
            session.orders = self._desk.position()
        return session

    async def _begin_epoch(self, session: Session) -> bool:
        """Begin a new epoch where this history is refused, and not for a while after that again."""
        if not self._epoch_due(session) or self._chronicle is None:
            return False
        _log.warning("epoch_begins", above=session.live_epoch, reason=session.halted_because)
        await self._chronicle.begin_epoch(session.live_epoch)
        self._epoch_begun_s = _monotonic_s()
        self._unkept = {}
        return True

    def _epoch_due(self, session: Session) -> bool:
        refused = bool(session.halted_because) and self._chronicle is not None
        return refused and _monotonic_s() >= self._epoch_begun_s + EPOCH_EVERY_S

    async def _converse(self, session: Session) -> None:
        """One connection, from birth to loss."""
        # The clock never steps back, so that a will of an older connection has a smaller number.
        self._last_session = max(self._last_session + 1, self._now_ms())
        session_no = self._last_session
        address = self._identity.address
        link = self._wiring(
            self._broker,
            client_id=f"baton-{address.tenant}-{address.device}",
            dialect=self._dialect,
            on_news=self._news.set,
            will=Will(
                address.topic(topics.PRESENCE),
                self._presence("offline", session_no),
                delay_s=WILL_DELAY_S,
            ),
        )
        await link.open()
        try:
            heard = [address.topic(topics.ACK), topics.server(address.tenant)]
            if self._desk is not None:
                heard.append(address.topic(topics.DOWN))
            link.subscribe(heard)
            link.publish(
                address.topic(topics.PRESENCE), self._presence("online", session_no), retain=True
            )
            self._connected = True
            self._sent.clear()
            self._announcements.clear()
            self._reason = ""
            self._last_connected_ms = self._now_ms()
            session.note_bounds(await self._outbox.bounds())
            session.connected(_monotonic_s(), nonce=session_no)
            await self._carry(link, session)
        finally:
            await self._part(link, session_no)

    async def _part(self, link: Wire, session_no: int) -> None:
        """Leave in good order where there is still something to leave."""
        if self._connected:
            link.publish(
                self._identity.address.topic(topics.PRESENCE),
                self._presence("offline", session_no),
                retain=True,
            )
        await link.close()

    def _presence(self, state: str, session_no: int) -> bytes:
        return msgspec.json.encode(
            {
                "state": state,
                "epoch": self._outbox.epoch,
                "boot": self._boot,
                "session": session_no,
                "version": self._version,
            }
        )

    async def _carry(self, link: Wire, session: Session) -> None:
        """Everything that happens on one connection, one thing at a time."""
        while True:
            self._news.clear()
            for event in link.news():
                if isinstance(event, Lost):
                    self._connected = False
                    self._reason = f"connection to {self._broker.address} lost: {event.reason}"
                    return
                if isinstance(event, Received):
                    self._receive(session, event)
                    link.settle(event)
                    continue
                if isinstance(event, Taken):
                    self._note_taken(session, event)
            await self._settle_doubts(session)
            session.handle_timer(_monotonic_s())
            await self._obey(session)
            await self._note_clock(session)
            if self._epoch_due(session):
                # On a connection of its own, with a hello of the new epoch.
                return
            if self._publisher is not None and await self._publisher.keep(link):
                self._news.set()
            await self._look(session)
            self._send(link, session)
            await self._feed(link, session)
            # What is waited for goes first: whoever has acknowledged waits for nothing.
            await self._keep_cursors(session)
            self._log.tell(self._state(), self._reason, _monotonic_s())
            await self._sleep(session)

    async def _look(self, session: Session) -> None:
        # What was freed since the last look is news to nobody.
        if not self._records_waiting and not session.looks:
            return
        self._records_waiting = False
        bounds, few = await self._outbox.look(session.acked())
        session.note_bounds(bounds)
        # What one commit has written is sent at once, all lanes together: the control plane takes it
        # in with one commit of its own, too.
        for want in session.wants():
            if want.lane in few:
                session.offer(want.lane, await self._complete(few[want.lane]))

    async def _note_clock(self, session: Session) -> None:
        """Write down how far our clock is behind, when that has been heard and has changed."""
        chronicle, now_s = self._chronicle, _monotonic_s()
        if chronicle is None:
            return
        measured, jumps = session.take_measured(), chronicle.jumps()
        if measured is not None:
            late_ms = int((now_s - measured.heard_s) * 1000)
            seen = self._clock.see(measured, self._now_ms() - late_ms, jumps, now_s)
            if seen is not None:
                try:
                    await chronicle.note_clock(seen)
                except NotTaken:
                    # It has not been said: the next connection measures and says it anew.
                    self._clock = ClockWatch()
                    raise
        elif self._clock.asks(jumps, now_s) and session.state is State.STREAMING:
            session.server_started(now_s)

    async def _sleep(self, session: Session) -> None:
        due_s = session.next_timer()
        if session.state is State.HALTED and self._chronicle is not None:
            due_s = self._epoch_begun_s + EPOCH_EVERY_S
        elif self._chronicle is not None and session.state is State.STREAMING:
            due_s = min(math.inf if due_s is None else due_s, self._clock.due_s)
        if due_s is None:
            await self._news.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, due_s - _monotonic_s())):
                await self._news.wait()
        except TimeoutError:
            # The session's timer is due; the loop above looks at it.
            return

    def _receive(self, session: Session, message: Received) -> None:
        now_s = _monotonic_s()
        if message.topic == topics.server(self._identity.tenant):
            if self._announcements.is_news(message.payload):
                session.server_started(now_s)
            return
        place = topics.parse(message.topic)
        if place is None or place[0] != self._identity.address:
            return
        if place[1] == topics.DOWN:
            self._take_orders(session, message.payload)
            return
        try:
            session.receive(place[1], message.payload, now_s)
        except FrameError as error:
            _log.warning("message_unreadable", topic=message.topic, error=str(error))
            return
        if session.last_ack_s == now_s:
            self._last_ack_ms = self._now_ms()
            self._backoff.reset()
        if session.state is State.HALTED:
            self._reason = session.halted_because

    def _take_orders(self, session: Session, payload: bytes) -> None:
        if self._desk is None:
            return
        try:
            ahead = self._desk.take(payload)
        except OrdersUnreadable as error:
            _log.warning("orders_refused", reason=str(error))
            return
        now_s = _monotonic_s()
        if not ahead and now_s - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = now_s
            session.server_started(now_s)

    async def _obey(self, session: Session) -> None:
        """Have the orders carried out that are next in line."""
        if self._desk is None or self._orders is None:
            return
        ready, server_ms = self._desk.ready(), session.server_ms(_monotonic_s())
        if not ready or server_ms is None:
            return
        try:
            position = await self._orders.carry_out(ready, server_ms)
        except NotTaken as error:
            # They stay, and come again besides.
            _log.warning("orders_postponed", reason=str(error))
            return
        self._desk.note(*position)
        session.orders = self._desk.position()

    async def _settle_doubts(self, session: Session) -> None:
        for lane, seq in session.doubts().items():
            records = records_of(await self._outbox.read(lane, seq - 1, 1, READ_BYTES))
            session.settle(lane, records[0] if records else None, _monotonic_s())
        if session.state is State.HALTED:
            self._reason = session.halted_because

    async def _keep_cursors(self, session: Session) -> None:
        self._unkept |= session.take_durable()
        if self._unkept:
            await self._outbox.acknowledge(session.epoch, self._unkept)
            self._unkept = {}

    async def _feed(self, link: Wire, session: Session) -> None:
        """Hand records over until nothing more is wanted; the windows bound how many."""
        wants, stuck = session.wants(), None
        while wants and wants[0] != stuck:
            # The most pressing lane first, and asked again after each: urgent never waits behind
            # more than the one read that was under way.
            want = wants[0]
            found = await self._outbox.read(want.lane, want.after_seq, want.limit, READ_BYTES)
            if not session.offer(want.lane, await self._complete(found)):
                # The store has pruned or not yet shown what its bounds promised. Where the bounds
                # that it has now lead to another place, that is where to go on: nothing else may
                # happen for long. Else look again when something does, instead of in a circle.
                stuck = want
                session.note_bounds(await self._outbox.bounds())
            self._send(link, session)
            wants = session.wants()

    def _send(self, link: Wire, session: Session) -> None:
        for message in session.to_send(_monotonic_s()):
            self._frames_sent += 1
            self._bytes_sent += len(message.payload)
            self._records_sent += frames.decode_header(message.payload)[0].count
            ticket = link.publish(self._identity.address.topic(message.suffix), message.payload)
            self._sent[ticket] = (len(message.payload), _monotonic_s())

    async def _complete(self, found: Portion) -> Portion:
        """Records with the bytes of the files that evidence records name; a run names none."""
        if isinstance(found, Run) or NAMING.isdisjoint([record.kind for record in found]):
            return found
        return await asyncio.to_thread(with_contents, found, self._folders, READ_BYTES)

    def _note_taken(self, session: Session, taken: Taken) -> None:
        ours = self._publisher is not None and self._publisher.note(taken)
        sent, now_s = self._sent.pop(taken.ticket, None), _monotonic_s()
        if sent is not None:
            session.taken(sent[0], now_s - sent[1], now_s)
        if not ours and taken.unheard:
            session.unheard(_monotonic_s())

    def _state(self) -> LinkState:
        session = self._session
        if session is None or not self._connected:
            return LinkState.WAITING
        if session.state is State.HALTED:
            return LinkState.HALTED
        if session.state is not State.STREAMING:
            return LinkState.GREETING
        return LinkState.SYNCING if any(session.backlog().values()) else LinkState.SYNCED


def _monotonic_s() -> float:
    """The loop's own time, which a simulated loop may hold."""
    return asyncio.get_running_loop().time()
