"""Messages of events over MQTT: heard for event handlers, published for EVENT tasks.

A connection of its own, because its session must outlive it: what is sent while the device is down
waits at the broker. The uplink's session must not, for its protocol begins anew each time. What a
message does is decided by whoever takes it; nothing of the engine is known here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from sync import topics
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
    Subscribed,
    Taken,
    Unsubscribed,
)
from sync.publishing import Publications, Publisher

SESSION_S = 7 * 86_400
"""How long the broker keeps messages for a device that is down; it has limits of its own too."""

AT_ONCE = 50
"""Messages that are handed over together."""

WAITING = 1_000
"""Messages in memory. The broker holds back those with QoS 1 long before; of the others, which
nobody has promised to deliver, no more are taken."""

RETRY_S = 1.0

_log = structlog.get_logger("sync.event_link")


class Inbox(Protocol):
    """What handlers listen to, and where their messages go: the engine's store keeps it."""

    async def filters(self) -> Sequence[str]:
        """The topics, with wildcards, that handlers listen to now."""
        ...

    async def subscribed(self) -> Sequence[str]:
        """What the session at the broker is subscribed to, as far as is known."""
        ...

    async def note_subscribed(self, filters: Sequence[str]) -> None:
        """Keep that, durably. Raises NotTaken."""
        ...

    async def begin_session(self) -> None:
        """The broker has nothing from before: whatever it sends again, it sends in this session.

        Raises:
            NotTaken: not now; it is asked for again on the next connection.
        """
        ...

    async def take(self, messages: Sequence[Received]) -> None:
        """Act on messages; durable when it returns.

        Raises:
            NotTaken: try again later.
        """
        ...


class EventLinkStatus(msgspec.Struct, frozen=True):
    """What a person sees of it."""

    broker: str
    connected: bool
    reason: str
    """Why it is not connected; empty when it is, or need not be."""
    filters: list[str]
    """What is listened to."""
    received: int
    """Messages since the start, those that came again among them."""
    dropped: int
    """Messages that were too large, or too many."""


