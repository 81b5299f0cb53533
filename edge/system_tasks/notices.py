"""Posts notices of listeners to web servers, in their order and until they arrive.

What is told, and to whom, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from edge.effects import Effects
from edge.engine import Engine
from edge.rounds import Rounds
from edge.store import deliveries
from edge.store.deliveries import Delivery
from edge.system_tasks.http import new_client

log = structlog.get_logger()

_TIMEOUT_S = 10.0
_FIRST_PAUSE_MS = 1_000
_LONGEST_PAUSE_MS = 300_000
_GIVE_UP_MS = 24 * 3_600 * 1_000
"""After a day nobody waits for a notice any more; it is dropped, and that is logged."""

_LOOK_AGAIN_S = 60.0
"""Longest sleep: a wall clock that jumps forward is noticed by then."""


class Notices:
    """Posts what waits; an answer of 200 to 299 is a receipt, anything else is tried again.

    Args:
        engine: whose executions are told of.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rounds = Rounds("notices_postponed")
        self._client: Any = None
        # An httpx.AsyncClient; most devices never need one.
        engine.on_effects(self._see)

    def _see(self, effects: Effects) -> None:
        if effects.deliveries:
            self._rounds.wake()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            await self._rounds.run(self._round)
        finally:
            if self._client is not None:
                await self._client.aclose()

    async def _round(self) -> float | None:
        """Post what is due; returns seconds until there is more to do, None when nothing waits."""
        engine = self._engine
        while True:
            now_ms = engine.clock.now_ms()
            found = await engine.database.read(lambda c, now=now_ms: deliveries.due(c, now))  # type: ignore[misc]
            if found is None:
                break
            await self._post(found)
        next_ms = await engine.database.read(deliveries.next_due_ms)
        if not next_ms:
            return None
        return min(_LOOK_AGAIN_S, max(0, next_ms - engine.clock.now_ms()) / 1000 + 0.001)

    async def _post(self, delivery: Delivery) -> None:
        fault = await self._fault_of_posting(delivery)
        now_ms = self._engine.clock.now_ms()
        # What stands before the host or behind the path may be a password.
        where = delivery.url.partition("?")[0].rpartition("@")[2]
        facts = {"server": where[:200], "message_id": delivery.message_id}
        if not fault:
            await self._engine.request(lambda t: deliveries.forget(t.connection, delivery.key))
        elif self._engine.clock.jumps.passed_ms(delivery.created_ms, now_ms) >= _GIVE_UP_MS:
            log.error("notice_dropped", reason=fault, **facts)
            await self._engine.request(lambda t: deliveries.forget(t.connection, delivery.key))
        else:
            log.warning("notice_delayed", reason=fault, attempts=delivery.attempts + 1, **facts)
            pause_ms = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(delivery.attempts, 20))
            await self._engine.request(
                lambda t: deliveries.postpone(t.connection, delivery, now_ms + pause_ms)
            )

    async def _fault_of_posting(self, delivery: Delivery) -> str:
        """Post it; why it did not arrive, empty when it did.

        The status says so. What may follow it is not read: nobody needs it, and it may not end.
        """
        if self._client is None:
            # On a thread, because its library and certificates take a while.
            self._client = await asyncio.to_thread(new_client)
        import httpx

        headers = {"Content-Type": "application/json", "X-Message-Id": delivery.message_id}
        posting = self._client.stream(
            "POST", delivery.url, content=delivery.payload, headers=headers, timeout=_TIMEOUT_S
        )
        try:
            async with asyncio.timeout(2 * _TIMEOUT_S), posting as answer:
                good, status = answer.is_success, answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if good else f"the server answered {status}"
