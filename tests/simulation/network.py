"""A broker and the links to it: messages that are late, lost, doubled, or overtake each other.

What is in a message is not known here. The broker keeps nothing but the last words on topics, and
forgets those too when it is killed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec
from paho.mqtt.client import topic_matches_sub

from sync.link import (
    Broker,
    BrokerUnreachable,
    Dialect,
    LinkEvent,
    Lost,
    Received,
    Subscribed,
    Taken,
    Will,
)
from tests.simulation.loop import MACHINE


class Weather(msgspec.Struct):
    """What the network does to messages; chances from 0 to 1."""

    delay_s: float = 0.05
    """Longest way of a message."""
    drop: float = 0.0
    twice: float = 0.0
    overtake: float = 0.0
    """Messages that do not keep their place in the line."""
    refuse: float = 0.0
    """Connections that are refused."""


@lru_cache(maxsize=4096)
def _matches(pattern: str, topic: str) -> bool:
    return bool(topic_matches_sub(pattern, topic))


class SimBroker:
    """The broker that everybody is connected to.

    Args:
        chance: draws what happens to each message.
        weather: how bad it is; may change at any time.
        note: is told what was delivered, for the trace.
    """

    def __init__(self, chance: random.Random, weather: Weather, note: Callable[..., None]) -> None:
        self.chance = chance
        self.weather = weather
        self.up = True
        self._note = note
        self._links: dict[str, SimLink] = {}
        self._retained: dict[str, bytes] = {}
        self.cut_off: set[str] = set()
        """Hosts whose messages vanish, in both directions."""

    def wiring(self, host: str) -> Callable[..., SimLink]:
        """Makes links from one host; see ``sync.link.Wiring``."""

        def make(
            broker: Broker,
            *,
            client_id: str,
            dialect: Dialect,
            on_news: Callable[[], None],
            will: Will | None = None,
        ) -> SimLink:
            del broker, dialect
            return SimLink(self, host, client_id or host, on_news, will)

        return make

    def kill(self) -> None:
        """The broker dies, with all it has in memory."""
        self.up = False
        self._retained.clear()
        links, self._links = list(self._links.values()), {}
        for link in links:
            link.lose("the broker has gone away")

    def join_again(self, host: str) -> None:
        """A host that was cut off can be reached; what has lost messages meanwhile breaks."""
        self.cut_off.discard(host)
        for link in list(self._links.values()):
            if link.host == host and link.torn:
                link.lose("reset")

    def forget(self, host: str) -> None:
        """What a host has sent and has not arrived yet never does."""
        for link in list(self._links.values()):
            if link.host == host:
                link.lose("reset")

    def enter(self, link: SimLink) -> None:
        """A client has connected; another of its name is thrown out."""
        older = self._links.get(link.client_id)
        if older is not None:
            older.lose("session taken over")
        self._links[link.client_id] = link

    def leave(self, link: SimLink, *, in_good_order: bool) -> None:
        """A connection has ended."""
        if self._links.get(link.client_id) is link:
            del self._links[link.client_id]
            if not in_good_order and link.will is not None and self.up:
                will = link.will
                asyncio.get_running_loop().call_later(
                    will.delay_s, self._speak_will, link.client_id, will
                )

    def _speak_will(self, client_id: str, will: Will) -> None:
        if self.up and client_id not in self._links:
            self.spread(will.topic, will.payload, retain=True)

    def take(self, link: SimLink, ticket: int, topic: str, payload: bytes, retain: bool) -> None:
        """A message has reached the broker."""
        if not self.up or (link.lost and not link.closed):
            return
        if link.host in self.cut_off:
            link.torn = True
            return
        heard = self.spread(topic, payload, retain=retain)
        link.carry(Taken(ticket, unheard=not heard, refused=False))

    def spread(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Send a message to all who listen; whether anybody does."""
        if retain:
            self._retained[topic] = payload
        heard = False
        for link in list(self._links.values()):
            if any(_matches(pattern, topic) for pattern in link.filters):
                heard = True
                self._note("deliver", link.client_id, topic, len(payload))
                link.deliver(topic, payload, retained=False)
        return heard

    def subscribe(self, link: SimLink, filters: Sequence[str]) -> None:
        """A client listens from now on, and hears the last words."""
        if not self.up or link.lost:
            return
        link.filters += filters
        link.carry(Subscribed(tuple(filters)))
        for topic, payload in self._retained.items():
            if any(_matches(pattern, topic) for pattern in filters):
                link.deliver(topic, payload, retained=True)


