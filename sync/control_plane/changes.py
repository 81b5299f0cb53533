"""The numbers of changes, from which pages that follow the ledger go on.

What has changed is not known here.
"""

from __future__ import annotations

from sync.control_plane.dialect import Connection

_TAKE = "UPDATE counter SET value = value + ? WHERE name = 'change' RETURNING value"


def take_changes(connection: Connection, count: int) -> int:
    """Set aside `count` change numbers; the first of them."""
    found = connection.execute(_TAKE, (count,)).fetchone()
    return int(found[0]) - count + 1
