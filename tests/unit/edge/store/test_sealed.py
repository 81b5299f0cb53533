"""Runs of records: smaller, read as if they were rows, and no trap when the storage damages one."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.model.errors import RowDamaged
from edge.store import integrity, outbox, sealed
from edge.store.migrations import SCHEMA_VERSION, migrate
from edge.store.outbox import OutboxWriter
from edge.store.salvage import rebuild
from sync import frames
from sync.database import in_transaction
from sync.frames import MAX_RECORDS
from sync.records import Lane, TaskRecord, encode_body
from sync.runs import Run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with 1,100 records of history."""
    connection = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    in_transaction(connection, migrate)
    writer = OutboxWriter()
    for number in range(1_100):
        body = b"\x81\xa1n" + number.to_bytes(2, "big") + b"some text of a record" * 3
        writer.add(connection, Lane.HISTORY, "task", body, now_ms=number, boot=1)
    in_transaction(connection, writer.flush)
    yield connection
    connection.close()


def test_a_run_is_read_like_rows(disk: sqlite3.Connection) -> None:
    """From any place on, also across its end; what is acknowledged goes when all of it is."""
    before = outbox.read_records(disk, Lane.HISTORY, 0, 2_000, 10**9)
    weight = outbox.held_bytes(disk)[Lane.HISTORY]
    assert outbox.seal(disk, Lane.HISTORY)
    assert outbox.seal(disk, Lane.HISTORY)
    assert not outbox.seal(disk, Lane.HISTORY)

    after, at = [], 0
    while found := outbox.read_records(disk, Lane.HISTORY, at, 300, 10**9):
        after += found
        at = found[-1].seq
    assert before == after
    assert before[700:702] == outbox.read_records(disk, Lane.HISTORY, 700, 2, 10**9)
    assert outbox.held_bytes(disk)[Lane.HISTORY] < weight / 3
    outbox.acknowledge(disk, {int(Lane.HISTORY): MAX_RECORDS + 1})
    assert (MAX_RECORDS + 1, MAX_RECORDS + 1, 1_100) == outbox.read_lanes(disk)[Lane.HISTORY]
    outbox.acknowledge(disk, {int(Lane.HISTORY): 1_100})
    assert {Lane.HISTORY: 0} == outbox.held_bytes(disk)


def test_a_whole_run_is_read_as_it_is_kept(disk: sqlite3.Connection) -> None:
    """From its beginning and where all of it is wanted; else record by record."""
    rows = outbox.read_records(disk, Lane.HISTORY, 0, MAX_RECORDS, 10**9)
    outbox.seal(disk, Lane.HISTORY)

    whole = outbox.read_portion(disk, Lane.HISTORY, 0, MAX_RECORDS, 10)
    assert isinstance(whole, Run)
    assert (Lane.HISTORY, 1, MAX_RECORDS) == (whole.lane, whole.first_seq, whole.count)
    assert rows == whole.unpack()
    assert rows[:7] == outbox.read_portion(disk, Lane.HISTORY, 0, 7, 10**9)
    assert rows[4:] == outbox.read_portion(disk, Lane.HISTORY, 4, MAX_RECORDS, 10**9)


def test_a_damaged_run_does_not_stop_its_lane(disk: sqlite3.Connection) -> None:
    """Its records are sent without bodies; the check names it."""
    outbox.seal(disk, Lane.HISTORY)
    disk.execute("UPDATE sealed SET frame = substr(frame, 1, 100)")

    assert not isinstance(outbox.read_portion(disk, Lane.HISTORY, 0, 2_000, 10**9), Run)
    found = outbox.read_records(disk, Lane.HISTORY, 10, 2_000, 10**9)
    assert list(range(11, MAX_RECORDS + 1)) == [record.seq for record in found]
    assert {b""} == {record.body for record in found}
    (key, frame) = disk.execute("SELECT key, frame FROM sealed").fetchone()
    for damaged in (frame, None):
        with pytest.raises(RowDamaged, match="run"):
            sealed.checked_count(key, damaged)


