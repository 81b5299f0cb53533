"""Group commit: what waits while the disk is busy shares the next transaction and its one fsync.

What the requests do, and what follows for the rest of the daemon, stands elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from edge.decider.scripts import ScriptNeedsTime
from edge.effects import Effects
from edge.memory import Memory, Outcome, Unwritable
from edge.model.errors import Overloaded, StorageUnavailable
from edge.transactions import Disk, Transaction
from sync.database import Database, DatabaseError

T = TypeVar("T")

_BATCH = 500
"""Requests that share one COMMIT at most; the ones behind wait for the next."""

_INBOX = 10_000
"""Requests that may wait for the disk; beyond that a caller is told to come again."""

_PARKED = 200
"""Requests that may wait for slow scripts. Two of those run at a time and each for seconds: whoever
came behind more of them would wait for minutes, and is told to come again instead."""

_CLOSING = "the engine is closing; send the request again in a moment"


class Ticket(Generic[T]):
    """A request that has been taken on.

    Args:
        function: what to carry out.
        memory: what it remembers when it has to be carried out again.
    """

    def __init__(self, function: Callable[[Transaction], T], memory: Memory) -> None:
        loop = asyncio.get_running_loop()
        self.function = function
        self.memory = memory
        self.answer: asyncio.Future[T] = loop.create_future()
        """What the function returned, once that is on the disk, or why it is not."""
        self.looked_at: asyncio.Future[None] = loop.create_future()
        """Done when there is an answer, or when it is known that slow scripts come first."""

    def settle(self, outcome: Outcome) -> None:
        """Tell whoever waits; nobody may."""
        self.see()
        if self.answer.done():
            return
        if outcome.error is None:
            self.answer.set_result(outcome.result)
        else:
            self.answer.set_exception(outcome.error)

    def see(self) -> None:
        """The disk has seen it."""
        if not self.looked_at.done():
            self.looked_at.set_result(None)


class GroupCommit:
    """The way to the disk. ``run`` must be running for any request to be answered.

    Args:
        database: written through its one writing connection.
        disk: carries the requests out.
        after: called with the effects of each COMMIT, before its callers are answered.
        renewed: called when the connections were made anew: what is in memory is read again.
        counters: ``commits``, ``requests``, ``refused`` and ``parked`` are counted here.
    """

    def __init__(
        self,
        database: Database,
        disk: Disk,
        after: Callable[[Effects], None],
        counters: Counter[str],
        renewed: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._disk = disk
        self._after = after
        self._renewed = renewed
        self._counters = counters
        self._inbox: list[Ticket[Any]] = []
        self._parked: dict[Ticket[Any], None] = {}
        """Requests that are undone, until a script has been worked out in another thread."""
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

    async def _commit(self, batch: list[Ticket[Any]]) -> None:
        requests = [ticket.function for ticket in batch]
        memories = [ticket.memory for ticket in batch]
        try:
            if self._disk.storage.stale:
                await self._renew()
            outcomes, effects = await self._database.hop(
                lambda connection: self._disk.run(connection, requests, memories)
            )
        except Unwritable:
            # The others must not suffer for the one, and nobody knows yet which it is.
            for ticket in batch:
                await self._commit([ticket])
            return
        except DatabaseError as error:
            # The connections could not be made anew; the next batch tries it again.
            self._refuse(batch, self._disk.storage.not_renewed(error))
            return
        except BaseException as error:
            self._refuse(batch, StorageUnavailable(f"the disk thread failed: {error}"))
            raise
        self._counters["commits"] += 1
        self._counters["requests"] += len(batch)
        self._after(effects)
        for ticket, outcome in zip(batch, outcomes, strict=True):
            if outcome.need is not None:
                self._park(ticket, outcome.need)
                continue
            if outcome.error is not None:
                self._counters["refused"] += 1
            ticket.settle(outcome)

    def _refuse(self, batch: list[Ticket[Any]], refusal: StorageUnavailable) -> None:
        for ticket in batch:
            ticket.settle(Outcome(None, refusal))

    async def _renew(self) -> None:
        """After a COMMIT of which nobody knows what it came to.

        A sync that has failed is never tried again on the same file: the system may have dropped
        what it could not write, and would say that all is well.
        """
        await self._database.reopen()
        self._disk.storage.reopened()
        await self._renewed()

    def _park(self, ticket: Ticket[Any], need: ScriptNeedsTime) -> None:
        """Let a request wait for a script, without a place in any line."""
        if self._closing:
            ticket.settle(Outcome(None, StorageUnavailable(_CLOSING)))
            return
        if len(self._parked) >= _PARKED:
            message = f"{_PARKED} requests wait for slow scripts; send this one again later"
            ticket.settle(Outcome(None, Overloaded(message)))
            return
        self._counters["parked"] += 1
        self._parked[ticket] = None
        ticket.see()
        loop = asyncio.get_running_loop()
        need.begin(partial(call_soon, loop, partial(self._again, ticket)))

    def _again(self, ticket: Ticket[Any]) -> None:
        """A script has been worked out: carry its request out again."""
        if ticket in self._parked:
            del self._parked[ticket]
            self._inbox.append(ticket)
            self._arrived.set()

    def submit(self, function: Callable[[Transaction], T]) -> Ticket[T]:
        """Take a request on, to be carried out in the next transaction.

        One that cannot be taken on is answered at once, with the reason.
        """
        ticket = Ticket(function, self._disk.memory())
        if self._closing:
            ticket.settle(Outcome(None, StorageUnavailable(_CLOSING)))
        elif (closed := self._disk.storage.closed()) is not None:
            ticket.settle(Outcome(None, closed))
        elif len(self._inbox) >= _INBOX:
            message = f"{_INBOX} requests wait for the disk; send this one again later"
            ticket.settle(Outcome(None, Overloaded(message)))
        else:
            self._inbox.append(ticket)
            self._arrived.set()
        return ticket

    async def request(self, function: Callable[[Transaction], T]) -> T:
        """Have a function carried out in the next transaction.

        It may be carried out more than once: all but the last time are undone.

        Returns:
            What it returned, once that is on the disk.

        Raises:
            Overloaded: too much is waiting already.
            StorageUnavailable: the disk refused, or the engine is closing; nothing was written.
        """
        return await self.submit(function).answer

    async def close(self) -> None:
        """Take nothing more on, and finish what was taken on; ``run`` returns by itself.

        What waits for a script is refused: it may wait for long.
        """
        self._closing = True
        self._arrived.set()
        refusal = StorageUnavailable(_CLOSING)
        while self._parked:
            self._parked.popitem()[0].settle(Outcome(None, refusal))
        if self._running:
            await self._stopped.wait()


def call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From the thread of a script, which may outlive the loop."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
