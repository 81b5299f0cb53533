"""A loop that does what is due, sleeps until the next moment, and can be woken before.

What is done in a round stands elsewhere; no clock is read here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from edge.model.errors import Overloaded, StorageUnavailable

log = structlog.get_logger()

_STORAGE_PAUSE_S = 1.0
"""Wait before the next try when the disk refuses to write."""

_TOLD_EVERY = 60
"""Tries between two lines of the log: a disk may be full for days."""


class Rounds:
    """One round after the other.

    Args:
        postponed: the name of the line that is logged when the disk refuses.
    """

    def __init__(self, postponed: str) -> None:
        self._postponed = postponed
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look again: something may be due sooner."""
        self._wake.set()

    async def run(self, once: Callable[[], Awaitable[float | None]]) -> None:
        """Run until cancelled.

        Args:
            once: does what is due; returns seconds until the next round, None = not before the
                loop is woken.
        """
        refused = 0
        while True:
            # Before the round: what comes during it is looked at in another.
            self._wake.clear()
            try:
                pause_s = await once()
                refused = 0
            except (StorageUnavailable, Overloaded) as error:
                if refused % _TOLD_EVERY == 0:
                    log.warning(self._postponed, reason=error.message)
                refused += 1
                pause_s = _STORAGE_PAUSE_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
