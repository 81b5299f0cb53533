"""The MQTT connections of a simulated fleet: opened not too many at once, counted, and cut at will.

What is said over them is not looked at here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from edge.simulated_fleet.figures import Figures
from sync.link import (
    Broker,
    BrokerRefused,
    Dialect,
    Link,
    LinkError,
    LinkEvent,
    Lost,
    MqttVersion,
    Taken,
    Will,
)

OPENED_AT_ONCE = 32
"""Handshakes under way: more do not make them faster, and a busy loop lets their time-outs pass."""


class Connections:
    """All connections of one fleet.

    Args:
        figures: where they are counted.
    """

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.gate = asyncio.Semaphore(OPENED_AT_ONCE)
        self.open: dict[CountedLink, None] = {}
        """In the order in which they were opened."""
        self.most_open = 0

    def wire(
        self,
        broker: Broker,
        *,
        client_id: str,
        dialect: Dialect,
        on_news: Callable[[], None],
        will: Will | None = None,
    ) -> CountedLink:
        """A connection that is still to be opened, as uplinks want them."""
        link = CountedLink(broker, client_id=client_id, dialect=dialect, on_news=on_news, will=will)
        link.among = self
        return link

    def cut(self, number: int, reason: str) -> None:
        """Cut one that is open: ``number`` draws which."""
        if self.open:
            list(self.open)[number % len(self.open)].cut(reason)

    def cut_all(self, reason: str) -> None:
        """Cut all that are open."""
        for link in list(self.open):
            link.cut(reason)


class CountedLink(Link):
    """A connection that stands among the others of the fleet while it is open."""

    among: Connections

    async def open(self) -> None:
        """Connect, when it is its turn. Raises LinkError."""
        async with self.among.gate:
            try:
                await super().open()
            except LinkError as error:
                self.among.figures.unopened += 1
                self.among.figures.problem = str(error)
                raise
        self.among.figures.opened += 1
        self.among.open[self] = None
        self.among.most_open = max(self.among.most_open, len(self.among.open))

    def news(self) -> list[LinkEvent]:
        """What has happened since this was last asked."""
        found = super().news()
        for event in found:
            if isinstance(event, Taken) and event.refused and not event.unheard:
                self.among.figures.refused_messages += 1
            elif isinstance(event, Lost) and self.among.open.pop(self, self) is None:
                self.among.figures.lost += 1
        return found

    async def close(self) -> None:
        """Say goodbye and let go."""
        self.among.open.pop(self, None)
        await super().close()


async def find_protocol(broker: Broker) -> MqttVersion:
    """The version of MQTT that a broker speaks, found out by speaking to it.

    Raises:
        BrokerUnreachable, BrokerRefused: it does not want us, in either version.
    """
    versions: tuple[MqttVersion, ...] = ("5", "3.1.1")
    if broker.protocol != "auto":
        versions = (broker.protocol,)
    for version in versions:
        one = msgspec.structs.replace(broker, protocol=version)
        link = Link(one, client_id="", dialect=Dialect(one), on_news=lambda: None)
        try:
            await link.open()
        except BrokerRefused:
            if version == versions[-1]:
                raise
            continue
        await link.close()
        return version
    raise AssertionError("there is always a last version")
