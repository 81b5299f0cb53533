"""The hints that consoles are sent: which executions have changed since they were last told.

No state of an execution travels here, and no HTTP; who hears a hint reads again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

import msgspec

from edge.engine import Engine
from edge.model.errors import Overloaded
from edge.model.requests import Changed

_HEARTBEAT_S = 15.0
"""Seconds of silence before the stream says that it is still there: a dead connection is noticed by
the writing at this end, and at the other, where a comment would not be seen, by the silence."""

_MAX_WAITING = 256
"""Executions with an unsent hint, per client; beyond that the stream ends, the browser comes back,
and its page asks for everything anew."""

_MAX_CLIENTS = 32
"""Streams at once. A browser holds one; more are refused so that they cannot eat the memory."""

_encode = msgspec.json.Encoder().encode


class Hints:
    """What one client has not been told yet; the newest hint of each execution is enough."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Changed] = OrderedDict()
        self.overflowed = False
        """Whether hints have been dropped."""
        self._wake = asyncio.Event()

    def add(self, changed: Changed) -> None:
        """Take a hint; never waits and never grows beyond its limit."""
        self._waiting[changed.workflow_id] = changed
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.clear()
            self.overflowed = True
        self._wake.set()

    def wake(self) -> None:
        """Let who waits look again."""
        self._wake.set()

    async def wait(self, limit_s: float) -> None:
        """Return when there is something to send, or after ``limit_s`` seconds."""
        try:
            async with asyncio.timeout(limit_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def take(self) -> bytes:
        """Everything that waits, as event-stream text."""
        self._wake.clear()
        frames = [
            b"event: workflow\ndata: " + _frame(changed) + b"\n\n"
            for changed in self._waiting.values()
        ]
        self._waiting.clear()
        return b"".join(frames)


class Streams:
    """The open streams, so that their number is bounded and they end with the daemon."""

    def __init__(self) -> None:
        self._open: set[Hints] = set()
        self._closing = False

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """End every stream; the browser comes back by itself."""
        self._closing = True
        for hints in self._open:
            hints.wake()

    def open(self, engine: Engine, *, heartbeat_s: float = _HEARTBEAT_S) -> AsyncIterator[bytes]:
        """The text of one client's stream.

        Raises:
            Overloaded: too many are open.
        """
        if len(self._open) >= _MAX_CLIENTS:
            raise Overloaded(f"{_MAX_CLIENTS} streams are open already; close one")
        return self._events(engine, heartbeat_s)

    async def _events(self, engine: Engine, heartbeat_s: float) -> AsyncIterator[bytes]:
        hints = Hints()
        unsubscribe = engine.subscribe(hints.add)
        self._open.add(hints)
        try:
            # The browser waits this long before it comes back.
            yield b"retry: 2000\n\n"
            while not self._closing:
                await hints.wait(heartbeat_s)
                if hints.overflowed:
                    return
                yield hints.take() or b"event: still\ndata: {}\n\n"
        finally:
            self._open.discard(hints)
            unsubscribe()


def _frame(changed: Changed) -> bytes:
    return _encode({"workflowId": changed.workflow_id, "status": changed.status})
