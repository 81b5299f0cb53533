"""Runs of records: smaller, read as if they were rows, and no trap when the storage damages one."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator, Sequence
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
from sync.records import GapRecord, Lane, Record, TaskRecord, decode_body, encode_body
from sync.runs import Portion, Run, records_of


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with 1,100 records of history."""
    connection = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    in_transaction(connection, migrate)
    _write(connection, Lane.HISTORY, [_body(number) for number in range(1_100)])
    yield connection
    connection.close()


def _body(number: int) -> bytes:
    return b"\x81\xa1n" + number.to_bytes(2, "big") + b"some text of a record" * 3


def _write(
    connection: sqlite3.Connection, lane: Lane, bodies: Sequence[bytes], at_once: int = 10
) -> None:
    """Records, some of them in each transaction: few are rows, many are a run."""
    writer = OutboxWriter()
    for first in range(0, len(bodies), at_once):
        for number, body in enumerate(bodies[first : first + at_once], first):
            writer.add(connection, lane, "task", body, now_ms=number, boot=1)
        in_transaction(connection, writer.flush)


def _all(connection: sqlite3.Connection, lane: Lane, limit: int = 300) -> list[Record]:
    """Every record of a lane, read as it is sent."""
    found: list[Record] = []
    while more := outbox.read_records(
        connection, lane, found[-1].seq if found else 0, limit, 10**6
    ):
        found += more
    return found


def test_a_run_is_read_like_rows(disk: sqlite3.Connection) -> None:
    """From any place on, also across its end; what is acknowledged goes when all of it is."""
    before = outbox.read_records(disk, Lane.HISTORY, 0, 2_000, 10**9)
    weight = outbox.held_bytes(disk)[Lane.HISTORY]
    assert outbox.seal(disk, Lane.HISTORY)
    assert outbox.seal(disk, Lane.HISTORY)
    assert not outbox.seal(disk, Lane.HISTORY)

    assert before == _all(disk, Lane.HISTORY)
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
    head = b"\x81\xa1n\xc5" + (5_000).to_bytes(2, "big")
    _write(disk, Lane.URGENT, [head + bytes([number % 251]) * 5_000 for number in range(900)])
    before = outbox.read_records(disk, Lane.URGENT, 0, 2_000, 10**9)
    weight = outbox.held_bytes(disk)[Lane.URGENT]

    assert outbox.seal(disk, Lane.URGENT)
    while outbox.seal(disk, Lane.URGENT):
        pass
    left = disk.execute("SELECT count(*) FROM history WHERE key >> 56 = 1").fetchone()[0]
    assert 0 < left < MAX_RECORDS
    assert before == _all(disk, Lane.URGENT)
    assert outbox.held_bytes(disk)[Lane.URGENT] < weight


def test_a_run_is_coalesced(tmp_path: Path) -> None:
    """A state that a later one of the run carries takes next to nothing; all others stay.

    What is read is records as every release knows them, and their marks are those of the rows.
    """
    connection = sqlite3.connect(tmp_path / "two.db", isolation_level=None)
    in_transaction(connection, migrate)
    bodies = []
    for number in range(MAX_RECORDS):
        status = ("SCHEDULED", "IN_PROGRESS", "COMPLETED", "COMPLETED")[number % 4]
        noise = hashlib.sha256(b"%d" % number).hexdigest()
        body = TaskRecord("w", f"t{number // 4}", 1, noise, "SIMPLE", "n", status, number)
        bodies.append(encode_body(body))
    _write(connection, Lane.HISTORY, bodies)
    before = outbox.read_records(connection, Lane.HISTORY, 0, MAX_RECORDS, 10**9)
    plain, _ = frames.pack(before, epoch=1, oldest_seq=1)

    assert outbox.seal(connection, Lane.HISTORY)
    after = outbox.read_records(connection, Lane.HISTORY, 0, MAX_RECORDS, 10**9)
    assert [one.body for one in before[3::4] for _ in range(4)] == [one.body for one in after]
    assert [*map(frames.mark_of, before)] == [*map(frames.mark_of, after)]
    assert outbox.held_bytes(connection)[Lane.HISTORY] < len(plain) / 2
    connection.close()


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, list[bytes]]]:
    """A database whose transactions have written few records and many, and what those say."""
    connection = sqlite3.connect(tmp_path / "mixed.db", isolation_level=None)
    in_transaction(connection, migrate)
    bodies: list[bytes] = []
    writer, chance = OutboxWriter(), random.Random(7)
    for _ in range(120):
        for _ in range(chance.choice((1, 3, 15, 16, 40, 130, 700))):
            bodies.append(_body(len(bodies)))
            now_ms = len(bodies)
            writer.add(connection, Lane.HISTORY, "task", bodies[-1], now_ms=now_ms, boot=1)
        in_transaction(connection, writer.flush)
    yield connection, bodies
    connection.close()


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _whole(found: list[Record], bodies: list[bytes]) -> bool:
    """Whether every record is there, once, in its order."""
    return [(one.seq, one.recorded_ms, one.body) for one in found] == [
        (at, at, body) for at, body in enumerate(bodies, 1)
    ]


