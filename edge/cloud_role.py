"""A control plane: its ledger, its ingest and its pages, put together.

No rule of any room stands here.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Coroutine
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.types import ASGIApp

from edge import journal
from edge.clock import SystemClock
from edge.config import Settings
from edge.data_dir import DataDir, DataDirError
from edge.durable import FILES
from edge.links import Dice, broker
from edge.model.errors import StorageUnavailable
from sync.control_plane import rounds
from sync.control_plane.app import build_app
from sync.control_plane.ingest import Hears, Ingest
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.messengers import Mail
from sync.database import DatabaseError
from sync.identity import IdentityError, OrderKey, load_order_key
from sync.link import Backoff

_GROUP = "baton"
"""Of the ingesters that share the frames of all devices."""
_LOOK_S = 0.5
"""Between two looks whether the ingesters live. One that has died is started again soon."""
_PROVEN_LOOKS = 60
"""After so many looks at which none has died, the next one that dies is not kept waiting."""
_STOP_S = 10.0

_log = structlog.get_logger(__name__)


async def open_role(settings: Settings, data: DataDir) -> ControlPlane:
    """Open the ledger and put the rooms around it.

    Raises:
        DatabaseError: the ledger cannot be used.
        IdentityError: the key of its orders cannot be used.
    """
    key = load_order_key(data.identity, FILES)
    _log.info("orders_signed_with", key=key.public_key.hex())
    return ControlPlane(settings, await open_ledger(settings), SystemClock(), key)


async def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger where the settings put it. Raises DatabaseError, DataDirUnusable."""
    where = settings.cloud.database or _ledger_file(Path(settings.daemon.data_dir))
    ledger = await Ledger.open(where, now_ms=SystemClock().now_ms)
    ledger.shared = settings.cloud.ingesters != 0
    return ledger


def _ledger_file(folder: Path) -> Path:
    data = DataDir(folder)
    data.make()
    return data.ledger


async def ingest_until(settings: Settings, stop: asyncio.Event) -> None:
    """Take in what devices send until ``stop``, and nothing else.

    Raises:
        DatabaseError, IdentityError: it cannot begin.
    """
    clock = SystemClock()
    key = load_order_key(DataDir(Path(settings.daemon.data_dir)).identity, FILES)
    ledger = await open_ledger(settings)
    ingest = _ingest(settings, ledger, clock, key, hears=Hears.FRAMES, group=_GROUP)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(ingest.run())
            await stop.wait()
            running.cancel()
    finally:
        await ledger.close()


def _ingest(
    settings: Settings,
    ledger: Ledger,
    clock: SystemClock,
    key: OrderKey,
    *,
    hears: Hears,
    group: str,
) -> Ingest:
    return Ingest(
        broker=broker(settings.sync),
        ledger=ledger,
        now_ms=clock.now_ms,
        chance=Dice(),
        tenants=(settings.sync.tenant,),
        hears=hears,
        group=group,
        order_key=key,
    )


def _child(settings: Settings) -> None:
    """An ingester as a process of its own."""
    journal.configure(settings.daemon.log_level)

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        parent = multiprocessing.parent_process()
        assert parent is not None
        # Readable when the parent has ended, however it has: nobody else would end this one.
        loop.add_reader(parent.sentinel, stop.set)
        await ingest_until(settings, stop)

    # A Ctrl-C goes to all processes of the terminal; the one with the pages ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(main())
    except (DatabaseError, DataDirError, IdentityError) as error:
        _log.error("ingester_cannot_begin", reason=str(error))
        raise SystemExit(1) from None


class Ingesters:
    """The processes that take in what devices send.

    Args:
        settings: of the control plane; how many there shall be is among them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: list[SpawnProcess] = []

    async def run(self) -> None:
        """Keep them running until cancelled; those that keep dying, less and less often."""
        backoff, quiet = Backoff(Dice()), 0
        try:
            while True:
                ended = [one for one in self._running if not one.is_alive()]
                for one in ended:
                    _log.error("ingester_ended", process=one.pid, status=one.exitcode)
                    self._running.remove(one)
                quiet = 0 if ended else quiet + 1
                if ended:
                    await asyncio.sleep(backoff.next_s())
                elif quiet == _PROVEN_LOOKS:
                    backoff.reset()
                while len(self._running) < self._settings.cloud.ingesters:
                    self._running.append(self._start())
                await asyncio.sleep(_LOOK_S)
        finally:
            await asyncio.to_thread(self._end)

    def _start(self) -> SpawnProcess:
        # Spawned and not forked: threads of the database run in this one.
        process = multiprocessing.get_context("spawn").Process(
            target=_child, args=(self._settings,), daemon=True
        )
        process.start()
        _log.info("ingester_started", process=process.pid)
        return process

    def _end(self) -> None:
        for one in self._running:
            one.terminate()
        for one in self._running:
            one.join(_STOP_S)
            if one.is_alive():
                one.kill()


class ControlPlane:
    """Everything that runs on a control plane. Make it with ``open_role``."""

    name = "baton cloud"

    def __init__(
        self, settings: Settings, ledger: Ledger, clock: SystemClock, key: OrderKey
    ) -> None:
        self._ledger = ledger
        self._closed = asyncio.Event()
        alone = settings.cloud.ingesters == 0
        hears = Hears.ALL if alone else Hears.PRESENCE
        self._ingest = _ingest(settings, ledger, clock, key, hears=hears, group="")
        self._ingesters = Ingesters(settings)
        self._now_ms = clock.now_ms
        self._broker = broker(settings.sync)
        cloud = settings.cloud
        self._fetched_days = cloud.fetched_days
        self._mail = Mail(
            cloud.mail_server, cloud.mail_sender, cloud.mail_username, cloud.mail_password_file
        )
        self._app: Starlette = build_app(
            ledger,
            now_ms=clock.now_ms,
            tenant=settings.sync.tenant,
            broker_connected=lambda: self._ingest.status().connected,
            authenticate=settings.auth.enabled,
        )

    @property
    def app(self) -> ASGIApp:
        """Answers HTTP."""
        return self._app

    async def keep(self) -> None:
        """Nothing has to run beneath the loops."""
        await self._closed.wait()

    async def prepare(self) -> None:
        """Nothing has to be there before the first request."""

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled."""
        return [
            self._ingest.run(),
            self._ingesters.run(),
            rounds.segments_are_looked_at(self._ledger),
            rounds.campaigns(self._ledger),
            rounds.alerts_are_looked_at(self._ledger, self._now_ms),
            rounds.alerts_are_told(
                self._ledger, self._now_ms, mail=self._mail, broker=self._broker
            ),
            rounds.old_things_are_removed(self._ledger, self._now_ms),
            rounds.fetched_is_removed(self._ledger, self._now_ms, days=self._fetched_days),
        ]

    async def alive(self) -> None:
        """Return when the disk has answered. Raises StorageUnavailable."""
        try:
            await self._ledger.probe()
        except LedgerUnavailable as error:
            raise StorageUnavailable(str(error)) from error

    def answers_at(self, url: str) -> None:
        """Nobody here waits for that."""

    async def wind_down(self) -> None:
        """Nobody here needs answers to finish."""

    def end_streams(self) -> None:
        """Let pages go; they come back by themselves."""
        self._app.state.streams.close()

    async def close(self) -> None:
        """Close the ledger."""
        if not self._closed.is_set():
            self._closed.set()
            await self._ledger.close()
