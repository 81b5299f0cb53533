"""What a control plane does by the clock: orders of campaigns are given, alerts are looked at.

No rule of either stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sync.control_plane.dialect import StorageUnavailable
from sync.control_plane.ledger import Ledger, LedgerUnavailable

CAMPAIGN_EVERY_S = 1.0

_log = structlog.get_logger(__name__)


async def every(pause_s: float, step: Callable[[], Awaitable[object]], name: str) -> None:
    """Do something again and again until cancelled; a database that is away is waited for."""
    told = False
    while True:
        try:
            await step()
            told = False
        except (LedgerUnavailable, StorageUnavailable) as error:
            if not told:
                _log.error("round_missed", round=name, reason=str(error))
            told = True
        await asyncio.sleep(pause_s)


async def campaigns(ledger: Ledger) -> None:
    """Give the orders of campaigns when it is their turn, until cancelled."""

    async def step() -> None:
        # As many steps as are due: each is a short transaction.
        given = True
        while given:
            given = bool(await ledger.give_campaign_orders())

    await every(CAMPAIGN_EVERY_S, step, "campaigns")
