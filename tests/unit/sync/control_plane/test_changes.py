"""Numbers of changes: ascending, each given once."""

from __future__ import annotations

import sqlite3

from sync.control_plane import truth
from sync.control_plane.changes import take_changes


def test_numbers_are_given_once() -> None:
    """Several at a time, from 1 on, without holes."""
    disk = sqlite3.connect(":memory:")
    truth.create_schema(disk)

    assert [1, 4, 5] == [take_changes(disk, count) for count in (3, 1, 2)]
    disk.close()
