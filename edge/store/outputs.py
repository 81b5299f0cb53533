"""Outputs of tasks that later ones take over: a bounded table, each row until it expires.

Which task may take over what is decided elsewhere. Runs on the writer's thread only.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from edge.model.outputs import KeptOutput

_FIND = """
SELECT output FROM kept_output WHERE name = ? AND cache_key = ? AND expires_ms > ?
"""
_PUT = """
INSERT INTO kept_output (name, cache_key, expires_ms, output) VALUES (?, ?, ?, ?)
ON CONFLICT (name, cache_key) DO UPDATE SET
  expires_ms = excluded.expires_ms, output = excluded.output
"""
_SIZE = "SELECT count(*), coalesce(sum(length(output)), 0) FROM kept_output"
_DROP_NAME = "DELETE FROM kept_output WHERE name = ?"
_DROP_EXPIRED = "DELETE FROM kept_output WHERE expires_ms <= ?"
_SOONEST = "SELECT name, cache_key, length(output) FROM kept_output ORDER BY expires_ms"
_DROP = "DELETE FROM kept_output WHERE name = ? AND cache_key = ?"

MAX_ROWS = 10_000
"""Outputs that are kept; beyond them, those that would expire first are dropped."""

MAX_BYTES = 32 * 1024 * 1024
"""Of all outputs together."""

MAX_OUTPUT_BYTES = 256 * 1024
"""A larger output is not kept: to run the task again is cheaper than to push out a hundred others."""

_MAX_KEY = 200
"""Characters of a key that are stored as they are; of a longer one only the digest is."""


class Outputs:
    """The outputs that are kept; what a batch adds is written with its COMMIT."""

    def __init__(self) -> None:
        self._staged: dict[tuple[str, str], KeptOutput] = {}
        self._rows: int | None = None
        """Rows in the table, at most: replaced ones count twice. None = not counted yet."""
        self._bytes = 0

    def find(
        self, connection: sqlite3.Connection, name: str, key: str, now_ms: int
    ) -> bytes | None:
        """The output that is kept for a definition and a key, if it has not expired."""
        short = _short(key)
        staged = self._staged.get((name, short))
        if staged is not None:
            return staged.output if staged.expires_ms > now_ms else None
        row = connection.execute(_FIND, (name, short, now_ms)).fetchone()
        return None if row is None else bytes(row[0])

    def at(self, connection: sqlite3.Connection, now_ms: int) -> KeptNow:
        """The answers as a connection sees them at a moment."""
        return KeptNow(self, connection, now_ms)

    def add(self, outputs: Iterable[KeptOutput]) -> None:
        """Keep outputs from the next flush on; one that is too large is left out."""
        for one in outputs:
            if len(one.output) <= MAX_OUTPUT_BYTES:
                self._staged[one.name, _short(one.key)] = one

    def clear(self, connection: sqlite3.Connection, name: str) -> int:
        """Forget the outputs of a definition; returns how many there were."""
        for staged in [staged for staged in self._staged if staged[0] == name]:
            del self._staged[staged]
        self._rows = None
        return connection.execute(_DROP_NAME, (name,)).rowcount

    def flush(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Write what was added, and drop what is too much; the transaction stays open."""
        if not self._staged:
            return
        if self._rows is None:
            self._count(connection)
        rows = [(*which, one.expires_ms, one.output) for which, one in self._staged.items()]
        connection.executemany(_PUT, rows)
        self._rows = (self._rows or 0) + len(self._staged)
        self._bytes += sum(len(one.output) for one in self._staged.values())
        self._staged.clear()
        if self._rows > MAX_ROWS or self._bytes > MAX_BYTES:
            self._make_room(connection, now_ms)

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory is ahead of the disk."""
        self._staged.clear()
        self._rows = None

    def _count(self, connection: sqlite3.Connection) -> None:
        self._rows, self._bytes = connection.execute(_SIZE).fetchone()

    def _make_room(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Drop what has expired and, if that is not enough, what expires soonest.

        A tenth more than needed, so that a full table is not tidied with every output.
        """
        connection.execute(_DROP_EXPIRED, (now_ms,))
        self._count(connection)
        rows, size = self._rows or 0, self._bytes
        if rows <= MAX_ROWS and size <= MAX_BYTES:
            return
        doomed: list[tuple[str, str]] = []
        for name, key, length in connection.execute(_SOONEST):
            if rows <= MAX_ROWS * 9 // 10 and size <= MAX_BYTES * 9 // 10:
                break
            doomed.append((name, key))
            rows, size = rows - 1, size - length
        connection.executemany(_DROP, doomed)
        self._rows, self._bytes = rows, size


class KeptNow(NamedTuple):
    """What is kept at one moment: the decider's ``Outputs``."""

    outputs: Outputs
    connection: sqlite3.Connection
    now_ms: int

    def find(self, name: str, key: str) -> bytes | None:
        """The output for a task definition and a key, unless it has expired."""
        return self.outputs.find(self.connection, name, key, self.now_ms)


def _short(key: str) -> str:
    if len(key) <= _MAX_KEY:
        return key
    return f"blake2b:{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
