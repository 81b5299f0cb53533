"""The log on the device's own disk: a ring that keeps to its budget, and what is found in it."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import structlog

from edge import journal
from edge.journal_file import JournalFile, Wanted

KB = 1_024


def line(event: str, *, level: str = "info", second: int = 0) -> str:
    """A line as the log writes it."""
    at = f"2026-11-27T10:00:{second:02}.000000Z"
    return msgspec.json.encode({"event": event, "level": level, "at": at}).decode()


def found(kept: JournalFile, **wanted: object) -> list[str]:
    """The events that are found."""
    lines = kept.find(msgspec.convert({"max_bytes": 10**6} | wanted, Wanted))
    return [msgspec.json.decode(one)["event"] for one in lines.text.splitlines()]


def test_lines_are_found_by_time_level_and_text(tmp_path: Path) -> None:
    """Oldest first; the last of those that match when fewer are wanted."""
    kept = JournalFile(tmp_path / "journal", 80 * KB)
    for at, level in enumerate(["debug", "info", "warning", "error", "info"]):
        kept.take(line(f"e{at}", level=level, second=at))
    ten_ms = 1_795_773_600_000

    assert ["e0", "e1", "e2", "e3", "e4"] == found(kept)
    assert ["e2", "e3"] == found(kept, level="warning")
    assert ["e3"] == found(kept, contains="E3")
    assert ["e1", "e2"] == found(kept, from_ms=ten_ms + 1_000, to_ms=ten_ms + 2_000)
    assert ["e3", "e4"] == found(kept, level="info", last=2)
    assert ["e4"] == found(kept, last=1)


def test_the_newest_win_where_bytes_are_short(tmp_path: Path) -> None:
    """And it is said that something was left out."""
    kept = JournalFile(tmp_path / "journal", 80 * KB)
    for at in range(10):
        kept.take(line(f"e{at}"))
    one = len(line("e0")) + 1

    lines = kept.find(Wanted(max_bytes=3 * one))

    assert (3, True) == (lines.count, lines.cut)
    assert lines.text.startswith(b'{"event":"e7"')
    assert not kept.find(Wanted(max_bytes=10 * one)).cut


def test_the_ring_keeps_to_its_budget(tmp_path: Path) -> None:
    """However much is logged; what is newest is there, in as many pieces as it was written."""
    folder = tmp_path / "journal"
    kept = JournalFile(folder, 16 * KB)
    for at in range(400):
        kept.take(line(f"e{at:04}", second=at % 60))
        if at % 3 == 0:
            kept.flush()
            assert sum(one.stat().st_size for one in folder.iterdir()) <= 16 * KB

    events = found(kept)
    assert "e0399" == events[-1]
    assert events == [f"e{at:04}" for at in range(400 - len(events), 400)]
    assert len(events) > 100


def test_it_goes_on_behind_half_a_line(tmp_path: Path) -> None:
    """A power cut leaves whatever it leaves: the next run's first line stands by itself."""
    folder = tmp_path / "journal"
    first = JournalFile(folder, 80 * KB)
    first.take(line("before"))
    first.flush()
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(b'{"event":"half')

    second = JournalFile(folder, 80 * KB)
    second.take(line("after"))

    assert ["before", "after"] == found(second)


def test_what_a_disk_refuses_is_counted(tmp_path: Path) -> None:
    """Nobody waits for it, and how much was lost is told when the disk takes some again."""
    folder = tmp_path / "journal"
    folder.write_text("in the way")
    kept = JournalFile(folder, 80 * KB)
    kept.take(line("lost"))
    kept.take(line("lost"))
    kept.flush()
    folder.unlink()
    kept.take(line("kept"))

    assert ["kept", "journal_lines_lost"] == found(kept)
    assert b'"count":2' in kept.find(Wanted(max_bytes=10**6)).text


def test_a_flood_is_bounded_in_memory(tmp_path: Path) -> None:
    """Lines beyond what is gathered between two writes are lost, and counted."""
    kept = JournalFile(tmp_path / "journal", 8_000 * KB)
    for _ in range(3_000):
        kept.take("x" * 1_000)
    kept.take(line("late" * 300))

    assert ["journal_lines_lost"] == found(kept)


def test_what_is_logged_comes_here(tmp_path: Path) -> None:
    """Beside the stream, from when it is told to until it is not."""
    kept = JournalFile(tmp_path / "journal", 80 * KB)
    journal.configure("info", io.StringIO())
    structlog.get_logger("test").info("too_early")
    journal.keep_with(kept.take)
    structlog.get_logger("test").info("camera_connected", device="front")
    structlog.get_logger("test").debug("not_told")
    journal.forget(kept.take)
    structlog.get_logger("test").info("too_late")

    assert ["camera_connected"] == found(kept)
