"""How far executions have been told anew to the control plane, after an epoch has begun.

What is told of them, and to whom, is not known here.
"""

from __future__ import annotations

import sqlite3

from edge.store import facts, outbox
from sync.records import Lane

_BELOW = "tell_anew_below"
_FAILURES_BELOW = "tell_failures_below"
_FAILURES_SINCE = "tell_failures_since"
_ALL = 2**62
"""Above every key of an execution."""

_SLACK_MS = 60_000
"""A record may be stamped a little later than what it tells of."""

_PAGE = "SELECT key, id FROM workflow WHERE key < ? ORDER BY key DESC LIMIT ?"
_STATUSES = "SELECT key, id, status FROM workflow WHERE key < ? ORDER BY key DESC LIMIT ?"


def begin_epoch(connection: sqlite3.Connection, epoch: int, *, all_of_them: bool = True) -> None:
    """Begin a new lineage, as `facts.begin_epoch`, and have executions told anew.

    Args:
        connection: to the database, in a transaction.
        epoch: that begins.
        all_of_them: else only failures that were told ahead of history that still waits.
    """
    facts.begin_epoch(connection, epoch)
    begin_failures(connection)
    if all_of_them:
        begin(connection)


def begin_failures(connection: sqlite3.Connection) -> None:
    """Failures are to be told anew that may have gone ahead of what waits of their executions.

    The epoch begins between the two, and what is told under the later one counts: without its
    failure an execution would be shown as it was before.
    """
    acked, _, newest = outbox.read_lanes(connection).get(Lane.HISTORY, (0, 1, 0))
    waiting = outbox.read_records(connection, Lane.HISTORY, acked, 1, 1) if newest > acked else []
    if waiting:
        facts.write(connection, _FAILURES_SINCE, max(0, waiting[0].recorded_ms - _SLACK_MS))
        facts.write(connection, _FAILURES_BELOW, _ALL)


def failures_wanted(connection: sqlite3.Connection) -> bool:
    """Whether failures are still to be looked for."""
    return facts.read(connection, _FAILURES_BELOW) > 0


def failures_since(connection: sqlite3.Connection) -> int:
    """Those from this time on, in epoch milliseconds."""
    return facts.read(connection, _FAILURES_SINCE)


def statuses(connection: sqlite3.Connection, limit: int) -> list[tuple[int, bytes, str]]:
    """Keys, ids and statuses of the next executions to look at; none = all have been looked at."""
    rows = connection.execute(_STATUSES, (facts.read(connection, _FAILURES_BELOW), limit))
    return [(int(key), bytes(workflow_id), status) for key, workflow_id, status in rows]


def note_failures(connection: sqlite3.Connection, below: int) -> None:
    """Those from this key on have been looked at; 0 = all of them have."""
    facts.write(connection, _FAILURES_BELOW, below)


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
