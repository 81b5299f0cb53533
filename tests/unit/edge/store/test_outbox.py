"""The outbox's rows: sequences without gaps, pruning in portions, cursors that never go back."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.decision import Publication
from edge.store import outbox
from edge.store.checked import seed_of
from edge.store.migrations import migrate
from edge.store.outbox import OutboxWriter
from sync.records import Lane


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _write(connection: sqlite3.Connection, writer: OutboxWriter, lane: Lane, count: int) -> None:
    for _ in range(count):
        writer.add(connection, lane, "task", b"body", now_ms=5, boot=1)


def test_lanes_count_for_themselves(connection: sqlite3.Connection) -> None:
    """Each lane from 1, without a gap, over restarts."""
    writer = OutboxWriter()
    _write(connection, writer, Lane.HISTORY, 2)
    _write(connection, writer, Lane.BULK, 1)
    assert writer.flush(connection)
    again = OutboxWriter()
    _write(connection, again, Lane.HISTORY, 1)
    again.flush(connection)

    def seqs(lane: Lane) -> list[int]:
        return [r.seq for r in outbox.read_records(connection, lane, 0, 99, 10**6)]

    assert [1, 2, 3] == seqs(Lane.HISTORY)
    assert [1] == seqs(Lane.BULK)
    assert [] == seqs(Lane.URGENT)
    assert {2: (0, 1, 3), 3: (0, 1, 1)} == outbox.read_lanes(connection)


def test_a_lost_transaction_leaves_no_gap(connection: sqlite3.Connection) -> None:
    """Sequences that were not committed are given again."""
    writer = OutboxWriter()
    connection.execute("BEGIN")
    _write(connection, writer, Lane.HISTORY, 3)
    writer.flush(connection)
    connection.execute("ROLLBACK")
    writer.forget_all()
    _write(connection, writer, Lane.HISTORY, 1)
    writer.flush(connection)

    assert [1] == [r.seq for r in outbox.read_records(connection, Lane.HISTORY, 0, 9, 10**6)]


def test_nothing_waiting_writes_nothing(connection: sqlite3.Connection) -> None:
    """A flush without records says so."""
    assert not OutboxWriter().flush(connection)


def test_a_large_backlog_is_freed_in_portions(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One acknowledgement does not hold up the engine for the whole of it."""
    monkeypatch.setattr(outbox, "_PRUNE_ROWS", 2)
    writer = OutboxWriter()
    _write(connection, writer, Lane.HISTORY, 9)
    writer.flush(connection)
    outbox.acknowledge(connection, {Lane.HISTORY: 9})
    first = outbox.read_lanes(connection)[Lane.HISTORY]
    outbox.acknowledge(connection, {})

    assert (9, 4, 9) == first
    assert (9, 7, 9) == outbox.read_lanes(connection)[Lane.HISTORY]


def test_publications_are_kept_until_taken(connection: sqlite3.Connection) -> None:
    """Oldest first; what goes to another queue is not among them."""
    writer = OutboxWriter()
    elsewhere = Publication("m0", "conductor:w:e", b"0")
    writer.publish(
        [Publication("m1", "mqtt:a", b"1"), elsewhere, Publication("m2", "mqtt:b", b"2")]
    )
    writer.flush(connection)
    (first, message), (second, _) = outbox.read_publications(connection, 9)
    outbox.forget_publications(connection, [first])

    assert Publication("m1", "mqtt:a", b"1") == message
    assert [second] == [key for key, _ in outbox.read_publications(connection, 9)]


def test_a_broker_that_never_comes_costs_a_bounded_disk(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit the oldest messages leave, the newest are kept."""
    monkeypatch.setattr(outbox, "PUBLICATIONS_KEPT", 3)
    writer = OutboxWriter()
    for number in range(5):
        writer.publish([Publication(f"m{number}", "mqtt:a", b"")])
        writer.flush(connection)

    kept = [p.message_id for _, p in outbox.read_publications(connection, 9)]
    assert ["m2", "m3", "m4"] == kept


@pytest.mark.parametrize("kind", ["workflow", "task", "clock", "of-tomorrow", "o'clock"])
def test_rows_are_known_by_the_checksum_of_all_releases(kind: str) -> None:
    """It is reckoned faster, and is the same: a database goes from release to release."""
    key = 2 << 56 | 7

    assert seed_of(key, kind, 1_760_000_000_123, 3) == outbox.row_seed(
        key, kind, 1_760_000_000_123, 3
    )
    assert seed_of(key, kind, None, "x") == outbox.row_seed(key, kind, None, "x")  # type: ignore[arg-type]
