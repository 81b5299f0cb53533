"""How far executions have been told anew to the control plane, after an epoch has begun.

What is told of them, and to whom, is not known here.
"""

from __future__ import annotations

import sqlite3

from edge.store import facts

_BELOW = "tell_anew_below"
_ALL = 2**62
"""Above every key of an execution."""

_PAGE = "SELECT key, id FROM workflow WHERE key < ? ORDER BY key DESC LIMIT ?"


def begin_epoch(connection: sqlite3.Connection, epoch: int) -> None:
    """Begin a new lineage, as `facts.begin_epoch`, and have all executions told anew."""
    facts.begin_epoch(connection, epoch)
    begin(connection)


def begin(connection: sqlite3.Connection) -> None:
    """All executions are to be told anew, those that started last before all others."""
    facts.write(connection, _BELOW, _ALL)


def wanted(connection: sqlite3.Connection) -> bool:
    """Whether some are still to be told."""
    return facts.read(connection, _BELOW) > 0


def page(connection: sqlite3.Connection, limit: int) -> list[tuple[int, bytes]]:
    """The keys and ids of the next ones; none = all of them are told."""
    rows = connection.execute(_PAGE, (facts.read(connection, _BELOW), limit))
    return [(int(key), bytes(workflow_id)) for key, workflow_id in rows]


def note(connection: sqlite3.Connection, below: int) -> None:
    """Those from this key on are told; 0 = all of them are."""
    facts.write(connection, _BELOW, below)