def test_what_one_transaction_writes_is_a_run(
    mixed: tuple[sqlite3.Connection, list[bytes]],
) -> None:
    """From sixteen records on; between runs stand rows, and all is read in its order."""
    disk, bodies = mixed

    assert _count(disk, "sealed") > 40
    assert 0 < _count(disk, "history") < 120 * 15
    for limit in (1, 7, 100, MAX_RECORDS):
        assert _whole(_all(disk, Lane.HISTORY, limit), bodies)
    assert (0, 1, len(bodies)) == outbox.read_lanes(disk)[Lane.HISTORY]
    held = disk.execute(
        "SELECT (SELECT sum(length(frame)) FROM sealed) +"
        " (SELECT sum(length(body) + 40) FROM history)"
    ).fetchone()[0]
    assert held == outbox.held_bytes(disk)[Lane.HISTORY]


def test_small_runs_travel_together(mixed: tuple[sqlite3.Connection, list[bytes]]) -> None:
    """A run of many is handed on as it is, what is small as records, and a small one if it is all."""
    disk, bodies = mixed
    portions: list[Portion] = []
    at = 0
    while found := outbox.read_portion(disk, Lane.HISTORY, at, MAX_RECORDS, 10**6):
        portions.append(found)
        at = records_of(found)[-1].seq

    runs = [one for one in portions if isinstance(one, Run)]
    assert runs and {one.count >= 128 for one in runs[:-1]} == {True}
    assert len(portions) < 120 / 2
    single = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(single, migrate)
    _write(single, Lane.HISTORY, bodies[:20], at_once=20)
    alone = outbox.read_portion(single, Lane.HISTORY, 0, MAX_RECORDS, 10**6)
    assert isinstance(alone, Run) and 20 == alone.count
    assert 19 == len(records_of(outbox.read_portion(single, Lane.HISTORY, 1, 99, 10**6)))
    single.close()


def test_rows_between_runs_are_sealed(mixed: tuple[sqlite3.Connection, list[bytes]]) -> None:
    """Few of them, too: only those at the end of the lane wait for more."""
    disk, bodies = mixed
    while outbox.seal(disk, Lane.HISTORY):
        pass

    assert _count(disk, "history") < 16
    assert _whole(_all(disk, Lane.HISTORY), bodies)


def test_what_is_acknowledged_between_runs_goes(
    mixed: tuple[sqlite3.Connection, list[bytes]],
) -> None:
    """In any steps; a run goes when all of it is acknowledged."""
    disk, bodies = mixed
    chance, acked = random.Random(3), 0
    while acked < len(bodies):
        acked = min(len(bodies), acked + chance.randrange(1, 900))
        outbox.acknowledge(disk, {int(Lane.HISTORY): acked})
        _, oldest, newest = outbox.read_lanes(disk)[Lane.HISTORY]
        assert oldest <= acked + 1
        assert len(bodies) == newest
        rest = outbox.read_records(disk, Lane.HISTORY, acked, 10, 10**6)
        assert bodies[acked : acked + len(rest)] == [one.body for one in rest]
        assert rest or acked == len(bodies)
    for _ in range(10):
        outbox.acknowledge(disk, {int(Lane.HISTORY): acked})
    assert (0, 0) == (_count(disk, "sealed"), _count(disk, "history"))
    assert {Lane.HISTORY: 0} == outbox.held_bytes(disk)


def test_what_is_shed_between_runs_is_told(mixed: tuple[sqlite3.Connection, list[bytes]]) -> None:
    """The oldest goes first, whatever it is kept in, and nothing else is missing."""
    disk, bodies = mixed
    for _ in range(5):
        assert outbox.shed(disk, Lane.HISTORY, reason="budget", now_ms=1, boot=1) > 0
    oldest = outbox.read_lanes(disk)[Lane.HISTORY][1]
    gaps = [
        decode_body(one.kind, one.body)
        for one in outbox.read_records(disk, Lane.CONTROL, 0, 10, 10**6)
    ]

    stretches = [(gap.first_seq, gap.last_seq) for gap in gaps if isinstance(gap, GapRecord)]
    assert 1 == stretches[0][0]
    assert [first for first, _ in stretches[1:]] == [last + 1 for _, last in stretches[:-1]]
    assert oldest == stretches[-1][1] + 1
    rest = outbox.read_records(disk, Lane.HISTORY, oldest - 1, 10, 10**6)
    assert bodies[oldest - 1 : oldest + 9] == [one.body for one in rest]


def test_a_salvage_keeps_the_order(
    mixed: tuple[sqlite3.Connection, list[bytes]], tmp_path: Path
) -> None:
    """Of rows and runs, as they were written."""
    bodies = mixed[1]
    target = tmp_path / "new.db"
    rebuild(tmp_path / "mixed.db", target, now_ms=5)

    again = sqlite3.connect(target)
    assert _whole(_all(again, Lane.HISTORY), bodies)
    again.close()


def test_large_records_are_no_run(tmp_path: Path) -> None:
    """What would not go into a frame is kept as rows, and so is what comes with it."""
    connection = sqlite3.connect(tmp_path / "large.db", isolation_level=None)
    in_transaction(connection, migrate)
    noise = random.Random(5)
    bodies = [b"\x81\xa1n\xc6" + (90_000).to_bytes(4, "big") + noise.randbytes(90_000)] * 20
    bodies += [b"\x81\xa1n\xc5" + (9_000).to_bytes(2, "big") + noise.randbytes(9_000)] * 20
    _write(connection, Lane.HISTORY, bodies, at_once=40)
    alike = [
        b"\x81\xa1n\xc5" + (9_000).to_bytes(2, "big") + noise.randbytes(9_000) for _ in range(25)
    ]
    _write(connection, Lane.URGENT, alike, at_once=25)

    assert bodies == [one.body for one in _all(connection, Lane.HISTORY)]
    assert alike == [one.body for one in _all(connection, Lane.URGENT)]
    connection.close()
