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


def test_notices_of_one_moment_are_not_parted() -> None:
    """Whoever goes on behind the last one of a page gets every notice."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    truth.create_schema(disk)
    disk.execute(
        "INSERT INTO device (tenant, device, first_seen_ms, last_seen_ms) VALUES ('t', 'd', 1, 1)"
    )
    for now_ms, text in ((5, "a"), (6, "b"), (6, "c"), (6, "d"), (7, "e")):
        notices.note(disk, 1, Notice(Address("t", "d"), "epoch", text), now_ms=now_ms)

    told, after_ms = [], 0
    while page := notices.read(disk, tenant="t", after_ms=after_ms, limit=2):
        told.append([view.text for view in page])
        after_ms = page[-1].last_ms
    assert [["a", "b", "c", "d"], ["e"]] == told
    disk.close()
