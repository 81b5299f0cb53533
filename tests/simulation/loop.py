"""An event loop on virtual time: waiting costs nothing, and chance decides who goes first.

Nothing of Baton is known here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from itertools import count
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

MOST_STEPS_AT_ONCE = 50_000
"""Turns of the loop without any time passing; a world of this size needs some hundreds."""


class Machine(Protocol):
    """What a piece of work belongs to: with its power gone, its threads do not go on."""

    dead: bool


MACHINE: ContextVar[Machine | None] = ContextVar("machine", default=None)
"""The machine that the running task belongs to; None = the world outside of all machines."""


class Deadlock(Exception):
    """Everybody waits for somebody, and no timer is set."""


class Livelock(Exception):
    """The loop turns and turns, and no time passes."""


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where in memory it lies."""

    numbers = count()

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = next(SimTask.numbers)
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class _Selector:
    """Moves the time to the next timer instead of waiting for it."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let ``timeout`` seconds pass at once; None = there is nothing to wait for."""
        if timeout is None:
            raise Deadlock("everybody waits, and no timer is set")
        if timeout > 0:
            self._loop.pass_to_next_timer(timeout)
        return []

    def close(self) -> None:
        """Nothing is open."""


class SimLoop(asyncio.BaseEventLoop):
    """Seconds of virtual time from 0 on.

    Args:
        seed: decides how long threads take, and who goes first.
        shuffled: whether those that are ready together go in an order of chance.
    """

    def __init__(self, seed: str, *, shuffled: bool) -> None:
        self._now_s = 0.0
        super().__init__()
        self._selector = _Selector(self)
        # Fine enough, and coarse enough to be a difference after a year in seconds.
        self._clock_resolution = 1e-6
        self._chance = random.Random(f"{seed}:loop")
        self._shuffled = shuffled
        self._stuck = 0
        self.steps = 0
        SimTask.numbers = count()
        self.set_task_factory(_make_task)
        self.faults: list[str] = []
        self.set_exception_handler(self._note_fault)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def pass_to_next_timer(self, timeout: float) -> None:
        """Let time pass until the first timer is due."""
        self._stuck = 0
        scheduled = self._scheduled  # type: ignore[attr-defined]
        due_s = scheduled[0].when() if scheduled else self._now_s + timeout
        self._now_s = max(self._now_s, min(due_s, self._now_s + timeout))

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., T], *arguments: Any
    ) -> asyncio.Future[T]:
        """No threads: the function runs here, a little later, if its machine still lives then."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        machine = MACHINE.get()

        def work() -> None:
            if future.done() or (machine is not None and machine.dead):
                return
            try:
                future.set_result(function(*arguments))
            except Exception as error:  # noqa: BLE001 - as a thread would hand it on
                future.set_exception(error)

        self.call_later(self._chance.random() * 0.02, work)
        return future

    def _run_once(self) -> None:
        self.steps += 1
        self._stuck += 1
        if self._stuck > MOST_STEPS_AT_ONCE:
            self._stuck = 0
            raise Livelock(f"{MOST_STEPS_AT_ONCE} turns at {self._now_s:.3f} s")
        ready = self._ready  # type: ignore[attr-defined]
        if self._shuffled and len(ready) > 1:
            order = list(ready)
            self._chance.shuffle(order)
            ready.clear()
            ready.extend(order)
        super()._run_once()  # type: ignore[misc]

    def _process_events(self, events: list[Any]) -> None:
        """There are no sockets here."""

    def _write_to_self(self) -> None:
        """Nobody waits in a system call."""

    def _note_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.faults.append(f"{context.get('message')}: {type(error).__name__}: {error}")


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Any,
    context: Context | None = None,
    **options: Any,
) -> asyncio.Future[Any]:
    return SimTask(coroutine, loop=loop, context=context, **options)
