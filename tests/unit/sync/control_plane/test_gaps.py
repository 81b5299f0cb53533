"""Gaps in the ledger: what was shed is told from what was lost."""

from __future__ import annotations

import sqlite3

from sync import frames, receiver
from sync.control_plane import gaps, projection, truth
from sync.database import in_transaction
from sync.records import GapRecord, Lane, Record, encode_body

TOPIC = "baton/1/default/roof/up/"


def take(disk: sqlite3.Connection, lane: Lane, *records: Record, oldest: int = 1) -> None:
    """Have the ledger take a frame, and show it."""
    payload = frames.encode(list(records), epoch=1, oldest_seq=oldest)
    arrival = receiver.read(f"{TOPIC}{int(lane)}", payload, received_ms=7)
    assert arrival is not None
    in_transaction(disk, lambda one: truth.commit(one, [arrival], now_ms=7))
    in_transaction(disk, lambda one: projection.project(one, limit=9))


def test_what_was_shed_is_told_from_what_was_lost() -> None:
    """Of nine missing records six are accounted for, with their kinds; also after a rebuild."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    take(disk, Lane.HISTORY, Record(Lane.HISTORY, 10, "task", 1, 1, b""), oldest=10)
    told = GapRecord(Lane.HISTORY, 4, 9, "budget", 600, {"task": 5, "workflow": 1})
    take(disk, Lane.CONTROL, Record(Lane.CONTROL, 1, "gap", 1, 1, encode_body(told)))

    for _ in range(2):
        (view,) = gaps.read(disk, tenant="default", device="roof")
        assert (1, 2, 1, 9, 7) == (
            view.epoch, view.lane, view.first_seq, view.last_seq, view.noted_ms
        )  # fmt: skip
        assert (6, ["budget"], {"task": 5, "workflow": 1}) == (view.shed, view.reasons, view.kinds)
        in_transaction(disk, projection.forget)
        in_transaction(disk, lambda one: projection.project(one, limit=9))
    assert [] == gaps.read(disk, tenant="default", device="cellar")
    disk.close()
