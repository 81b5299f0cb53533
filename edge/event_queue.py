"""The internal queue: what workflows send to the handlers of this device, one after the other.

What a handler does with a message stands in ``events``.
"""

from __future__ import annotations

import structlog

from edge import events
from edge.effects import Effects
from edge.engine import Engine
from edge.model.errors import BatonError, Overloaded, StorageUnavailable
from edge.rounds import Rounds
from edge.store import events as store
from edge.transactions import Transaction

log = structlog.get_logger()

_AT_ONCE = 20
"""Messages that share a transaction; other requests need not wait for more than these."""


class EventQueue:
    """Takes messages in the order in which they were sent.

    Each is taken in one transaction with all that its handlers do: a power cut finds it either
    waiting or handled.

    Args:
        engine: whose workflows send, and are acted on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rounds = Rounds("messages_postponed")
        self.handled = 0
        self.rejected = 0
        engine.on_effects(self._see)

    def _see(self, effects: Effects) -> None:
        if effects.messages:
            self._rounds.wake()

    async def run(self) -> None:
        """Run until cancelled. What was waiting when the device went down comes first."""
        await self._rounds.run(self._round)

    async def _round(self) -> None:
        while await self._take(_AT_ONCE):
            continue

    async def _take(self, limit: int) -> int:
        """Handle the oldest messages; returns how many there were."""
        try:
            handled = await self._engine.request(lambda t: _handle_waiting(t, limit))
        except (StorageUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001 - the rim: a message must not stop all others
            if limit > 1:
                # One of them is more than we can stand; the others are not to wait for it.
                return await self._take(1)
            await self._reject(error)
            return 1
        self.handled += handled
        return handled

    async def _reject(self, error: Exception) -> None:
        """Set the oldest message aside: it would fail again, and all others wait behind it."""
        reason = error.message if isinstance(error, BatonError) else type(error).__name__
        self.rejected += 1
        log.error("message_rejected", reason=reason)
        await self._engine.request(lambda t: _reject_oldest(t, reason))


def _handle_waiting(transaction: Transaction, limit: int) -> int:
    found = store.waiting(transaction.connection, limit)
    for key, message in found:
        events.handle(transaction, message)
        store.settle(transaction.connection, key)
    return len(found)


def _reject_oldest(transaction: Transaction, reason: str) -> None:
    for key, _ in store.waiting(transaction.connection, 1):
        store.settle(transaction.connection, key, fault=reason)
