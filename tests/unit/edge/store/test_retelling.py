"""How far executions have been told anew: by their keys, the newest first, over restarts."""

from __future__ import annotations

import sqlite3

from edge.store import retelling
from edge.store.migrations import migrate


def test_the_newest_are_told_first() -> None:
    """A page at a time, from where the one before ended; nothing is wanted before and afterwards."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    connection.executemany(
        "INSERT INTO workflow (key, id, name, status, created_ms, body)"
        " VALUES (?, ?, 'a', 'RUNNING', 1, x'00')",
        [(key, bytes([key]) * 16) for key in (1, 2, 3)],
    )
    wanted = [retelling.wanted(connection), retelling.page(connection, 5)]
    retelling.begin(connection)
    wanted += [retelling.wanted(connection), retelling.page(connection, 2)]
    retelling.note(connection, 2)
    wanted += [retelling.wanted(connection), retelling.page(connection, 2)]
    retelling.note(connection, 0)

    two, three, one = ((key, bytes([key]) * 16) for key in (2, 3, 1))
    assert [False, [], True, [three, two], True, [one]] == wanted
    assert not retelling.wanted(connection)
    connection.close()