def test_a_salvage_keeps_runs_under_new_numbers(disk: sqlite3.Connection, tmp_path: Path) -> None:
    """Nothing of them is lost, and nothing stands twice."""
    outbox.seal(disk, Lane.HISTORY)
    outbox.acknowledge(disk, {int(Lane.HISTORY): 100})
    before = outbox.read_records(disk, Lane.HISTORY, 0, 2_000, 10**9)
    before += outbox.read_records(disk, Lane.HISTORY, MAX_RECORDS, 2_000, 10**9)
    disk.close()
    target = tmp_path / "new.db"
    rebuild(tmp_path / "one.db", target, now_ms=5)

    with sqlite3.connect(target) as again:
        assert SCHEMA_VERSION == again.execute("PRAGMA user_version").fetchone()[0]
        after = outbox.read_records(again, Lane.HISTORY, 0, 2_000, 10**9)
        after += outbox.read_records(again, Lane.HISTORY, after[-1].seq, 2_000, 10**9)
        assert [one.body for one in before] == [one.body for one in after]
        assert list(range(1, len(after) + 1)) == [one.seq for one in after]
        assert outbox.held_bytes(again)[Lane.HISTORY] > 0
    again.close()
    assert integrity.inspect(target, lambda _: None).whole


def test_rows_of_large_payloads_are_sealed(disk: sqlite3.Connection) -> None:
    """Fewer of them fill a read; only those at the end of the lane wait for more."""
    writer = OutboxWriter()
    for number in range(900):
        body = b"\x81\xa1n\xc5" + (5_000).to_bytes(2, "big") + bytes([number % 251]) * 5_000
        writer.add(disk, Lane.URGENT, "task", body, now_ms=number, boot=1)
    in_transaction(disk, writer.flush)
    before = outbox.read_records(disk, Lane.URGENT, 0, 2_000, 10**9)
    weight = outbox.held_bytes(disk)[Lane.URGENT]

    assert outbox.seal(disk, Lane.URGENT)
    while outbox.seal(disk, Lane.URGENT):
        pass
    left = disk.execute("SELECT count(*) FROM history WHERE key >> 56 = 1").fetchone()[0]
    assert 0 < left < MAX_RECORDS
    after, at = [], 0
    while found := outbox.read_records(disk, Lane.URGENT, at, 300, 10**9):
        after += found
        at = found[-1].seq
    assert before == after
    assert outbox.held_bytes(disk)[Lane.URGENT] < weight


def test_a_run_is_coalesced(tmp_path: Path) -> None:
    """A state that a later one of the run carries takes next to nothing; all others stay.

    What is read is records as every release knows them, and their marks are those of the rows.
    """
    connection = sqlite3.connect(tmp_path / "two.db", isolation_level=None)
    in_transaction(connection, migrate)
    writer = OutboxWriter()
    for number in range(MAX_RECORDS):
        status = ("SCHEDULED", "IN_PROGRESS", "COMPLETED", "COMPLETED")[number % 4]
        noise = hashlib.sha256(b"%d" % number).hexdigest()
        body = TaskRecord("w", f"t{number // 4}", 1, noise, "SIMPLE", "n", status, number)
        writer.add(connection, Lane.HISTORY, "task", encode_body(body), now_ms=number, boot=1)
    in_transaction(connection, writer.flush)
    before = outbox.read_records(connection, Lane.HISTORY, 0, MAX_RECORDS, 10**9)
    plain, _ = frames.pack(before, epoch=1, oldest_seq=1)

    assert outbox.seal(connection, Lane.HISTORY)
    after = outbox.read_records(connection, Lane.HISTORY, 0, MAX_RECORDS, 10**9)
    assert [one.body for one in before[3::4] for _ in range(4)] == [one.body for one in after]
    assert [*map(frames.mark_of, before)] == [*map(frames.mark_of, after)]
    assert outbox.held_bytes(connection)[Lane.HISTORY] < len(plain) / 2
    connection.close()
