"""The ingest: hears every device over MQTT, commits to the ledger, then acknowledges.

No rule of the protocol stands here (see `sync.receiver`) and no SQL. A database that cannot be
written pauses the acknowledgements and loses nothing: devices keep what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import structlog

from sync import frames, orders, receiver, topics
from sync.control_plane.ledger import DEFAULT_TENANT, Ledger, LedgerUnavailable
from sync.control_plane.orders import Outbound
from sync.control_plane.truth import Presence
from sync.control_plane.turns import Turns
from sync.frames import Announcement
from sync.identity import OrderKey
from sync.link import (
    Backoff,
    Broker,
    Chance,
    Dialect,
    Link,
    LinkError,
    Lost,
    Received,
    Wire,
    Wiring,
)
from sync.receiver import Arrival
from sync.records import Count, Lane
from sync.topics import Address

# Frames committed in one transaction: they share an fsync, and the first of them waits for the
# last. At 500 records each this is some 30,000 records, 50 ms of work.
ROUND_FRAMES = 64
# What may wait in memory while the database does not take it. A broker stops at some 20 for a
# client that settles nothing; beyond this the oldest are let go, unacknowledged.
WAITING_FRAMES = 1_024
# Records of one step, and of many small segments as many: what comes meanwhile waits for some 15 ms.
PROJECTION_RECORDS = frames.MAX_RECORDS
# Between two looks for orders that were given elsewhere, or that have to be sent again.
ORDERS_EVERY_S = 1.0
# Between two announcements of one connection. Some 50 bytes a minute for each device, and one that
# has nothing to send hears within two of them that the ledger was put back, whatever was lost.
ANNOUNCE_EVERY_S = 60.0
_DATABASE_RETRY_S = 1.0

_log = structlog.get_logger("sync.ingest")


class _PresenceBody(msgspec.Struct, frozen=True):
    """A presence message, as `docs/sync-protocol.md` describes it."""

    state: str
    epoch: Count
    boot: Count
    session: Count
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""


_PRESENCE = msgspec.json.Decoder(_PresenceBody)


class Presences:
    """What waits to be noted of who is there: the last word of each device, in either sense.

    While the ledger cannot be written a device may come and go many times; no more is kept of that.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[bool, Address], Presence] = {}

    def __len__(self) -> int:
        return len(self._last)

    def add(self, presence: Presence) -> None:
        """Keep it, unless a newer connection has said the same."""
        sense = presence.online, presence.address
        known = self._last.get(sense)
        if known is None or _place(presence) >= _place(known):
            self._last.pop(sense, None)
            self._last[sense] = presence

    def all(self) -> list[Presence]:
        """In the order in which they came, but the end of a connection after its beginning."""
        return sorted(self._last.values(), key=self._ends_what_began)

    def _ends_what_began(self, presence: Presence) -> bool:
        birth = self._last.get((True, presence.address))
        return not presence.online and birth is not None and _place(birth) == _place(presence)

    def clear(self) -> None:
        """All of them are noted."""
        self._last.clear()


def _place(presence: Presence) -> tuple[int, int, int]:
    return presence.epoch, presence.boot, presence.session


class Hears(enum.Flag):
    """What an ingest listens to. One process of a control plane hears who is there."""

    FRAMES = enum.auto()
    PRESENCE = enum.auto()
    ALL = FRAMES | PRESENCE


class IngestStatus(msgspec.Struct, frozen=True):
    """How the ingest is doing."""

    connected: bool
    broker: str
    reason: str
    """Why it is not connected, or why it pauses; empty when all is well."""
    frames: int
    """Since the start."""
    records: int
    waiting: int
    """Messages received and not committed yet."""


