"""The device's database as everybody but the disk thread sees it: what is committed is there to read.

A COMMIT leaves the tables of executions behind; whoever reads them has them brought up to date
first, but for who wants a single execution. What is written, and when, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

from edge.model.executions import ORDINAL_BITS
from edge.store.committed import Elsewhere, Records, TableRecords
from edge.store.overlay import Lacking, overlaid
from sync.database import Database

T = TypeVar("T")


class Folding(Protocol):
    """Knows what the tables lack. Used on the writer's thread, but for the first."""

    @property
    def behind(self) -> bool:
        """Whether the tables lack anything that is committed; any thread may ask."""
        ...

    def fold(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date. Raises sqlite3.Error when the disk refuses."""
        ...

    def lacking(self, connection: sqlite3.Connection) -> Lacking:
        """What the tables lack; nothing is written."""
        ...

    def records(self, connection: sqlite3.Connection) -> Records:
        """The tables with what they lack. Raises Elsewhere: only ``fold`` helps."""
        ...


class FoldedDatabase(Database):
    """A Database whose ``read`` sees whatever has been acknowledged."""

    folding: Folding | None = None
    """Set once it is known who writes; before, nothing is behind."""

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the reading connection, in one snapshot of all that is committed."""
        folding = self.folding
        if folding is None or not folding.behind:
            return await super().read(function)
        try:
            # It is not synced, so no mark of the log may be made of it.
            await self._by(self._writer, folding.fold)
        except sqlite3.Error:
            # A disk that is full, or takes no writes, still has to be read from.
            lacking = await self._lacking(folding)
            return await self.glance(lambda c: overlaid(c, lacking, ORDINAL_BITS, function))
        return await super().read(function)

    async def look(self, function: Callable[[Records], T]) -> T:
        """Run ``function`` on a few records as of one commit; it may be run more than once."""
        folding = self.folding
        if folding is not None and folding.behind:
            with contextlib.suppress(Elsewhere, sqlite3.Error):
                return await self._by(self._writer, lambda c: function(folding.records(c)))
        return await self.read(lambda c: function(TableRecords(c)))

    async def _lacking(self, folding: Folding) -> Lacking:
        try:
            return await self._by(self._writer, folding.lacking)
        except sqlite3.Error:
            # Nobody writes: the database was opened to be read.
            return await self.glance(folding.lacking)
