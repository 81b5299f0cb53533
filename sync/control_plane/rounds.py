"""What a control plane does by the clock: orders of campaigns are given, alerts and segments looked at.

No rule of any stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sync.control_plane import alerts, fetches
from sync.control_plane.dialect import StorageUnavailable
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.messengers import Mail, send
from sync.link import Broker

CAMPAIGN_EVERY_S = 1.0
RULES_EVERY_S = 10.0
MESSAGES_EVERY_S = 1.0
TRIM_EVERY_S = 3_600.0
FETCHED_EVERY_S = 30.0
_SEGMENTS_AT_ONCE = 20
_DAY_MS = 86_400_000
SCRUB_EVERY_S = 86_400.0
_MOST_S = 60.0
"""A round that keeps failing is tried again so often at least, unless it is a rarer one."""

_log = structlog.get_logger(__name__)


async def every(pause_s: float, step: Callable[[], Awaitable[object]], name: str) -> None:
    """Do something again and again until cancelled.

    A database that is away is waited for. A defect that one round trips over is logged with its
    trace: the others, and all else that runs here, go on.
    """
    told, next_s = False, pause_s
    while True:
        try:
            await step()
            told, next_s = False, pause_s
        except (LedgerUnavailable, StorageUnavailable) as error:
            if not told:
                _log.error("round_missed", round=name, reason=str(error))
            told = True
        except Exception:  # noqa: BLE001 - whatever it is, it is logged, and the rest goes on
            next_s = longer(next_s, pause_s)
            _log.exception("round_failed", round=name, next_s=next_s)
        await asyncio.sleep(next_s)


def longer(last_s: float, pause_s: float) -> float:
    """How long to wait, in seconds, after one more failure: twice the last wait, or the most."""
    return min(last_s * 2, max(pause_s, _MOST_S))


async def segments_are_looked_at(ledger: Ledger) -> None:
    """Look whether stored segments are still what was stored, at once and daily, until cancelled."""
    await every(SCRUB_EVERY_S, ledger.scrub, "scrub")


async def campaigns(ledger: Ledger) -> None:
    """Give the orders of campaigns when it is their turn, until cancelled."""

    async def step() -> None:
        # As many steps as are due: each is a short transaction.
        given = True
        while given:
            given = bool(await ledger.give_campaign_orders())

    await every(CAMPAIGN_EVERY_S, step, "campaigns")


async def alerts_are_looked_at(ledger: Ledger, now_ms: Callable[[], int]) -> None:
    """Look at the rules of alerts again and again, until cancelled."""

    async def step() -> None:
        await ledger.write(lambda connection: alerts.evaluate(connection, now_ms=now_ms()))

    await every(RULES_EVERY_S, step, "alert rules")


async def alerts_are_told(
    ledger: Ledger, now_ms: Callable[[], int], *, mail: Mail, broker: Broker
) -> None:
    """Send what is to be told of alerts, until cancelled."""

    async def step() -> None:
        for one in await ledger.read(lambda connection: alerts.due(connection, now_ms=now_ms())):
            error = await send(one.channel, one.message, mail=mail, broker=broker)
            if error:
                _log.warning("alert_not_told", channel=one.channel.name, reason=error)
            await ledger.write(
                lambda connection, one=one, error=error: alerts.note_attempt(  # type: ignore[misc]
                    connection, one, error, now_ms=now_ms()
                )
            )

    await every(MESSAGES_EVERY_S, step, "alert messages")


async def old_things_are_removed(ledger: Ledger, now_ms: Callable[[], int]) -> None:
    """Remove alerts and messages that are long over, until cancelled."""

    async def step() -> None:
        await ledger.write(lambda connection: alerts.trim(connection, now_ms=now_ms()))

    await every(TRIM_EVERY_S, step, "removal")


async def fetched_is_removed(ledger: Ledger, now_ms: Callable[[], int], *, days: float) -> None:
    """Remove what was fetched and has become too old, or was deleted, until cancelled."""
    await every(FETCHED_EVERY_S, lambda: remove_fetched(ledger, now_ms(), days=days), "fetched")


async def remove_fetched(ledger: Ledger, now_ms: int, *, days: float) -> None:
    """Do so once, in short transactions."""
    before_ms = int(now_ms - days * _DAY_MS)
    while await ledger.write(
        lambda connection: fetches.remove_old(connection, before_ms=before_ms, now_ms=now_ms)
    ):
        continue
    while await ledger.write(lambda connection: fetches.empty(connection, limit=_SEGMENTS_AT_ONCE)):
        continue
