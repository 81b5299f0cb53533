"""Single facts about the database: they outlive it being closed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.model.elapsed import Jump, Jumps, TimeKept
from edge.store import facts, sealed
from edge.store.facts import note_boot
from edge.store.migrations import migrate
from edge.store.outbox import OutboxWriter
from sync.records import Lane


def test_facts_are_kept_in_the_file(tmp_path: Path) -> None:
    """Each opening is one boot of the same epoch."""
    boots = []
    for _ in range(3):
        connection = sqlite3.connect(tmp_path / "a.db")
        migrate(connection)
        boots.append(note_boot(connection))
        connection.commit()
        connection.close()

    assert [1, 2, 3] == [boot.boot for boot in boots]
    assert {1} == {boot.epoch for boot in boots}


def test_a_fact_is_replaced() -> None:
    """What was written last is what is read; what never was is 0."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    found = [facts.read(connection, "a")]
    for value in (1, 2):
        facts.write(connection, "a", value)
        found.append(facts.read(connection, "a"))

    assert [0, 1, 2] == found


def test_what_the_clock_has_shown_is_past() -> None:
    """A jump may be on the disk without any stamp from behind it; it is not lived through again."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    jump = Jump(6_000, 36_000)
    facts.keep_time(connection, TimeKept(0, Jumps([jump]), 7, 36_931, 900))
    kept = note_boot(connection).time

    assert (36_931, (jump,)) == (kept.floor_ms, kept.jumps.all)


def test_what_is_kept_in_a_run_has_passed() -> None:
    """A clock of 1970 goes on from the last record, also where no row shows it."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    writer = OutboxWriter()
    for at_ms in range(7_000, 7_030):
        writer.add(connection, Lane.HISTORY, "task", b"\x80", now_ms=at_ms, boot=1)
    writer.flush(connection)
    rows = connection.execute("SELECT count(*) FROM history").fetchone()[0]
    known = note_boot(connection).time.floor_ms
    connection.execute("UPDATE sealed SET frame = substr(frame, 1, 20)")

    assert (0, 7_029, 0) == (rows, known, sealed.latest_ms(connection))


def test_a_later_release_has_the_last_word_on_who_may_open() -> None:
    """What it has written is not to be read by one that is older than it says."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    note_boot(connection)
    named = [facts.read(connection, "oldest_reader")]
    facts.write(connection, "oldest_reader", facts.OLDEST_READER + 1)
    note_boot(connection)
    named.append(facts.read(connection, "oldest_reader"))

    assert [facts.OLDEST_READER, facts.OLDEST_READER + 1] == named
