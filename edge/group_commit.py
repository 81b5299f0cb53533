"""Group commit: what waits while the disk is busy shares the next transaction and its one fsync.

What the requests do, and what follows for the rest of the daemon, stands elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from edge.effects import Effects
from edge.model.errors import Overloaded, StorageUnavailable
from edge.transactions import Disk, Outcome, Transaction
from sync.database import Database

T = TypeVar("T")

_BATCH = 500
"""Requests that share one COMMIT at most; the ones behind wait for the next."""

_INBOX = 10_000
"""Requests that may wait for the disk; beyond that a caller is told to come again."""

_Waiting = tuple[Callable[[Transaction], Any], "asyncio.Future[Any]"]


class GroupCommit:
    """The way to the disk. ``run`` must be running for any request to be answered.

    Args:
        database: written through its one writing connection.
        disk: carries the requests out.
        after: called with the effects of each COMMIT, before its callers are answered.
        counters: ``commits``, ``requests`` and ``refused`` are counted here.
    """

    def __init__(
        self,
        database: Database,
        disk: Disk,
        after: Callable[[Effects], None],
        counters: Counter[str],
    ) -> None:
        self._database = database
        self._disk = disk
        self._after = after
        self._counters = counters
        self._inbox: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._stopped = asyncio.Event()
        self._running = False

    async def run(self) -> None:
        """Commit what arrives, until ``close``."""
        self._running = True
        try:
            while not (self._closing and not self._inbox):
                if not self._inbox:
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                batch, self._inbox = self._inbox[:_BATCH], self._inbox[_BATCH:]
                await self._commit(batch)
        finally:
            self._stopped.set()

    async def _commit(self, batch: list[_Waiting]) -> None:
        requests = [request for request, _ in batch]
        try:
            outcomes, effects = await self._database.hop(
                lambda connection: self._disk.run(connection, requests)
            )
        except BaseException as error:
            refusal = StorageUnavailable(f"the disk thread failed: {error}")
            self._answer(batch, [Outcome(None, refusal)] * len(batch))
            raise
        self._counters["commits"] += 1
        self._counters["requests"] += len(batch)
        self._after(effects)
        self._answer(batch, outcomes)

    def _answer(self, batch: list[_Waiting], outcomes: list[Outcome]) -> None:
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if outcome.error is None:
                future.set_result(outcome.result)
            else:
                self._counters["refused"] += 1
                future.set_exception(outcome.error)

    async def request(self, function: Callable[[Transaction], T]) -> T:
        """Have a function carried out in the next transaction.

        Returns:
            What it returned, once that is on the disk.

        Raises:
            Overloaded: too much is waiting already.
            StorageUnavailable: the disk refused, or the engine is closing; nothing was written.
        """
        if self._closing:
            raise StorageUnavailable("the engine is closing; send the request again in a moment")
        if len(self._inbox) >= _INBOX:
            raise Overloaded(f"{_INBOX} requests wait for the disk; send this one again later")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._inbox.append((function, future))
        self._arrived.set()
        return await future

    async def close(self) -> None:
        """Take nothing more on, and finish what was taken on; ``run`` returns by itself."""
        self._closing = True
        self._arrived.set()
        if self._running:
            await self._stopped.wait()
