"""Group commit: what waits while the disk is busy shares the next transaction and its one fsync.

What the requests do, and what follows for the rest of the daemon, stands elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from edge.decider.scripts import ScriptNeedsTime
from edge.effects import Effects
from edge.load import Load
from edge.memory import Memory, Outcome, Unwritable
from edge.model.errors import Overloaded, StorageUnavailable
from edge.transactions import Disk, Transaction
from sync.database import Database, DatabaseError

T = TypeVar("T")

_BATCH = 500
"""Requests that share one COMMIT at most; the ones behind wait for the next."""

_INBOX = 10_000
"""Requests that may wait for the disk; beyond that a caller is told to come again. Starts may be half
of them: the other half is kept for what has begun."""

_STARTS_BESIDE = 100
"""Starts that share a COMMIT with other requests at most; those wait for no more of them."""

_FREE_MS = 2
"""Milliseconds after a commit at which the loop is looked at, and that it may be late."""

_MANY = 8
"""Requests, those of a commit and those that came meanwhile, from which on the next commit waits for
most of them to come again: until the loop is looked at, and no longer."""

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
        self._looked_at: asyncio.Future[None] | None = None
        self._is_seen = False

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
        self._is_seen = True
        if self._looked_at is not None and not self._looked_at.done():
            self._looked_at.set_result(None)

    @property
    def looked_at(self) -> asyncio.Future[None]:
        """Done when there is an answer, or when it is known that slow scripts come first.

        Made when somebody asks: hardly anybody does.
        """
        if self._looked_at is None:
            self._looked_at = self.answer.get_loop().create_future()
            if self._is_seen:
                self._looked_at.set_result(None)
        return self._looked_at


class GroupCommit:
    """The way to the disk. ``run`` must be running for any request to be answered.

    Args:
        database: written through its one writing connection.
        disk: carries the requests out.
        after: called with the effects of each COMMIT, before its callers are answered.
        renewed: called when the connections were made anew: what is in memory is read again.
        counters: ``commits``, ``requests``, ``refused`` and ``parked`` are counted here.
        load: is told how long commits take.
        monotonic_ms: milliseconds since an arbitrary moment.
    """

    def __init__(
        self,
        database: Database,
        disk: Disk,
        after: Callable[[Effects], None],
        counters: Counter[str],
        *,
        renewed: Callable[[], Awaitable[None]],
        load: Load,
        monotonic_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._disk = disk
        self._after = after
        self._renewed = renewed
        self._counters = counters
        self._load = load
        self._monotonic_ms = monotonic_ms
        self._idle_since_ms = self._asked_ms = monotonic_ms()
        """When the last commit ended, and since when something has waited for the next."""
        self._is_free = False
        """Whether the event loop has been free since the last commit."""
        self._is_committing = False
        self._inbox: list[Ticket[Any]] = []
        self._starts: deque[tuple[int, Ticket[Any]]] = deque()
        """Requests that begin something, with the moment of their arrival. They stand behind the
        others: a device that has too much to do gets done what it has begun."""
        self._parked: dict[Ticket[Any], None] = {}
        """Requests that are undone, until a script has been worked out in another thread."""
        self._wanted = 1
        """Requests that the next commit is for, until the loop is looked at after the last one."""
        self._arrived = asyncio.Event()
        self._closing = False
        self._stopped = asyncio.Event()
        self._running = False

    async def run(self) -> None:
        """Commit what arrives, until ``close``."""
        self._running = True
        try:
            while not (self._closing and not self._waiting()):
                if self._waiting() < (1 if self._closing else self._wanted):
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                await self._commit_and_time(self._take())
        finally:
            self._stopped.set()

    def _waiting(self) -> int:
        return len(self._inbox) + len(self._starts)

    def _take(self) -> list[Ticket[Any]]:
        """The requests of the next transaction."""
        batch, self._inbox = self._inbox[:_BATCH], self._inbox[_BATCH:]
        room = _BATCH - len(batch)
        for _ in range(min(len(self._starts), min(room, _STARTS_BESIDE) if batch else room)):
            batch.append(self._starts.popleft()[1])
        return batch

    async def _commit_and_time(self, batch: list[Ticket[Any]]) -> None:
        began_ms, syncs = self._monotonic_ms(), self._disk.figures.syncs
        synced_s, was_free, self._is_free = syncs.sum_s, self._is_free, False
        asked_ms = max(self._idle_since_ms, self._asked_ms)
        self._is_committing = True
        await self._commit(batch)
        self._is_committing = False
        ended_ms = self._monotonic_ms()
        took_ms, sync_ms = ended_ms - began_ms, (syncs.sum_s - synced_s) * 1000
        self._load.committed(
            # Who waits for others to come again does not rest.
            idle_ms=asked_ms - self._idle_since_ms,
            idle=was_free,
            took_ms=took_ms,
            sync_ms=round(sync_ms),
        )
        self._idle_since_ms = ended_ms
        # Clients that wait for one answer after another come in two halves otherwise, each of which
        # waits for the commit of the other: twice the commits. Where the disk is what is waited for,
        # that is as it should be: one half is worked on while the other is synced.
        under_way = len(batch) + self._waiting()
        gathers = under_way >= _MANY and sync_ms * 3 <= took_ms
        self._wanted = under_way * 3 // 4 if gathers else 1
        asyncio.get_running_loop().call_later(_FREE_MS / 1000, self._look, ended_ms + _FREE_MS)

    def _look(self, due_ms: int) -> None:
        """A loop that has something to do all the time comes late to what is due."""
        self._is_free = self._is_free or self._monotonic_ms() - due_ms < _FREE_MS
        if self._wanted > 1 and due_ms == self._idle_since_ms + _FREE_MS:
            self._wanted = 1
            self._announce()

    def _announce(self) -> None:
        """Something waits: have it committed, if it is what the next commit is for."""
        if self._waiting() == 1:
            self._asked_ms = self._monotonic_ms()
        if self._waiting() >= self._wanted:
            self._arrived.set()

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
            self._announce()

    def oldest_start_ms(self) -> int:
        """How long the foremost of the starts has waited that wait; 0 = none does."""
        return max(0, self._monotonic_ms() - self._starts[0][0]) if self._starts else 0

    def rested_ms(self) -> int:
        """Since the last commit; 0 = one is under way, or something waits for one."""
        if self._is_committing or self._waiting():
            return 0
        return max(0, self._monotonic_ms() - self._idle_since_ms)

    def submit(self, function: Callable[[Transaction], T], *, begins: bool = False) -> Ticket[T]:
        """Take a request on, to be carried out in the next transaction.

        One that cannot be taken on is answered at once, with the reason.

        Args:
            function: what to carry out.
            begins: whether something begins with it that was not there before.
        """
        ticket = Ticket(function, self._disk.memory())
        if self._closing:
            ticket.settle(Outcome(None, StorageUnavailable(_CLOSING)))
        elif (closed := self._disk.storage.closed()) is not None:
            ticket.settle(Outcome(None, closed))
        elif begins and len(self._starts) >= _INBOX // 2:
            message = f"{_INBOX // 2} starts wait for the disk; send this one again later"
            ticket.settle(Outcome(None, Overloaded(message)))
        elif self._waiting() >= _INBOX:
            message = f"{_INBOX} requests wait for the disk; send this one again later"
            ticket.settle(Outcome(None, Overloaded(message)))
        else:
            if begins:
                self._starts.append((self._monotonic_ms(), ticket))
            else:
                self._inbox.append(ticket)
            self._announce()
        return ticket

    async def request(self, function: Callable[[Transaction], T], *, begins: bool = False) -> T:
        """Have a function carried out in the next transaction.

        It may be carried out more than once: all but the last time are undone.

        Args:
            function: what to carry out.
            begins: whether something begins with it that was not there before.

        Returns:
            What it returned, once that is on the disk.

        Raises:
            Overloaded: too much is waiting already.
            StorageUnavailable: the disk refused, or the engine is closing; nothing was written.
        """
        return await self.submit(function, begins=begins).answer

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
