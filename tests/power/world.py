"""A device around one data directory: the real engine, store and API, on time that tests move.

Nothing here knows that the power may fail.
"""

from __future__ import annotations

import asyncio
import atexit
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from edge.api.app import build_app
from edge.api.house import House
from edge.clock import RandomIds
from edge.config import RetentionSettings
from edge.durable import FILES, FileSystem
from edge.effects import Effects
from edge.engine import Engine
from edge.event_queue import EventQueue
from edge.fetch_sources import Sources
from edge.fetching import Fetches
from edge.lookups import Lookups
from edge.model.elapsed import NO_JUMPS, TimeKept
from edge.model.payload_limits import PayloadLimits
from edge.outbox import EngineOutbox
from edge.payload_sweep import PayloadSweep
from edge.pure import PureHandlers
from edge.retention import Retention
from edge.schedules import Schedules
from edge.scripts import Evaluators
from edge.uploads import Uploads
from edge.vault import Vault
from sync.database import Connect
from tests.at_once import AtOnce

DATABASE = "baton.db"

_EVALUATORS = Evaluators(time_limit_s=120)
"""The real ones, with patience: a machine that is busy must not fail a script of a scenario."""
atexit.register(_EVALUATORS.close)

BEGIN_MS = 1_700_049_600_000
"""2023-11-15 12:00 UTC, when every scenario begins."""

RECKONED = "reckon"
"""Tasks that a pure handler does in the process: it adds one to ``n``."""

_ROUNDS = 1_000
"""Things that follow from one another without any time passing; more never end."""

_BUDGET = 64 * 1024 * 1024


class VirtualClock:
    """Wall and monotonic time that move together, when they are told to."""

    jumps = NO_JUMPS

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._booted_ms = now_ms - 1_000

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since a second before the device was booted."""
        return self._now_ms - self._booted_ms

    elapsed_ms = monotonic_ms

    def kept(self) -> TimeKept:
        """What the next boot has to know of it: nothing."""
        return TimeKept()

    def move_to(self, now_ms: int) -> None:
        """Let time pass up to a moment; one that has passed is here already."""
        self._now_ms = max(self._now_ms, now_ms)


class Unsettled(AssertionError):
    """What follows from one another never came to its end."""


class World:
    """One boot of a device."""

    def __init__(
        self,
        engine: Engine,
        house: House,
        client: httpx.AsyncClient,
        clock: VirtualClock,
        fetches: Fetches,
    ) -> None:
        self.engine = engine
        self.fetches = fetches
        self.house = house
        self.client = client
        self.clock = clock
        self.outbox = EngineOutbox(engine)
        self._events = EventQueue(engine)
        self._moved = True
        self._messages = True
        engine.on_effects(self._see)

    def _see(self, effects: Effects) -> None:
        self._moved = self._moved or bool(effects.changed or effects.messages)
        self._messages = self._messages or effects.messages

    async def settle(self) -> None:
        """Let everything happen that needs no worker and no more time."""
        engine, clock = self.engine, self.clock
        self._moved = True
        for _ in range(_ROUNDS):
            if not self._moved:
                return
            self._moved = False
            await engine.moments.expire_leases()
            await engine.moments.fire_due()
            engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())
            engine.hand_over.queues.open_windows(clock.monotonic_ms())
            if self._messages:
                self._messages = False
                await self._events._round()
            await self.schedules._round()
        raise Unsettled(f"still moving after {_ROUNDS} rounds")

    @property
    def schedules(self) -> Schedules:
        """The scheduler."""
        return self.house.schedules

    async def sweep_payloads(self) -> None:
        """Take away the files that nobody needs."""
        await PayloadSweep(self.engine, self.house.uploads, self.house.files).sweep()

    async def retain(self, settings: RetentionSettings) -> None:
        """Take away what is too old or too much."""
        await Retention(self.engine, settings).sweep()


@asynccontextmanager
async def world_at(
    root: Path,
    connect: Connect,
    *,
    files: FileSystem = FILES,
    now_ms: int = BEGIN_MS,
    seed: str = "0",
    syncing: bool = False,
    limits: PayloadLimits | None = None,
) -> AsyncIterator[World]:
    """A device that has been booted on a data directory.

    Args:
        root: the data directory.
        connect, files: open the database, change the other files.
        now_ms: what the clock says.
        seed: of the ids; each boot needs another.
        syncing: whether history is kept.
        limits: how large payloads may be; None = Conductor's.
    """
    clock = VirtualClock(now_ms)
    ids = RandomIds(random.Random(f"ids:{seed}").randbytes)
    vault = Vault(root / "secret.key", files=files)
    engine = await Engine.open(
        root / DATABASE,
        scripts=_EVALUATORS,
        clock=clock,
        ids=ids,
        syncing=syncing,
        lookups=Lookups(vault, limits=limits),
        connect=connect,
        files=files,
    )
    pure = PureHandlers(clock.now_ms, stopwatch=lambda: 0.0, executor=AtOnce())
    pure.add(RECKONED, lambda task: {"n": task.input["n"] + 1})
    engine.complete_within(pure.completions)
    house = House(engine)
    house.schedules = Schedules(engine, RandomIds(random.Random(f"ticks:{seed}").randbytes))
    house.check_script = _EVALUATORS.syntax_error
    payloads = engine.payloads.files.root
    house.uploads = Uploads(payloads / "uploads", _BUDGET, files)
    house.files = Uploads(payloads / "files", _BUDGET, files)
    sources = Sources(
        engine,
        journal=None,
        evidence=root / "evidence",
        files=lambda: house.files,
        uploads=lambda: house.uploads,
    )
    fetches = Fetches(
        engine,
        sources,
        root / "fetched",
        most_bytes=_BUDGET,
        budget_bytes=_BUDGET,
        files=files,
    )
    transport = httpx.ASGITransport(app=build_app(house))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(engine.run())
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://device") as client:
                yield World(engine, house, client, clock, fetches)
        finally:
            await engine.close()
            await running
