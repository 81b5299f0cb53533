"""Uplinks for simulated devices: the very ones of real devices, each run as a task while it speaks.

Which connection they speak over is decided by whoever asks for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.simulated_fleet.device import VirtualDevice
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import BOOT
from edge.simulated_fleet.obeying import Obedience
from sync.evidence_files import Folders
from sync.identity import Identity
from sync.link import Broker, Chance, Wiring
from sync.orders import Verify
from sync.uplink import Uplink

VERSION = "simulated"
_NO_EVIDENCE = Path("/nonexistent")
"""Simulated devices keep no files."""


class Speaker:
    """A device that is speaking."""

    def __init__(self, device: VirtualDevice, uplink: Uplink) -> None:
        self.device = device
        self.uplink = uplink
        self._task: asyncio.Task[None] | None = None
        device.wake = uplink.wake

    def start(self, group: asyncio.TaskGroup, ended: Callable[[], None]) -> None:
        """Begin; ``ended`` is called when it has stopped."""
        self._task = group.create_task(self.uplink.run())
        self._task.add_done_callback(lambda _: ended())

    def wake(self) -> None:
        """There are new records."""
        self.uplink.wake()

    def stop(self) -> None:
        """End; a connection that is still there is left in good order."""
        if self._task is not None:
            self._task.cancel()


class Uplinks:
    """Makes the uplinks of a fleet.

    Args:
        fleet: whose devices.
        broker: where they connect, with the version of MQTT that it speaks.
        chance: draws the jitter between attempts.
        obedience: carries orders out.
        order_keys: whose orders are obeyed, by the ids of their keys; none = no orders are taken.
        run_id: of this run of the program.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        broker: Broker,
        chance: Chance,
        obedience: Obedience,
        order_keys: Mapping[bytes, Verify],
        run_id: bytes,
    ) -> None:
        self._fleet = fleet
        self.broker = broker
        self.chance = chance
        self._obedience = obedience
        self._order_keys = order_keys
        self._run_id = run_id

    def speaker(self, number: int, wiring: Wiring) -> Speaker:
        """A device that is about to speak over a connection of that wiring."""
        device = VirtualDevice(self._fleet, number, self._obedience)
        uplink = Uplink(
            broker=self.broker,
            # Nothing of the protocol is signed by a device, so that one key is as good as another.
            identity=Identity(self._fleet.tenant, self._fleet.name(number), bytes(32)),
            outbox=device,
            publications=None,
            folders=Folders(_NO_EVIDENCE),
            boot=BOOT,
            version=VERSION,
            now_ms=device.now_ms,
            chance=self.chance,
            wiring=wiring,
            chronicle=device,
            run_id=self._run_id,
            orders=device if self._order_keys else None,
            order_keys=self._order_keys,
        )
        return Speaker(device, uplink)
