"""A control plane: its ledger, its ingest and its pages, put together.

No rule of any room stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from edge.clock import SystemClock
from edge.config import Settings
from edge.data_dir import DataDir
from edge.links import Dice, broker
from sync.control_plane.app import build_app
from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger


async def open_role(settings: Settings, data: DataDir) -> ControlPlane:
    """Open the ledger and put the rooms around it.

    Raises:
        DatabaseError: the ledger's file cannot be used.
    """
    clock = SystemClock()
    return ControlPlane(settings, await Ledger.open(data.ledger, now_ms=clock.now_ms), clock)


class ControlPlane:
    """Everything that runs on a control plane. Make it with ``open_role``."""

    name = "baton cloud"

    def __init__(self, settings: Settings, ledger: Ledger, clock: SystemClock) -> None:
        self._ledger = ledger
        self._closed = asyncio.Event()
        self._ingest = Ingest(
            broker=broker(settings.sync),
            ledger=ledger,
            now_ms=clock.now_ms,
            chance=Dice(),
            tenants=(settings.sync.tenant,),
        )
        self._app: Starlette = build_app(
            ledger,
            now_ms=clock.now_ms,
            tenant=settings.sync.tenant,
            broker_connected=lambda: self._ingest.status().connected,
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
        return [self._ingest.run()]

    async def alive(self) -> None:
        """Return when the disk has answered."""
        await self._ledger.project()

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
