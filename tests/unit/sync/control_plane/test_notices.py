"""Notices: kept once, counted when they come again."""

from __future__ import annotations

import sqlite3

from sync.control_plane import notices, truth
from sync.receiver import Notice
from sync.topics import Address


def test_the_same_again_is_counted() -> None:
    """What came again is new to whoever has seen it before."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    truth.create_schema(disk)
    disk.execute(
        "INSERT INTO device (tenant, device, first_seen_ms, last_seen_ms) VALUES ('t', 'd', 1, 1)"
    )
    one, two = (Notice(Address("t", "d"), "epoch", text) for text in ("one", "two"))
    for now_ms, notice in ((5, one), (6, two), (7, one)):
        notices.note(disk, 1, notice, now_ms=now_ms)

    found = notices.read(disk, tenant="t", after_ms=0, limit=9)
    assert [("two", 6, 6, 1), ("one", 5, 7, 2)] == [
        (view.text, view.first_ms, view.last_ms, view.times) for view in found
    ]
    assert ["one"] == [view.text for view in notices.read(disk, tenant="t", after_ms=6, limit=9)]
    assert [] == notices.read(disk, tenant="u", after_ms=0, limit=9)
    disk.close()
