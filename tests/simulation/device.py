"""A device of the world: the product's engine with its loops, put together as its daemon does it.

No fault is decided here, and nothing is checked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from edge.clock import Clock, RandomIds, SystemClock
from edge.device_role import add_other_executions
from edge.effects import Effects
from edge.engine import Engine
from edge.event_queue import EventQueue
from edge.lineage import Lineage, settle_lineage
from edge.lookups import Lookups
from edge.model.elapsed import TimeKept
from edge.model.payload_limits import PayloadLimits
from edge.orders import EngineOrders
from edge.outbox import EngineOutbox, EnginePublications
from edge.pure import PureHandlers
from edge.retelling import Retelling
from edge.schedules import Schedules
from edge.storage_watch import StorageWatch
from edge.store.reserve import Reserve
from edge.timekeeper import Timekeeper
from edge.workers import Workers
from sync.evidence_files import Folders
from sync.identity import Identity, pinned
from sync.link import Broker
from sync.uplink import Uplink
from tests.at_once import AtOnce
from tests.simulation.cloud import ORDER_KEY
from tests.simulation.disk import Image
from tests.simulation.machine import Machine, Run, Stopped
from tests.simulation.network import SimBroker
from tests.simulation.plan import NINETEEN_SEVENTY_S
from tests.simulation.scripts import InlineEvaluators
from workflows.evidence import EvidenceStore
from workflows.task import Handler

TENANT = "default"

SMALL_PAYLOADS = PayloadLimits(task_file=2_000, workflow_file=2_000)
"""Payloads lie in files from here on: small, so that a small world has some."""

RESERVE_BYTES = 16_384


class _WatchedClock(SystemClock):
    """The product's clock; whoever watches learns when it has shown what.

    Args:
        kept, clocks: see ``SystemClock``.
        shown: is told of every time that was shown when it was so first, and last.
        now_s: the time that nobody on the device knows.
    """

    def __init__(
        self,
        kept: TimeKept,
        *,
        shown: dict[int, tuple[float, float]],
        now_s: Callable[[], float],
        **clocks: Any,
    ) -> None:
        self._shown_at_s = shown
        self._now_s = now_s
        super().__init__(kept, **clocks)

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        shown_ms, now_s = super().now_ms(), self._now_s()
        self._shown_at_s[shown_ms] = (self._shown_at_s.get(shown_ms, (now_s,))[0], now_s)
        return shown_ms


class Copy(NamedTuple):
    """What a device had on its disk at one moment."""

    taken_s: float
    image: Image
    noted: bytes | None
    """What stood beside the key; None = nothing."""


class DeviceRun:
    """What is in the memory of one run of a device's process."""

    def __init__(self, engine: Engine, schedules: Schedules) -> None:
        self.engine = engine
        self.schedules = schedules