class EventLink:
    """Connects when there is anything to hear or to publish, and stays connected from then on.

    Args:
        broker: where to connect.
        client_id: the session's name at the broker; the same after each restart.
        inbox: takes what is heard.
        publications: what is to be published; None when somebody else publishes it.
        chance: draws the jitter between attempts.
        max_bytes: of a message; larger ones are dropped.
        per_s: messages that are taken in a second; the broker keeps the rest.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        client_id: str,
        inbox: Inbox,
        publications: Publications | None,
        chance: Chance,
        max_bytes: int,
        per_s: float,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._inbox = inbox
        self._publisher = None if publications is None else Publisher(publications)
        self._max_bytes = max_bytes
        self._pace = _Pace(per_s)
        self._backoff = Backoff(chance)
        self._news = asyncio.Event()
        self._dialect = Dialect(broker)
        self._arrived: deque[Received] = deque()
        self._filters_changed = True
        self._wanted: set[str] = set()
        self._asked: set[str] = set()
        """Filters of this connection for which the broker has been asked, or has refused."""
        self._subscribed: set[str] = set()
        """What the session at the broker is subscribed to."""
        self._noted: set[str] = set()
        """What is kept of that; they differ when the disk has refused."""
        self._begun = True
        """Whether it is kept that the session has begun."""
        self._retry_at_s = 0.0
        self._connected = False
        self._reason = ""
        self._received = 0
        self._dropped = 0

    def wake(self) -> None:
        """Something may be waiting to be published. A hint."""
        if self._publisher is not None:
            self._publisher.wake()
            self._news.set()

    def filters_changed(self) -> None:
        """Handlers have come or gone."""
        self._filters_changed = True
        self._news.set()

    def status(self) -> EventLinkStatus:
        """What a person sees of it."""
        return EventLinkStatus(
            self._broker.address,
            self._connected,
            self._reason,
            sorted(self._subscribed),
            self._received,
            self._dropped,
        )

    async def run(self) -> None:
        """Connect when there is a reason to, carry, and connect again, until cancelled."""
        self._subscribed = self._noted = set(await self._inbox.subscribed())
        while True:
            self._news.clear()
            if not await self._needed():
                self._reason = ""
                await self._news.wait()
                continue
            try:
                await self._converse()
            except LinkError as error:
                self._reason = str(error)
                _log.info("broker_awaited", broker=self._broker.address, reason=self._reason)
            self._connected = False
            # What was not settled comes again; what was offered in vain is offered by the broker.
            self._arrived.clear()
            if self._publisher is not None:
                self._publisher.disconnected()
            await asyncio.sleep(self._backoff.next_s())

    async def _needed(self) -> bool:
        """Whether anybody listens, listened, or has something to publish."""
        self._wanted = set(await self._inbox.filters())
        if self._wanted or self._subscribed:
            return True
        return self._publisher is not None and await self._publisher.waits()

    async def _converse(self) -> None:
        """One connection, from its opening to its loss."""
        link = Link(
            self._broker,
            client_id=self._client_id,
            dialect=self._dialect,
            on_news=self._news.set,
            session_s=SESSION_S,
        )
        await link.open()
        try:
            if not link.resumed:
                self._begun, self._subscribed = False, set()
            # When the disk refuses, it is kept on the next connection, which resumes this session.
            if not self._begun:
                await self._inbox.begin_session()
                self._begun = True
            await self._keep_subscribed(self._subscribed)
            self._connected, self._reason = True, ""
            self._filters_changed = True
            self._asked = set()
            self._backoff.reset()
            _log.info("events_connected", broker=self._broker.address, resumed=link.resumed)
            await self._carry(link)
        finally:
            await link.close()

    async def _carry(self, link: Link) -> None:
        """Everything that happens on one connection, one thing at a time."""
        while True:
            self._news.clear()
            for event in link.news():
                match event:
                    case Lost():
                        self._reason = f"connection lost: {event.reason}"
                        _log.info("broker_awaited", reason=self._reason)
                        return
                    case Received():
                        self._accept(link, event)
                    case Subscribed():
                        await self._note_subscribed(event)
                    case Unsubscribed():
                        await self._keep_subscribed(self._subscribed - set(event.filters))
                        # A handler may have come for one of them meanwhile.
                        self._filters_changed = True
                    case Taken():
                        if self._publisher is not None:
                            self._publisher.note(event)
            await self._keep_filters(link)
            if self._publisher is not None and await self._publisher.keep(link):
                self._news.set()
            await self._sleep(await self._take(link))

    async def _sleep(self, pause_s: float | None) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            # It is time for the messages that wait.
            return

    # What is listened to.

    async def _keep_filters(self, link: Link) -> None:
        """Ask the broker for what handlers listen to, and for no more than that.

        A filter that the session has already is not asked for again: the broker would send all
        that it retains there once more.
        """
        if not self._filters_changed:
            return
        self._filters_changed = False
        self._wanted = set(await self._inbox.filters())
        new = sorted(self._wanted - self._subscribed - self._asked)
        gone = sorted(self._subscribed - self._wanted)
        self._asked = (self._asked & self._wanted) | set(new)
        if new:
            link.subscribe(new)
        if gone:
            link.unsubscribe(gone)

    async def _note_subscribed(self, answer: Subscribed) -> None:
        for topic_filter, reason in answer.refused:
            _log.error("subscription_refused", filter=topic_filter, reason=reason)
        await self._keep_subscribed(self._subscribed | set(answer.filters))

    async def _keep_subscribed(self, filters: set[str]) -> None:
        self._subscribed = filters
        if filters != self._noted:
            await self._inbox.note_subscribed(sorted(filters))
            self._noted = filters

    # What is heard.

    def _accept(self, link: Link, message: Received) -> None:
        """Keep a message for the next hand-over, or drop one that must not be kept."""
        if topics.reserved(message.topic):
            # A filter such as `#` hears the history of all devices.
            link.settle(message)
            return
        self._received += 1
        if len(message.payload) > self._max_bytes:
            self._drop(link, message, f"it has more than {self._max_bytes} bytes")
        elif message.qos == 0 and len(self._arrived) >= WAITING:
            self._drop(link, message, f"{WAITING} messages wait")
        else:
            self._arrived.append(message)

    def _drop(self, link: Link, message: Received, reason: str) -> None:
        self._dropped += 1
        _log.warning("message_dropped", topic=message.topic, reason=reason)
        link.settle(message)

    async def _take(self, link: Link) -> float | None:
        """Hand over what the pace allows; returns seconds until there is more to do.

        The broker is told of a message only when what it does is on the disk: after a power cut it
        sends the message again.
        """
        now_s = _monotonic_s()
        if not self._arrived:
            return None
        wait_s = max(self._retry_at_s - now_s, self._pace.wait_s(now_s))
        if wait_s > 0:
            return wait_s
        count = min(len(self._arrived), AT_ONCE, self._pace.allowed(now_s))
        batch = [self._arrived[place] for place in range(count)]
        try:
            await self._inbox.take(batch)
        except NotTaken as error:
            _log.warning("messages_postponed", reason=str(error))
            self._retry_at_s = now_s + RETRY_S
            return RETRY_S
        self._pace.spend(count)
        for message in batch:
            self._arrived.popleft()
            link.settle(message)
        return 0 if self._arrived else None


class _Pace:
    """So many in a second, and as many at once after a pause."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = max(1.0, per_s)
        self._at_s = 0.0

    def _refill(self, now_s: float) -> None:
        grown = self._left + (now_s - self._at_s) * self._per_s
        self._left = min(max(1.0, self._per_s), grown)
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more is allowed."""
        self._refill(now_s)
        return 0.0 if self._left >= 1 else (1 - self._left) / self._per_s

    def allowed(self, now_s: float) -> int:
        """How many may be taken now."""
        self._refill(now_s)
        return int(self._left)

    def spend(self, count: int) -> None:
        """So many were taken."""
        self._left -= count


def _monotonic_s() -> float:
    """The loop's own time, which a simulated loop may hold."""
    return asyncio.get_running_loop().time()
