"""A connection that many devices share: each speaks under its own topics, when it has something to say.

The devices' conversations are those of real uplinks; each holds a wire that leads to the one
connection, for as long as it has something to say. A broker that grants rights by device does not
let anybody speak so; it needs a user that may speak for all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from edge.simulated_fleet.connections import Connections, CountedLink
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import BOOT
from edge.simulated_fleet.uplinks import VERSION, Speaker, Uplinks
from sync import topics
from sync.announcements import Announcements
from sync.link import (
    Backoff,
    Broker,
    BrokerUnreachable,
    Dialect,
    LinkError,
    LinkEvent,
    Lost,
    Received,
    Taken,
)
from sync.link_log import LinkState

_KEPT = 4
"""Messages of orders that wait for one device; what is beyond comes again."""
_FAREWELLS_S = 60.0
_SPEAKING = 2_000
"""Devices that speak at a time, over all shared connections: each takes some 40 KB while it does."""
_MOST_AT_ONCE = 16
"""Of them over one connection, which lets 20 messages be under way."""


class SharedWire:
    """One device's end of a shared connection; a Wire, as uplinks want one."""

    def __init__(self, carrier: Carrier, device: int, on_news: Callable[[], None]) -> None:
        self._carrier = carrier
        self._device = device
        self._on_news = on_news
        self._news: deque[LinkEvent] = deque()
        self._address = carrier.fleet.address(device)

    async def open(self) -> None:
        """Wait until the connection is there. Raises BrokerUnreachable."""
        await self._carrier.ready.wait()
        self._carrier.attach(self._device, self)

    def news(self) -> list[LinkEvent]:
        """What has happened since this was last asked."""
        found = list(self._news)
        self._news.clear()
        return found

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for messages, unless the connection hears them already."""
        self._carrier.subscribe(self._device, filters)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        """Send a message; of presence only what is news."""
        del message_id
        if topic == self._address.topic(topics.PRESENCE):
            self._carrier.note_presence(self._device, topic, payload)
            return 0
        return self._carrier.publish(self, topic, payload, retain=retain)

    def settle(self, message: Received) -> None:
        """It has been dealt with; an acknowledgement may have been the last word."""
        self._carrier.settle(message)
        asyncio.get_running_loop().call_soon(self._carrier.look, self._device)

    async def close(self) -> None:
        """Let go; the connection stays for the others."""
        self._carrier.detach(self._device, self)

    def tell(self, event: LinkEvent) -> None:
        """Something has happened that concerns this device."""
        self._news.append(event)
        self._on_news()


class Carrier:
    """One connection and the devices that share it.

    Args:
        number: of the connection; it carries the devices whose numbers leave it as the rest.
        of: how many there are.
        fleet: the devices.
        uplinks: makes their conversations.
        connections: makes the connection.
        at_once: devices that speak at a time.
    """

    def __init__(
        self,
        number: int,
        of: int,
        fleet: Fleet,
        uplinks: Uplinks,
        connections: Connections,
        *,
        at_once: int,
    ) -> None:
        self.fleet = fleet
        self.ready = asyncio.Event()
        self._number, self._of = number, of
        self._uplinks = uplinks
        self._connections = connections
        self._at_once = at_once
        self._backoff = Backoff(uplinks.chance)
        self._news = asyncio.Event()
        self._announcements = Announcements()
        self._link: CountedLink | None = None
        self._due: deque[int] = deque()
        self._speaking: dict[int, Speaker] = {}
        self._wires: dict[int, SharedWire] = {}
        self._tickets: dict[int, SharedWire] = {}
        self._farewells: set[int] = set()
        """Tickets of those that the broker does not have yet."""
        self._kept: dict[int, list[Received]] = {}
        """Orders for devices that are not speaking."""
        self._group: asyncio.TaskGroup | None = None

    def devices(self) -> range:
        """Those that share this connection."""
        return range(self._number, self.fleet.size, self._of)

    # What the fleet tells.

    def due(self, device: int) -> None:
        """A device has something to say."""
        if device in self._speaking:
            self._speaking[device].wake()
        elif not self.fleet.due[device]:
            self.fleet.due[device] = 1
            self._due.append(device)
            self._fill()

    def lose(self, device: int) -> None:
        """A device has lost its network: what its will would say is said for it."""
        if device in self._speaking:
            self._speaking[device].stop()
        self._farewell(device)

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Connect, carry, and connect again, until cancelled; then say goodbye for all."""
        self._group = group
        while True:
            try:
                await self._carry()
            except LinkError as error:
                self.fleet.figures.problem = str(error)
            await asyncio.sleep(self._backoff.next_s())

    def stop(self) -> None:
        """All pause, and nobody begins to speak any more."""
        self._group = None
        for speaker in self._speaking.values():
            speaker.stop()

    async def _carry(self) -> None:
        link = self._connections.wire(
            self._uplinks.broker,
            client_id=f"{self.fleet.name(self._number)}-shared",
            dialect=Dialect(self._uplinks.broker),
            on_news=self._news.set,
        )
        await link.open()
        self._link = link
        self._backoff.reset()
        try:
            link.subscribe([topics.server(self.fleet.tenant)])
            self.ready.set()
            # Nobody has been heard on this connection: each says hello, as after any loss.
            for device in self.devices():
                if not self.fleet.away[device]:
                    self.due(device)
            while not self._read(link):
                await self._news.wait()
        except asyncio.CancelledError:
            for device in self.devices():
                self._farewell(device)
            await self._be_heard(link)
            raise
        finally:
            self._let_go()
            await link.close()

    async def _be_heard(self, link: CountedLink) -> None:
        """Wait until the broker has all farewells, but not for ever."""
        try:
            async with asyncio.timeout(_FAREWELLS_S):
                while self._farewells and not self._read(link):
                    await self._news.wait()
        except TimeoutError:
            # They stay shown as they were; their next run says that they are there.
            return

    def _read(self, link: CountedLink) -> bool:
        """Sort what has come; whether the connection is gone."""
        self._news.clear()
        for event in link.news():
            match event:
                case Lost():
                    for wire in list(self._wires.values()):
                        wire.tell(event)
                    return True
                case Taken():
                    self._farewells.discard(event.ticket)
                    wire_of = self._tickets.pop(event.ticket, None)
                    if wire_of is not None:
                        wire_of.tell(event)
                case Received():
                    self._sort(link, event)
                case _:
                    continue
        return False

    def _sort(self, link: CountedLink, message: Received) -> None:
        """Hand a message to the device that it is for; orders wake one that is silent."""
        if message.topic == topics.server(self.fleet.tenant):
            link.settle(message)
            # Who begins to listen to it has a hello to say anyway.
            if self._announcements.is_news(message.payload) and not message.retained:
                self._greet_all(message)
            return
        place = topics.parse(message.topic)
        device = None if place is None else self.fleet.device_of(place[0].device)
        if place is None or device is None or self.fleet.away[device]:
            link.settle(message)
        elif device in self._wires:
            self._wires[device].tell(message)
        elif place[1] == topics.DOWN:
            kept = self._kept.setdefault(device, [])
            if len(kept) < _KEPT:
                kept.append(message)
            link.settle(message)
            self.due(device)
        else:
            link.settle(message)

    def _greet_all(self, announcement: Received) -> None:
        """A control plane has begun to listen: each device asks it what has arrived."""
        for device in self.devices():
            if device in self._wires:
                self._wires[device].tell(announcement)
            elif not self.fleet.away[device]:
                self.due(device)

    def _let_go(self) -> None:
        """The connection is gone: nobody is subscribed or shown by it any more."""
        self.ready.clear()
        self._announcements.clear()
        self._link = None
        self._tickets.clear()
        self._farewells.clear()
        for device in self.devices():
            self.fleet.here[device] = 0

    # What the devices' wires do.

    def attach(self, device: int, wire: SharedWire) -> None:
        """A device has begun to speak. Raises BrokerUnreachable."""
        if self._link is None:
            raise BrokerUnreachable("the shared connection is gone")
        self._wires[device] = wire
        for message in self._kept.pop(device, []):
            wire.tell(message)

    def detach(self, device: int, wire: SharedWire) -> None:
        """A device has ended to speak."""
        if self._wires.get(device) is wire:
            del self._wires[device]

    def subscribe(self, device: int, filters: Sequence[str]) -> None:
        """Hear what is for a device, once on each connection."""
        if self._link is not None and not self.fleet.here[device]:
            server = topics.server(self.fleet.tenant)
            self._link.subscribe([one for one in filters if one != server])

    def note_presence(self, device: int, topic: str, payload: bytes) -> None:
        """Say that a device is there, once on each connection; that it has paused is no farewell."""
        if self._link is None or self.fleet.here[device] or b'"online"' not in payload:
            return
        self.fleet.here[device] = self.fleet.shown[device] = 1
        self._link.publish(topic, payload, retain=True)

    def publish(self, wire: SharedWire, topic: str, payload: bytes, *, retain: bool) -> int:
        """Send for a device."""
        if self._link is None:
            return 0
        ticket = self._link.publish(topic, payload, retain=retain)
        self._tickets[ticket] = wire
        return ticket

    def settle(self, message: Received) -> None:
        """Tell the broker that a device has dealt with a message."""
        if self._link is not None and message.topic != topics.server(self.fleet.tenant):
            self._link.settle(message)

    def look(self, device: int) -> None:
        """Let a device pause that has been answered and has nothing left to say."""
        speaker = self._speaking.get(device)
        if (
            speaker is not None
            and device not in self._kept
            and speaker.uplink.status().state == LinkState.SYNCED.value
            and not speaker.device.waits()
        ):
            speaker.stop()

    def _fill(self) -> None:
        """Let those speak that are due, as many as may at a time."""
        while self._group is not None and self._due and len(self._speaking) < self._at_once:
            device = self._due.popleft()
            self.fleet.due[device] = 0
            if self.fleet.away[device]:
                continue
            wiring = partial(self._wire, device)
            speaker = self._uplinks.speaker(device, wiring)
            self._speaking[device] = speaker
            speaker.start(self._group, partial(self._ended, device))

    def _wire(
        self, device: int, _: Broker, *, on_news: Callable[[], None], **__: Any
    ) -> SharedWire:
        return SharedWire(self, device, on_news)

    def _ended(self, device: int) -> None:
        del self._speaking[device]
        if self._group is None:
            return
        if device in self._kept and not self.fleet.away[device]:
            self.due(device)
        self._fill()

    def _farewell(self, device: int) -> None:
        """Say that a device is gone."""
        if self._link is None or not self.fleet.shown[device]:
            return
        self.fleet.here[device] = self.fleet.shown[device] = 0
        fleet, address = self.fleet, self.fleet.address(device)
        session = fleet.now_ms() + fleet.world.clock_off_ms(device)
        said = {
            "state": "offline", "epoch": fleet.epoch, "boot": BOOT, "session": session,
            "version": VERSION,
        }  # fmt: skip
        payload = msgspec.json.encode(said)
        self._farewells.add(
            self._link.publish(address.topic(topics.PRESENCE), payload, retain=True)
        )
        self._link.unsubscribe([address.topic(topics.ACK), address.topic(topics.DOWN)])


class Carriers:
    """All shared connections of a fleet.

    Args:
        many: connections.
        fleet: the devices.
        uplinks: makes their conversations.
        connections: makes the connections.
    """

    def __init__(self, many: int, fleet: Fleet, uplinks: Uplinks, connections: Connections) -> None:
        at_once = max(1, min(_MOST_AT_ONCE, _SPEAKING // many))
        self._carriers = [
            Carrier(number, many, fleet, uplinks, connections, at_once=at_once)
            for number in range(many)
        ]

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Let all of them carry until cancelled."""
        async with asyncio.TaskGroup() as own:
            for carrier in self._carriers:
                own.create_task(carrier.run(group))

    def stop(self) -> None:
        """All pause, and nobody begins to speak any more."""
        for carrier in self._carriers:
            carrier.stop()

    def due(self, device: int) -> None:
        """A device has something to say, or has its network again."""
        self._carriers[device % len(self._carriers)].due(device)

    def lose(self, device: int) -> None:
        """A device has lost its network."""
        self._carriers[device % len(self._carriers)].lose(device)