class Device(Machine):
    """A device.

    Args:
        number: of the device, from 0.
        broker: that its uplink connects to.
        handlers: run in its process, by task type; each is told its device and run.
        watch: called after each commit of a run, with what it has led to.
        slow_scripts: chance that a script is not worked out at once.
        orders: whether it obeys the control plane.
        copies: whether a copy of its disk is ever started.
        clone_of: the device of whose disk it is made; None = it is one of its own.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        seed: str,
        *,
        note: Callable[..., None],
        complain: Callable[[str, str], None],
        broker: SimBroker,
        handlers: Callable[[Device, Run], dict[str, Handler]],
        watch: Callable[[Device, Effects], None],
        slow_scripts: float,
        orders: bool,
        copies: bool,
        clone_of: Device | None = None,
    ) -> None:
        name = f"device{number}" if clone_of is None else "clone"
        super().__init__(name, folder / name, seed, note, complain)
        self.known_as: str = name if clone_of is None else clone_of.known_as
        """The name under which it speaks."""
        self.number = number
        self.broker = broker
        self.memory: DeviceRun | None = None
        self.ready_s: list[float] = []
        """When each of its runs began to answer."""
        self.shown_at_s: dict[int, tuple[float, float]] = {}
        """When its engine's clock showed each time, in epoch milliseconds, first and last."""
        self.copies: list[Copy] = []
        self.lost_since_s: list[tuple[float, float]] = []
        """When its disk was put back, and when the copy had been taken."""
        self._identity = folder / f"identity{number}"
        self._with_copies = copies
        self._folder = folder
        self._handlers = handlers
        self._watch = watch
        self._slow_scripts = slow_scripts
        self._orders = orders

    @property
    def engine(self) -> Engine | None:
        """The engine of the present run; None while there is none that answers."""
        run = self.run
        ready = run is not None and run.ready and not run.dead
        return self.memory.engine if ready and self.memory is not None else None

    def copy(self) -> Copy:
        """What is on the disk now."""
        noted = self._identity / "device.epoch"
        found = noted.read_bytes() if noted.exists() else None
        return Copy(self.now_s(), self.disk.copy(), found)

    def begin_as(self, copy: Copy, original: Device, *, clock_s: float) -> None:
        """Become another machine with the same disk; to be called when the copy is taken.

        Args:
            copy: of the original's disk.
            original: that lives on.
            clock_s: how far its clock is ahead of the original's.
        """
        self.shown_at_s = dict(original.shown_at_s)
        self.cuts_s, self.ready_s = list(original.cuts_s), list(original.ready_s)
        self.lost_since_s = list(original.lost_since_s)
        self.boots = original.boots + 1_000
        self.wall_offset_s = original.wall_offset_s + clock_s
        if clock_s == NINETEEN_SEVENTY_S:
            self.wall_offset_s = clock_s
        self.disk.put_back(copy.image)
        self._identity.mkdir()
        if copy.noted is not None:
            (self._identity / "device.epoch").write_bytes(copy.noted)

    def note_switched_on(self, copied_s: float) -> None:
        """It is started now: what happened since the copy was taken it cannot know."""
        self.cuts_s.append(self.now_s())
        self.lost_since_s.append((self.now_s(), copied_s))

    def put_back_to(self, copy: Copy, *, whole: bool) -> None:
        """The power goes, and comes back to a copy: of the database alone, or of all there is."""
        self.lost_since_s.append((self.now_s(), copy.taken_s))
        self.put_back(copy.image)
        noted = self._identity / "device.epoch"
        if whole and copy.noted is None:
            noted.unlink(missing_ok=True)
        elif whole and copy.noted is not None:
            noted.write_bytes(copy.noted)

    def _clock_from(self, kept: TimeKept) -> Clock:
        return _WatchedClock(
            kept,
            wall_ns=self.wall_ns,
            monotonic_ns=self.monotonic_ns,
            elapsed_ns=self.monotonic_ns,
            boot=self.boots,
            shown=self.shown_at_s,
            now_s=self.now_s,
        )

    async def process(self, run: Run) -> None:
        """Open the database, run the loops, and close it when asked to."""
        chance = random.Random(f"{self.seed}:{self.name}:{run.number}")
        engine = await Engine.open(
            self.disk.path,
            scripts=InlineEvaluators(self._clock_from(TimeKept()), chance, self._slow_scripts),
            clock_from=self._clock_from,
            ids=RandomIds(chance.randbytes),
            connect=run.connect,
            syncing=True,
            lookups=Lookups(limits=SMALL_PAYLOADS),
            stopwatch=self.now_s,
        )
        if self._with_copies:
            await settle_lineage(engine, self._identity)
        schedules = Schedules(engine, RandomIds(chance.randbytes))
        uplink = self._uplink(engine, run, chance)
        loops = self._loops(engine, run, schedules, uplink)
        try:
            async with asyncio.TaskGroup() as group:
                await self._serve_until_stopped(run, group, engine, loops, schedules)
        except* Stopped:
            self.note("stopped", self.name)

    async def _serve_until_stopped(
        self,
        run: Run,
        group: asyncio.TaskGroup,
        engine: Engine,
        loops: list[Coroutine[Any, Any, None]],
        schedules: Schedules,
    ) -> None:
        run.group = group
        committing = group.create_task(engine.run())
        others = [group.create_task(loop) for loop in loops]
        self.memory = DeviceRun(engine, schedules)
        run.ready = True
        self.up_since_s = self.now_s()
        self.ready_s.append(self.up_since_s)
        await run.stopping.wait()
        run.ready = False
        for other in others:
            other.cancel()
        await engine.close()
        await committing
        # Requests that still wait are cut off, as the daemon cuts off what takes too long.
        raise Stopped

    def _loops(
        self, engine: Engine, run: Run, schedules: Schedules, uplink: Uplink
    ) -> list[Coroutine[Any, Any, None]]:
        evidence = EvidenceStore(
            self._folder / f"evidence{self.number}", budget_bytes=1_000_000, max_age_s=1e9
        )
        pure = PureHandlers(engine.clock.now_ms, stopwatch=self.now_s, executor=AtOnce())
        workers = Workers(engine, evidence, lambda name: name, pure=pure)
        workers.add_handlers(self._handlers(self, run))
        add_other_executions(workers, engine)
        timekeeper, queue = Timekeeper(engine), EventQueue(engine)
        reserve = Reserve(self._folder / f"reserve{self.number}", RESERVE_BYTES)
        watch = StorageWatch(engine, reserve, unclean=run.number % 4 == 2)

        def see(effects: Effects) -> None:
            if effects.outbox:
                uplink.wake()
            if not run.dead:
                self._watch(self, effects)

        engine.on_effects(see)
        return [
            timekeeper.run(),
            schedules.run(),
            workers.run(),
            queue.run(),
            uplink.run(),
            watch.run(),
            # Without copies no epoch begins, and nobody has to look.
            *([Retelling(engine).run()] if self._with_copies else []),
        ]

    def _uplink(self, engine: Engine, run: Run, chance: random.Random) -> Uplink:
        identity = Identity(tenant=TENANT, device=self.known_as, seed=bytes(32))
        return Uplink(
            broker=Broker(),
            identity=identity,
            outbox=EngineOutbox(engine),
            publications=EnginePublications(engine),
            folders=Folders(self._folder / f"evidence{self.number}"),
            boot=engine.boot.boot,
            version="sim",
            now_ms=engine.clock.now_ms,
            chance=chance,
            wiring=self.broker.wiring(self.name),
            orders=EngineOrders(engine, lambda _: None) if self._orders else None,
            order_keys=pinned([ORDER_KEY.public_key.hex()]) if self._orders else None,
            # Without copies an epoch is never left, and fewer records are written.
            chronicle=Lineage(engine, self._identity) if self._with_copies else None,
            run_id=chance.randbytes(8) if self._with_copies else b"",
        )
