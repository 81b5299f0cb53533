"""Keeps unacknowledged history within its budget: sealed first, then shed, and accounted for.

How records are sealed and given up is the store's affair.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from edge.engine import Engine
from edge.model.errors import Overloaded, StorageUnavailable
from edge.store import outbox
from edge.transactions import Transaction
from sync.records import Lane

log = structlog.get_logger(__name__)

_EVERY_S = 0.2
"""Between two looks while records are written."""

_PAUSE_S = 0.01
"""Between two transactions, so that the disk is left to the engine."""

_SHED_ORDER = (Lane.BULK, Lane.HISTORY, Lane.URGENT)
"""Control is never shed: it holds what was shed, and what orders came to."""

_SEALED = (Lane.HISTORY, Lane.URGENT)
"""Records of bulk name files; they take little, and their files have a budget of their own."""

_SEALED_FROM = 10
"""The part of the budget from which on a backlog is sealed: a link that is gone for long is likely
to be gone for longer, and what is sealed costs next to nothing to send and to free."""

_REASON = "budget"


class HistoryBudget:
    """Watches what the history of one engine takes.

    Args:
        engine: whose history.
        budget_bytes: what it may take. A tenth of it is where sealing begins.
    """

    def __init__(self, engine: Engine, budget_bytes: int) -> None:
        self._engine = engine
        self.budget_bytes = budget_bytes
        self.shed_bytes = 0
        """Since the start."""
        self._news = asyncio.Event()
        self._news.set()

    def wake(self) -> None:
        """Records were written. A hint."""
        self._news.set()

    async def run(self) -> None:
        """Look whenever records were written, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.sweep()
            except (StorageUnavailable, Overloaded) as error:
                # The next record that is written leads here again.
                log.warning("history_budget_postponed", reason=error.message)
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> int:
        """Seal and shed until the budget is kept; returns the bytes that were shed."""
        shed_bytes = 0
        while True:
            held = await self._engine.database.read(outbox.held_bytes)
            total = sum(held.values())
            if total > self.budget_bytes // _SEALED_FROM and await self._seal():
                continue
            if total <= self.budget_bytes:
                break
            freed = await self._shed(held)
            if not freed:
                break
            shed_bytes += freed
        if shed_bytes:
            self.shed_bytes += shed_bytes
            log.warning("history_shed", bytes=shed_bytes, budget_bytes=self.budget_bytes)
        return shed_bytes

    async def _seal(self) -> bool:
        """Seal one run; False when there is nothing left to seal."""
        sealed = await self._engine.request(_seal_one)
        await asyncio.sleep(_PAUSE_S)
        return sealed

    async def _shed(self, held: dict[int, int]) -> int:
        """Give up the oldest of the lane whose turn it is; the bytes that were freed."""
        for lane in _SHED_ORDER:
            if not held.get(lane):
                continue
            freed = await self._engine.request(partial(self._shed_one, lane))
            await asyncio.sleep(_PAUSE_S)
            if freed:
                return freed
        return 0

    def _shed_one(self, lane: Lane, transaction: Transaction) -> int:
        freed = outbox.shed(
            transaction.connection,
            lane,
            reason=_REASON,
            now_ms=transaction.now_ms,
            boot=self._engine.boot.boot,
        )
        if freed:
            transaction.note_control(shed=True)
        return freed


def _seal_one(transaction: Transaction) -> bool:
    return any(outbox.seal(transaction.connection, lane) for lane in _SEALED)
