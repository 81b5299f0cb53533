"""The control plane of the world: the product's ingest and ledger on a machine of their own.

No page is served.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.identity import OrderKey
from sync.link import Broker
from tests.simulation.machine import Machine, Run, Stopped
from tests.simulation.network import SimBroker

ORDER_KEY = OrderKey(bytes(range(32)))
"""What orders are signed with."""


class Cloud(Machine):
    """The control plane.

    Args:
        broker: that it listens at.
        orders: whether it gives any.
    """

    database = "ledger.db"

    def __init__(
        self,
        folder: Path,
        seed: str,
        *,
        note: Callable[..., None],
        complain: Callable[[str, str], None],
        broker: SimBroker,
        orders: bool,
    ) -> None:
        super().__init__("cloud", folder / "cloud", seed, note, complain)
        self.broker = broker
        self.ledger: Ledger | None = None
        """Of the present run."""
        self._orders = orders

    async def process(self, run: Run) -> None:
        """Open the ledger and listen, until asked to stop."""
        chance = random.Random(f"{self.seed}:cloud:{run.number}")
        ledger = await Ledger.open(self.disk.path, now_ms=self._now_ms, connect=run.connect)
        ingest = Ingest(
            broker=Broker(),
            ledger=ledger,
            now_ms=self._now_ms,
            chance=chance,
            client_id="cloud",
            wiring=self.broker.wiring(self.name),
            order_key=ORDER_KEY if self._orders else None,
        )
        self.ledger = ledger
        try:
            async with asyncio.TaskGroup() as group:
                run.group = group
                group.create_task(ingest.run())
                run.ready = True
                await run.stopping.wait()
                raise Stopped
        except* Stopped:
            await ledger.close()

    def _now_ms(self) -> int:
        return self.wall_ns() // 1_000_000
