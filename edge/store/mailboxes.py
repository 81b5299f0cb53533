"""Messages that were sent to running executions and that no task of theirs has taken yet.

Who may send and who takes is decided elsewhere.
"""

from __future__ import annotations

import sqlite3

import msgspec

_COUNT = "SELECT count(*), max(received_ms) FROM workflow_message WHERE workflow = ?"
_PUT = """
INSERT INTO workflow_message (workflow, id, received_ms, payload) VALUES (?, ?, ?, ?)
"""
_OLDEST = """
SELECT key, id, received_ms, payload FROM workflow_message
 WHERE workflow = ?
 ORDER BY key
 LIMIT ?
"""
_TAKE = "DELETE FROM workflow_message WHERE key = ?"
_CLEAR = "DELETE FROM workflow_message WHERE workflow = ?"
_FILLED = "SELECT DISTINCT workflow FROM workflow_message"

MAX_MESSAGES = 1_000
"""Messages that wait for one execution, as in Conductor."""

_TTL_MS = 24 * 3_600 * 1_000
"""How long messages wait after the last of them has come, as in Conductor."""


class Letter(msgspec.Struct, frozen=True):
    """One message to an execution."""

    id: str
    received_ms: int
    payload: bytes
    """A JSON object."""


class Mailboxes:
    """The messages of all executions; runs on the writer's thread only."""

    def __init__(self) -> None:
        self._filled: set[int] | None = None
        """Executions that may have messages: most have none, and their end costs no statement."""

    def put(self, connection: sqlite3.Connection, workflow: int, letter: Letter) -> bool:
        """Add a message to those of an execution; False when there is no room."""
        self._expire(connection, workflow, letter.received_ms)
        if connection.execute(_COUNT, (workflow,)).fetchone()[0] >= MAX_MESSAGES:
            return False
        row = (workflow, letter.id, letter.received_ms, letter.payload)
        connection.execute(_PUT, row)
        self._known(connection).add(workflow)
        return True

    def take(
        self, connection: sqlite3.Connection, workflow: int, limit: int, now_ms: int
    ) -> list[Letter]:
        """Take the oldest messages of an execution."""
        if workflow not in self._known(connection):
            return []
        self._expire(connection, workflow, now_ms)
        rows = connection.execute(_OLDEST, (workflow, limit)).fetchall()
        connection.executemany(_TAKE, [(row[0],) for row in rows])
        return [Letter(*row[1:]) for row in rows]

    def close(self, connection: sqlite3.Connection, workflow: int) -> None:
        """An execution has ended: nobody will take its messages."""
        known = self._known(connection)
        if workflow in known:
            connection.execute(_CLEAR, (workflow,))
            known.discard(workflow)

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory may be ahead of the disk."""
        self._filled = None

    def _expire(self, connection: sqlite3.Connection, workflow: int, now_ms: int) -> None:
        newest_ms = connection.execute(_COUNT, (workflow,)).fetchone()[1]
        if newest_ms is not None and newest_ms + _TTL_MS <= now_ms:
            connection.execute(_CLEAR, (workflow,))

    def _known(self, connection: sqlite3.Connection) -> set[int]:
        if self._filled is None:
            self._filled = {row[0] for row in connection.execute(_FILLED)}
        return self._filled
