"""SQLite's file format: every row that SQLite itself reads, and what stands behind damage."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.store.pages import TABLE_LEAF, Image, Unreadable, Value, record, varint

_VALUES: list[tuple[object, ...]] = [
    (None, 0, 1, -1, 127),
    (128, -32_769, 2**23, -(2**31) - 1, 2**47),
    (-(2**63), 2**63 - 1, 1.5, "", "grüße"),
    (b"", b"\x00\xff", "x" * 3_000, b"y" * 9_000, 5),
]


def _made(path: Path, page_bytes: int = 4_096) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a, b, c, d, e)")
    return connection


def _leaves(image: Image) -> dict[int, list[Value]]:
    return {
        row.rowid: row.values
        for number, page in image.leaves(without={1})
        if number and page.kind == TABLE_LEAF
        for row in page.rows
    }


@pytest.mark.parametrize("page_bytes", [512, 1_024, 4_096, 65_536])
@pytest.mark.parametrize("in_log", [False, True])
def test_rows_are_read_as_sqlite_reads_them(tmp_path: Path, page_bytes: int, in_log: bool) -> None:
    """Every type and size, with overflow pages, from the file and from its log."""
    path = tmp_path / "t.db"
    with contextlib.closing(_made(path, page_bytes)) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", _VALUES * 20)
        if not in_log:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with Image(path) as image:
            found = _leaves(image)

            assert page_bytes == image.page_bytes
            assert in_log == bool(image.frames.pages)
        expected = connection.execute("SELECT rowid, * FROM t").fetchall()
    assert {row[0]: list(row[1:]) for row in expected} == found


@pytest.mark.parametrize("page_bytes", [512, 2_048, 4_096, 65_536])
@pytest.mark.parametrize("rows", [1, 40, 2_000])
def test_the_size_of_pages_is_seen_without_a_header(
    tmp_path: Path, page_bytes: int, rows: int
) -> None:
    """From where pages begin, whatever is in them, whether some places are looked at or all."""
    path = tmp_path / "t.db"
    chance = random.Random(rows)
    with contextlib.closing(_made(path, page_bytes)) as connection, connection:
        blobs = [(chance.randbytes(chance.randrange(3_000)),) for _ in range(rows)]
        connection.executemany("INSERT INTO t (a) VALUES (?)", blobs)
        whole = max(1, page_bytes // 3_000) < rows
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    # Also where twice as large ones would go into the file.
    for more in range(4):
        path.write_bytes(content + bytes(more * page_bytes))
        with Image(path) as image:
            assert page_bytes == image.page_bytes or not whole


def test_the_log_ends_with_its_last_commit(tmp_path: Path) -> None:
    """What was committed is read: up to the damage, as SQLite would, and behind it."""
    path = tmp_path / "t.db"
    with contextlib.closing(_made(path)) as connection:
        for number in range(40):
            connection.execute("INSERT INTO t VALUES (?, ?, 0, 0, 0)", (number, "x" * 900))
        copied = tmp_path / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copied}{suffix}")
    log = Path(f"{copied}-wal")
    with Image(copied) as image:
        whole = image.frames
    content = bytearray(log.read_bytes())
    content[32 + 20 * (24 + 4_096) + 2_000] ^= 1
    log.write_bytes(content)
    with Image(copied) as image:
        damaged = image.frames
        found = _leaves(image)

    assert whole.good == whole.whole == whole.last_commit > 40
    assert 18 <= damaged.good <= 20
    assert whole.whole - 1 == damaged.whole
    assert whole.last_commit == damaged.last_commit
    assert len(found) >= 39


def test_a_log_without_a_commit_is_left_out(tmp_path: Path) -> None:
    """A transaction that was cut off leaves frames that never counted."""
    path = tmp_path / "t.db"
    with contextlib.closing(_made(path)) as connection:
        connection.executemany("INSERT INTO t VALUES (?, 0, 0, 0, 0)", [("x" * 900,)] * 40)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executemany("INSERT INTO t VALUES (?, 0, 0, 0, 0)", [("y" * 900,)])
        log = Path(f"{path}-wal").read_bytes()
        image_of = tmp_path / "copy.db"
        shutil.copy(path, image_of)
    # The last frame, the one that commits, is gone.
    Path(f"{image_of}-wal").write_bytes(log[: 32 + (24 + 4_096)])

    with Image(image_of) as image:
        assert 0 == image.frames.good
        assert {} == image.frames.pages


@pytest.mark.parametrize(
    "payload", [b"\x05", b"\x02\x0a", b"\x03\x0f\x0f\x41", b"\x02\x08\x00", b"\x00"]
)
def test_what_is_no_record_is_refused(payload: bytes) -> None:
    """Bytes that no record has are never taken for values."""
    with pytest.raises((Unreadable, IndexError)):
        record(payload)


def test_integers_of_one_to_nine_bytes() -> None:
    """The last byte of nine counts whole."""
    assert (1, 1) == varint(b"\x01", 0)
    assert (0x80, 2) == varint(b"\x81\x00", 0)
    assert (2**64 - 1, 9) == varint(b"\xff" * 9, 0)


def test_files_that_are_no_database(tmp_path: Path) -> None:
    """An empty file, none, and noise have no pages of trees, and nothing is raised."""
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "noise.db").write_bytes(b"\x0d" * 10_000)
    for name in ("empty.db", "none.db", "noise.db"):
        with Image(tmp_path / name) as image:
            assert {} == _leaves(image)
            assert set() == image.free()