class Ingest:
    """Brings what devices send into the ledger for as long as `run` runs."""

    def __init__(
        self,
        *,
        broker: Broker,
        ledger: Ledger,
        now_ms: Callable[[], int],
        chance: Chance,
        tenants: Sequence[str] = (DEFAULT_TENANT,),
        client_id: str = "",
        hears: Hears = Hears.ALL,
        group: str = "",
        wiring: Wiring = Link,
        order_key: OrderKey | None = None,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            broker: where to connect.
            ledger: where to commit; it stays the caller's to close.
            now_ms: the wall clock.
            chance: draws the jitter between attempts, usually a seeded `random.Random`.
            tenants: whose devices are told that a control plane has begun to listen.
            client_id: empty lets the broker choose.
            hears: what of the devices is this ingest's affair.
            group: of ingesters that share the frames (``$share``); empty = it hears all of them.
            wiring: makes the connections.
            order_key: signs orders; None = somebody else sends them.
        """
        self._broker = broker
        self._wiring = wiring
        self._ledger = ledger
        self._now_ms = now_ms
        self._backoff = Backoff(chance)
        self._tenants = tuple(tenants)
        self._client_id = client_id
        self._hears = hears
        self._filters = []
        if Hears.FRAMES in hears:
            self._filters.append(topics.every_up(group))
        if Hears.PRESENCE in hears:
            self._filters.append(topics.every_presence())
        self._news = asyncio.Event()
        self._frames_waiting: deque[tuple[Arrival, Received]] = deque()
        self._presence_waiting = Presences()
        self._dialect = Dialect(broker)
        self._connected = False
        self._told_down = False
        self._paused = False
        self._reason = ""
        self._frames = 0
        self._records = 0
        self._turns = Turns()
        self._order_key = order_key
        self._link: Wire | None = None
        """Set while it is open."""
        self._orders_wanted = True
        """Whether somebody may have an order that is due."""
        self._orders_wait = False
        """Whether some wait for room in a device's line, as of the last look."""
        self._looked_s = -math.inf
        self._announcement, self._announced_s = b"", 0.0
        self._greeted: set[Address] = set()
        ledger.on_orders.append(self._want_orders)
        if order_key is not None:
            ledger.sender = self

    @property
    def key_id(self) -> bytes | None:
        """Of the key that signs orders; None = none can be sent just now."""
        key = self._order_key
        return None if key is None or self._link is None else key.key_id

    def send(self, outbound: Outbound) -> None:
        """Sign and send orders that are noted as sent. Without a connection they are sent again."""
        link, key, waiting = self._link, self._order_key, outbound.orders
        if link is None or key is None:
            return
        while waiting:
            payload, taken = orders.encode(
                outbound.address,
                outbound.epoch,
                waiting,
                sent_ms=self._now_ms(),
                key=key.key_id,
                sign=key.sign,
            )
            link.publish(outbound.address.topic(topics.DOWN), payload)
            waiting = waiting[taken:]

    def _want_orders(self) -> None:
        self._orders_wanted = True
        self._news.set()

    def status(self) -> IngestStatus:
        """How it is doing."""
        return IngestStatus(
            connected=self._connected,
            broker=self._broker.address,
            reason=self._reason,
            frames=self._frames,
            records=self._records,
            waiting=len(self._frames_waiting),
        )

    async def run(self) -> None:
        """Listen, commit and acknowledge, until cancelled."""
        while True:
            try:
                await self._listen()
            except LinkError as error:
                self._reason = str(error)
            except LedgerUnavailable as error:
                self._note_paused(error)
            self._note_down()
            await asyncio.sleep(self._backoff.next_s())

    async def _listen(self) -> None:
        """One connection, from its opening to its loss."""
        # Without the broker nothing is known of any device; the retained births say it anew.
        await self._note_unknown()
        link = self._wiring(
            self._broker,
            client_id=self._client_id,
            dialect=self._dialect,
            on_news=self._news.set,
        )
        await link.open()
        try:
            link.subscribe(self._filters)
            self._link = link
            self._note_up()
            self._announcement = frames.encode_announcement(Announcement(self._now_ms()))
            self._announce(link)
            await self._serve(link)
        finally:
            self._link = None
            # What was not settled is lost with the connection; devices send it again.
            self._frames_waiting.clear()
            self._presence_waiting.clear()
            await link.close()
            self._connected = False
        await self._note_unknown()

    def _announce(self, link: Wire) -> None:
        """Say since when we listen; the same each time, as who has heard it has nothing to do."""
        self._announced_s = _loop_s()
        for tenant in self._tenants:
            link.publish(topics.server(tenant), self._announcement, retain=True)

    def _announces_in_s(self) -> float | None:
        """Of ingesters that share a ledger one is enough to repeat it; None = another one does."""
        if Hears.PRESENCE not in self._hears:
            return None
        return max(0.0, self._announced_s + ANNOUNCE_EVERY_S - _loop_s())

    async def _note_unknown(self) -> None:
        """Who does not hear of connections has nothing to say of them either."""
        if Hears.PRESENCE in self._hears:
            await self._ledger.note_broker_lost()

    async def _serve(self, link: Wire) -> None:
        busy = True
        while True:
            if not busy:
                await self._sleep()
            self._news.clear()
            for event in link.news():
                if isinstance(event, Lost):
                    self._reason = f"connection to {self._broker.address} lost: {event.reason}"
                    return
                if isinstance(event, Received):
                    self._sort(link, event)
            if self._announces_in_s() == 0.0:
                self._announce(link)
            busy = await self._work(link)

    async def _sleep(self) -> None:
        """Until there is news, or time for something that comes again and again."""
        waits = (
            self._turns.wait_s(_loop_s()),
            None if self._order_key is None else ORDERS_EVERY_S,
            self._announces_in_s(),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(
                min((one for one in waits if one is not None), default=None)
            ):
                await self._news.wait()

    def _shall_look(self) -> bool:
        """Whether somebody may have an order that is due, by what is known here or by the time."""
        by_time = _loop_s() >= self._looked_s + ORDERS_EVERY_S
        return by_time or self._orders_wanted or bool(self._greeted)

    async def _send_orders(self, key: OrderKey) -> None:
        """Send what is due; that it was sent is on the disk by then."""
        greeted, self._greeted = self._greeted, set()
        self._orders_wanted, self._looked_s = False, _loop_s()
        # A look keeps nobody waiting; a transaction keeps whoever writes.
        self._orders_wait = bool(greeted) or await self._ledger.orders_wait(key_id=key.key_id)
        if not self._orders_wait:
            return
        for outbound in await self._ledger.due_orders(key_id=key.key_id, greeted=greeted):
            self.send(outbound)

    async def _work(self, link: Wire) -> bool:
        """One step of what waits; False when nothing does."""
        try:
            if self._presence_waiting:
                await self._ledger.note_presence(self._presence_waiting.all())
                self._presence_waiting.clear()
            if self._frames_waiting:
                await self._commit(link)
            if self._order_key is not None and self._shall_look():
                await self._send_orders(self._order_key)
            done = 0
            began_s = _loop_s()
            if self._turns.may_step(began_s):
                done = await self._ledger.project(limit=ROUND_FRAMES, records=PROJECTION_RECORDS)
                more_waits = bool(self._frames_waiting)
                self._turns.stepped(done, began_s, _loop_s(), more_waits=more_waits)
        except LedgerUnavailable as error:
            self._note_paused(error)
            await asyncio.sleep(_DATABASE_RETRY_S)
            return True
        self._note_resumed()
        # What devices have told of their orders makes room for others.
        self._orders_wanted = self._orders_wanted or (bool(done) and self._orders_wait)
        return bool(done or self._frames_waiting)

    def _sort(self, link: Wire, message: Received) -> None:
        """Put a message where it waits for the next step."""
        arrival = receiver.read(message.topic, message.payload, received_ms=self._now_ms())
        if arrival is not None:
            self._frames_waiting.append((arrival, message))
            if len(self._frames_waiting) > WAITING_FRAMES:
                link.settle(self._frames_waiting.popleft()[1])
            return
        presence = _read_presence(message)
        if presence is not None:
            self._presence_waiting.add(presence)
        link.settle(message)

    async def _commit(self, link: Wire) -> None:
        count = min(ROUND_FRAMES, len(self._frames_waiting))
        records = self._records
        batch = [self._frames_waiting[index] for index in range(count)]
        arrivals = [arrival for arrival, _ in batch]
        try:
            outgoing = await self._ledger.commit(arrivals)
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the rim: one message must not stop the rest.
            outgoing = await self._commit_singly(arrivals, error)
        # Committed: only now may anything be said, to the devices and to the broker.
        for message in outgoing:
            link.publish(message.topic, message.payload)
        for arrival, received in batch:
            link.settle(received)
            self._frames += 1
            self._records += arrival.frame.header.count if arrival.frame else 0
            if arrival.frame is not None and arrival.frame.hello is not None:
                self._greeted.add(arrival.address)
            elif arrival.header is not None and arrival.header.lane is Lane.CONTROL:
                # What it tells of orders makes room for those that wait.
                self._orders_wanted = self._orders_wanted or self._orders_wait
        for _ in range(count):
            self._frames_waiting.popleft()
        self._turns.stored(self._records - records, _loop_s())

    async def _commit_singly(
        self, arrivals: Sequence[Arrival], error: Exception
    ) -> list[receiver.Outgoing]:
        """Find the message that a defect of ours trips over; the others are stored."""
        _log.error("round_failed", error=f"{type(error).__name__}: {error}", frames=len(arrivals))
        outgoing = []
        for arrival in arrivals:
            try:
                outgoing += await self._ledger.commit([arrival], only=True)
            except LedgerUnavailable:
                raise
            except Exception as one:  # noqa: BLE001 - the rim, as above.
                _log.error(
                    "message_set_aside",
                    topic=arrival.topic,
                    error=f"{type(one).__name__}: {one}",
                )
        return outgoing

    def _note_up(self) -> None:
        self._connected = True
        self._told_down = False
        self._reason = ""
        self._backoff.reset()
        _log.info("ingest_connected", broker=self._broker.address)

    def _note_down(self) -> None:
        if not self._told_down:
            self._told_down = True
            _log.info("broker_awaited", broker=self._broker.address, reason=self._reason)

    def _note_paused(self, error: LedgerUnavailable) -> None:
        self._reason = str(error)
        if not self._paused:
            self._paused = True
            _log.error("ledger_unavailable", reason=str(error))

    def _note_resumed(self) -> None:
        if self._paused:
            self._paused = False
            self._reason = ""
            _log.info("ledger_available")


def _loop_s() -> float:
    """The loop's own time, which a simulated loop may hold."""
    return asyncio.get_running_loop().time()


def _read_presence(message: Received) -> Presence | None:
    """What a presence message says; None when it says nothing that can be read."""
    place = topics.parse(message.topic)
    if place is None or place[1] != topics.PRESENCE:
        return None
    try:
        body = _PRESENCE.decode(message.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Presence(
        address=place[0],
        online=body.state == "online",
        epoch=body.epoch,
        boot=body.boot,
        session=body.session,
        version=body.version,
    )
