"""Pollers that wait for tasks, thousands of them, with one timer for all.

Which tasks there are is not known here. A task and a timer for each poll would cost more than the
rest of it.
"""

from __future__ import annotations

import asyncio
import heapq

_OVER = 64
"""Ends of waits that are over already, and lie around still, when they are more than half of all;
then they are cleared away at once."""

_EARLY_S = 0.001
"""Timers are as exact as this; whoever is due within it is not woken for by another."""


class Waiters:
    """Who waits at which queue. Used from the event loop only, but for ``is_waited_for``."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[bool], None]] = {}
        """In the order of their arrival."""
        self._ends: list[tuple[float, int, asyncio.Future[bool]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._arrivals = 0
        self._over = 0
        self.closed = False
        """Whether nobody is let wait any more."""

    async def wait(self, queue: str, timeout_s: float) -> bool:
        """Wait until a task may be there. False when the time has passed, or nobody is let wait."""
        if self.closed:
            return False
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(queue, {})[future] = None
        self._arrivals += 1
        end = (loop.time() + timeout_s, self._arrivals, future)
        heapq.heappush(self._ends, end)
        if self._ends[0] is end:
            self._set(loop)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.result():
                # This caller was woken and goes away: somebody else must have a look.
                self.wake(queue, 1)
            raise
        finally:
            self._leave(queue, future)

    def wake(self, queue: str, count: int) -> None:
        """Let so many of those who have waited longest look again."""
        waiting = self._waiting.get(queue)
        while waiting and count > 0:
            future = next(iter(waiting))
            del waiting[future]
            if not future.done():
                future.set_result(True)
                count -= 1

    def wake_all(self) -> None:
        """Let all pollers look again: what kept tasks from them is over."""
        for queue, waiting in list(self._waiting.items()):
            self.wake(queue, len(waiting))

    def close(self) -> None:
        """Let all go without a task, and whoever comes from now on."""
        self.closed = True
        for waiting in list(self._waiting.values()):
            for future in list(waiting):
                if not future.done():
                    future.set_result(False)

    def is_waited_for(self, queue: str) -> bool:
        """Whether a poller waits right now; any thread may ask."""
        return queue in self._waiting

    def _leave(self, queue: str, future: asyncio.Future[bool]) -> None:
        """A wait is over."""
        waiting = self._waiting.get(queue)
        if waiting is not None:
            waiting.pop(future, None)
            if not waiting:
                del self._waiting[queue]
        if future.cancelled() or future.result():
            self._over += 1
            if self._over > _OVER and self._over * 2 > len(self._ends):
                self._ends = [end for end in self._ends if not end[2].done()]
                heapq.heapify(self._ends)
                self._over = 0

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the one timer to the first end."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._ends[0][0], self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits whose time has passed."""
        self._timer = None
        due_s = loop.time() + _EARLY_S
        while self._ends and (self._ends[0][0] <= due_s or self._ends[0][2].done()):
            future = heapq.heappop(self._ends)[2]
            if future.done():
                self._over -= 1
            else:
                future.set_result(False)
        if self._ends:
            self._set(loop)