class SimLink:
    """One connection of one client."""

    def __init__(
        self,
        broker: SimBroker,
        host: str,
        client_id: str,
        on_news: Callable[[], None],
        will: Will | None,
    ) -> None:
        self._broker = broker
        self.host = host
        self.client_id = client_id
        self.will = will
        self.filters: list[str] = []
        self.lost = True
        self._on_news = on_news
        self._news: list[LinkEvent] = []
        self._tickets = 0
        self._last_s = {"up": 0.0, "down": 0.0}
        self._mids = 0
        self.torn = False
        """Whether something has vanished on its way: the connection cannot recover from that."""
        self.closed = False
        """Whether it has ended in good order: what was sent before arrives."""
        self._broken = False
        """Whether it is about to be lost."""
        self._machine = MACHINE.get()

    def _way(self, direction: str, *, droppable: bool = True) -> float | None:
        """When a message arrives that leaves now; None = never.

        A broker may let a message to a slow client fall; on its way to the broker one is only lost
        together with its connection.
        """
        broker, loop = self._broker, asyncio.get_running_loop()
        weather, chance = broker.weather, broker.chance
        if self.host in broker.cut_off:
            self.torn = True
            return None
        if droppable and chance.random() < weather.drop:
            if direction == "up":
                # A connection does not lose a message and live on.
                self._broken = True
                loop.call_later(chance.random() * 3, self.lose, "reset")
            return None
        arrives_s = loop.time() + chance.random() * weather.delay_s
        if chance.random() >= weather.overtake:
            arrives_s = max(arrives_s, self._last_s[direction])
            self._last_s[direction] = arrives_s
        return arrives_s

    async def open(self) -> None:
        """Connect. Raises BrokerUnreachable."""
        broker = self._broker
        await asyncio.sleep(broker.chance.random() * broker.weather.delay_s)
        if self.host in broker.cut_off:
            await asyncio.sleep(5.0)
        refused = broker.chance.random() < broker.weather.refuse
        if not broker.up or refused or self.host in broker.cut_off:
            raise BrokerUnreachable("no broker there")
        self.lost = False
        broker.enter(self)

    def news(self) -> list[LinkEvent]:
        """What has happened since this was last asked."""
        found, self._news = self._news, []
        return found

    def subscribe(self, filters: Sequence[str]) -> None:
        """Listen; the answer comes as a ``Subscribed``."""
        # Part of the connection's beginning: what is lost here ends the connection in MQTT.
        delay_s = self._broker.weather.delay_s * self._broker.chance.random()
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, self._broker.subscribe, self, list(filters))

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        """Send; the ticket returns in a ``Taken`` if the message arrives."""
        self._tickets += 1
        arrives_s = None if self.gone else self._way("up")
        if arrives_s is not None:
            asyncio.get_running_loop().call_at(
                arrives_s,
                self._broker.take,
                self, self._tickets, topic, payload, retain,
            )  # fmt: skip
        return self._tickets

    @property
    def gone(self) -> bool:
        """Whether nothing goes in or out any more."""
        return self.lost or (self._machine is not None and self._machine.dead)

    def settle(self, message: Received) -> None:
        """Nothing is kept for this session, so nothing is to be forgotten."""

    def deliver(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Bring a message to the client, once, twice or not at all."""
        twice = self._broker.chance.random() < self._broker.weather.twice
        for duplicate in (False, True) if twice else (False,):
            self._mids += 1
            self.carry(
                Received(topic, payload, self._mids, 1, duplicate=duplicate, retained=retained)
            )

    def carry(self, event: LinkEvent) -> None:
        """Bring something to the client's end."""
        arrives_s = self._way("down", droppable=isinstance(event, Received))
        if arrives_s is not None:
            asyncio.get_running_loop().call_at(arrives_s, self._arrive, event)

    def _arrive(self, event: LinkEvent) -> None:
        if self.gone:
            return
        if self.host in self._broker.cut_off:
            self.torn = True
            return
        self._news.append(event)
        self._on_news()

    def lose(self, reason: str) -> None:
        """The connection is gone, and the client notices."""
        if self.lost:
            return
        self.lost = True
        self._broker.leave(self, in_good_order=False)
        if self._machine is None or not self._machine.dead:
            self._news.append(Lost(reason))
            self._on_news()

    async def close(self) -> None:
        """Say goodbye, if the machine still can."""
        if not self.lost:
            self.lost = True
            dead = self._machine is not None and self._machine.dead
            # A farewell does not pass what has vanished before it.
            self.closed = not dead and not self.torn and not self._broken
            self._broker.leave(self, in_good_order=self.closed)
