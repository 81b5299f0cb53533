"""Bringing the tables of executions up to date, outside of the requests that change executions.

Who has to be shown them, and when, is decided elsewhere. Runs on the disk thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from edge.storage import Storage
from edge.store.committed import CommittedRecords, Elsewhere
from edge.store.executions import Executions
from edge.store.metadata import Metadata
from edge.store.overlay import Lacking


class Tables:
    """The tables of executions, which each COMMIT leaves behind.

    Args:
        executions: knows what they lack.
        metadata: knows the definitions.
        storage: is told what the disk refuses.
        undo: rolls back, and has what is in memory read again.
    """

    def __init__(
        self,
        executions: Executions,
        metadata: Metadata,
        storage: Storage,
        undo: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._executions = executions
        self._metadata = metadata
        self._storage = storage
        self._undo = undo

    @property
    def behind(self) -> bool:
        """Whether they may lack anything that is committed; any thread may ask."""
        return self._executions.unfolded

    def fold(self, connection: sqlite3.Connection) -> None:
        """Bring them up to date, in a transaction of its own.

        It is not synced: what it puts in place stands in the rows of ``redo`` until it is.

        Raises:
            sqlite3.Error: the disk takes no writes, or has refused this one; nothing has changed.
        """
        if self._storage.stale or self._storage.closed() is not None:
            raise sqlite3.OperationalError("nothing may be written now")
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._executions.fold(connection)
            connection.execute("COMMIT")
            self._executions.committed()
        except sqlite3.Error as error:
            self._undo(connection)
            self._storage.refusal(error)
            raise
        except BaseException:
            self._undo(connection)
            raise
        finally:
            connection.execute("PRAGMA synchronous = FULL")

    def end(self, connection: sqlite3.Connection) -> None:
        """Bring them up to date for good; the transaction is the caller's."""
        self._executions.fold(connection)

    def lacking(self, connection: sqlite3.Connection) -> Lacking:
        """What they lack, for those who read while the disk refuses to have it put there."""
        return self._executions.lacking(connection)

    def records(self, connection: sqlite3.Connection) -> CommittedRecords:
        """Single records, as they are with what the tables lack.

        Raises:
            Elsewhere: this is not the way to them now.
        """
        recent = self._executions.recent
        if recent is None:
            raise Elsewhere
        return CommittedRecords(connection, recent, self._metadata)
