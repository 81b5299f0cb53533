"""Devices with a connection of their own each, exactly as real ones have it: will, client id and all.

Nothing is shared here but the process.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from edge.simulated_fleet.connections import Connections, CountedLink
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.uplinks import Speaker, Uplinks
from sync.link import Broker


class Alone:
    """All devices of a fleet, each with its connection.

    Args:
        fleet: the devices.
        uplinks: makes their conversations.
        connections: makes their connections.
    """

    def __init__(self, fleet: Fleet, uplinks: Uplinks, connections: Connections) -> None:
        self._fleet = fleet
        self._uplinks = uplinks
        self._connections = connections
        self._speaking: dict[int, Speaker] = {}
        self._links: dict[int, CountedLink] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Let all of them speak until cancelled."""
        self._group = group
        for device in range(self._fleet.size):
            if not self._fleet.away[device]:
                self.due(device)
        await asyncio.Event().wait()

    def stop(self) -> None:
        """All say goodbye, and nobody begins to speak any more."""
        self._group = None
        for speaker in self._speaking.values():
            speaker.stop()

    def due(self, device: int) -> None:
        """A device has something to say, or has its network again."""
        speaker = self._speaking.get(device)
        if speaker is not None:
            speaker.wake()
        elif self._group is not None and not self._fleet.away[device]:
            speaker = self._uplinks.speaker(device, partial(self._wire, device))
            self._speaking[device] = speaker
            speaker.start(self._group, lambda: self._ended(device))

    def lose(self, device: int) -> None:
        """A device has lost its network: the broker finds out, and speaks its will."""
        link = self._links.pop(device, None)
        if link is not None:
            link.cut("the device has lost its network")
        if device in self._speaking:
            self._speaking[device].stop()

    def _wire(self, device: int, broker: Broker, **said: Any) -> CountedLink:
        link = self._connections.wire(broker, **said)
        self._links[device] = link
        return link

    def _ended(self, device: int) -> None:
        del self._speaking[device]
        self._links.pop(device, None)
        if self._group is not None and not self._fleet.away[device]:
            # Its network came back while it was still leaving.
            self.due(device)
