"""How far the log was: noticed when some of it is gone, and never a false alarm."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from sync.database import in_transaction, prepare
from sync.marks import LogCut, Marks, forget, saved_log

_OPENINGS = "SELECT max(n) FROM opening"


def _openings(connection: sqlite3.Connection) -> int:
    there = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'opening'").fetchone()
    return int(connection.execute(_OPENINGS).fetchone()[0] or 0) if there else 0


class _House:
    """A database with its notes, written as ``Database`` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marks = Marks(path, _openings)
        self.connection = sqlite3.connect(path, isolation_level=None)
        prepare(self.connection, writes=True)
        try:
            self.marks.judge(self.connection)
        except BaseException:
            self.connection.close()
            raise
        self.write("CREATE TABLE IF NOT EXISTS opening (n INTEGER)")
        self.write("CREATE TABLE IF NOT EXISTS row (text TEXT)")
        self.write("INSERT INTO opening SELECT coalesce(max(n), 0) + 1 FROM opening")

    def write(self, statement: str) -> None:
        in_transaction(self.connection, lambda c: c.execute(statement))
        self.marks.note()

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.write("INSERT INTO row VALUES (hex(randomblob(500)))")

    def rows(self) -> int:
        return int(self.connection.execute("SELECT count(*) FROM row").fetchone()[0])

    def close(self) -> None:
        self.connection.close()
        self.marks.close()


def _killed(path: Path, folder: Path) -> Path:
    """What is left on the disk when the process is gone."""
    folder.mkdir()
    for one in path.parent.glob("t.db*"):
        shutil.copy(one, folder / one.name)
    return folder / path.name


def _left(tmp_path: Path, count: int = 30) -> Path:
    house = _House(tmp_path / "t.db")
    house.add(count)
    path = _killed(house.path, tmp_path / "left")
    house.close()
    return path


def test_a_killed_process_lost_nothing(tmp_path: Path) -> None:
    """The log holds all that was noted."""
    with contextlib.closing(_House(_left(tmp_path))) as house:
        assert 30 == house.rows()


def test_a_log_that_was_cut_off(tmp_path: Path) -> None:
    """SQLite opens what is left without a word; the notes say how much is missing."""
    path = _left(tmp_path)
    log = Path(f"{path}-wal")
    content = log.read_bytes()
    os.truncate(log, len(content) // 2)

    with pytest.raises(LogCut, match="the log ends after [0-9]+ of [0-9]+ frames"):
        _House(path)

    assert content[: len(content) // 2] == saved_log(path).read_bytes()


def test_a_log_that_is_damaged_in_the_middle(tmp_path: Path) -> None:
    """What stands behind the damage was acknowledged, too."""
    path = _left(tmp_path)
    log = Path(f"{path}-wal")
    content = bytearray(log.read_bytes())
    content[len(content) // 3] ^= 4
    log.write_bytes(content)

    with pytest.raises(LogCut, match="the log ends after"):
        _House(path)


def test_a_log_that_is_gone(tmp_path: Path) -> None:
    """Its index is still there, so nobody has folded it in."""
    path = _left(tmp_path)
    Path(f"{path}-wal").unlink()

    with pytest.raises(LogCut, match="the log is gone"):
        _House(path)


def test_a_log_from_before(tmp_path: Path) -> None:
    """A copy of the log that was put back is older than what was acknowledged."""
    house = _House(tmp_path / "t.db")
    house.add(5)
    old = Path(f"{house.path}-wal").read_bytes()
    house.connection.execute("PRAGMA wal_checkpoint(RESTART)")
    house.add(5)
    path = _killed(house.path, tmp_path / "left")
    house.close()
    Path(f"{path}-wal").write_bytes(old)

    with pytest.raises(LogCut, match="older"):
        _House(path)


def test_closing_in_order_needs_no_log(tmp_path: Path) -> None:
    """It has been folded in."""
    for count in range(1, 4):
        with contextlib.closing(_House(tmp_path / "t.db")) as house:
            house.add(3)
            assert 3 * count == house.rows()


@pytest.mark.parametrize("checkpoint", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
@pytest.mark.parametrize("more", [0, 2])
def test_a_log_that_was_folded_in_and_begun_anew(
    tmp_path: Path, checkpoint: str, more: int
) -> None:
    """With and without transactions behind it, and before the next note."""
    house = _House(tmp_path / "t.db")
    house.add(20)
    house.connection.execute(f"PRAGMA wal_checkpoint({checkpoint})")
    if checkpoint == "TRUNCATE":
        house.marks.note()
    house.add(more)
    path = _killed(house.path, tmp_path / "left")
    house.close()

    with contextlib.closing(_House(path)) as again:
        assert 20 + more == again.rows()


def test_somebody_else_closed_it_in_order(tmp_path: Path) -> None:
    """A tool that opens the file after a crash folds the log in; nothing is missing."""
    path = _left(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as tool:
        tool.execute("SELECT count(*) FROM row").fetchone()
    assert not Path(f"{path}-wal").exists()

    with contextlib.closing(_House(path)) as house:
        assert 30 == house.rows()


def test_a_release_without_notes_was_there(tmp_path: Path) -> None:
    """It counts its opening, so that the notes of before say nothing any more."""
    path = _left(tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.execute("INSERT INTO opening SELECT max(n) + 1 FROM opening")
        older.execute("DELETE FROM row")
        left = _killed(path, tmp_path / "older")

    with contextlib.closing(_House(left)) as house:
        assert 0 == house.rows()


def test_notes_that_are_damaged(tmp_path: Path) -> None:
    """One of two is enough; without any there is nothing to hold the log against."""
    path = _left(tmp_path)
    mark = Path(f"{path}.mark")
    last = Marks(path, _openings).last()
    content = mark.read_bytes()
    assert last is not None
    start = (last.number & 1) * 4_096
    mark.write_bytes(content[:start] + bytes(40) + content[start + 40 :])
    earlier = Marks(path, _openings).last()
    mark.write_bytes(bytes(len(content)))

    assert earlier is not None
    assert last.number - 1 == earlier.number
    assert Marks(path, _openings).last() is None
    with contextlib.closing(_House(path)) as house:
        assert 30 == house.rows()
    forget(path)
    assert not mark.exists()
