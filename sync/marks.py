"""How far the log was when its last transaction was acknowledged: noticed when some of it is gone.

SQLite takes a log that was cut off, or damaged in the middle, for one that ends there: what was
acknowledged is missing, and nobody says so. So the end of the log is noted beside it after each
COMMIT, in two places by turns, without a sync of its own: the sync of the COMMIT came before, so a
note never tells of more than was safe. After a power cut it may be an old one, and less is noticed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_SLOT_BYTES = 4_096
"""The two notes lie in different sectors and pages: a torn write spoils one of them."""

_NOTE = struct.Struct("<4sQQIIII")
_MAGIC = b"BMK1"
_CLOSED = 0xFFFFFFFF
"""In place of a number of frames: the database was closed in order, its log folded in."""

_HEAD_BYTES, _FRAMES_AT, _SALTS_AT = 48, 16, 32
"""Of SQLite's index of the log, which lies in shared memory beside it: its head; the number of the
last valid frame and, behind it, of the pages then, in this machine's order of bytes; and two salts
as they stand in the log."""

_SIZE_AT, _SIZE_BYTES = 28, 4
"""Of the database: how many pages it has, as its first page says."""


class LogCut(Exception):
    """The log does not hold all that was acknowledged. What is left of it lies beside it."""


class Note(NamedTuple):
    """What was noted last."""

    number: int
    opening: int
    """Number of the opening of the database in which it was written."""
    salts: tuple[int, int]
    """The first counts the generations of the log."""
    frames: int
    pages: int
    """Of the database with its log."""


class _Head(NamedTuple):
    salts: tuple[int, int]
    frames: int
    pages: int


_NO_LOG = _Head((0, 0), 0, 0)


class Marks:
    """The notes beside one database. Used on the thread that writes.

    Args:
        database: its path.
        openings: how often a database has been opened, as it tells itself.
    """

    def __init__(self, database: Path, openings: Callable[[sqlite3.Connection], int]) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".mark")
        self._log = database.with_name(database.name + "-wal")
        self._index = database.with_name(database.name + "-shm")
        self._file: int | None = None
        self._index_file: int | None = None
        self._openings = openings
        self._opening = 0
        # SQLite takes both away when it closes in order; a log that is lost leaves the index.
        self._closed_by_somebody = not (self._log.exists() or self._index.exists())
        # Not later: to open and close the database beside SQLite would drop its locks.
        self._pages = _pages_of(database)
        last = self.last()
        self._number = last.number if last is not None else 0

    def last(self) -> Note | None:
        """The newest note that is whole; None = there is none."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        slots = (content[start : start + _NOTE.size + 4] for start in (0, _SLOT_BYTES))
        return max((note for raw in slots if (note := _read(raw)) is not None), default=None)

    def note(self) -> None:
        """Note how far the log is. Called after a COMMIT."""
        head = self._head()
        if head is not None:
            self._write(head)

    def _head(self) -> _Head | None:
        """The log as SQLite sees it; None = there is no index of it."""
        try:
            if self._index_file is None:
                # Stays open: closing it would drop the locks that SQLite holds on this file.
                self._index_file = os.open(self._index, os.O_RDONLY | os.O_CLOEXEC)
            head = os.pread(self._index_file, _HEAD_BYTES, 0)
        except OSError:
            return None
        if len(head) < _HEAD_BYTES:
            return None
        frames, pages = struct.unpack_from("=II", head, _FRAMES_AT)
        return _Head(struct.unpack_from(">II", head, _SALTS_AT), frames, pages)

    def close(self) -> None:
        """The database has been closed: in order, if its log was folded into it."""
        if not self._log.exists():
            self._write(_Head((0, 0), _CLOSED, 0))
        for file in (self._file, self._index_file):
            if file is not None:
                os.close(file)
        self._file = self._index_file = None

    def judge(self, connection: sqlite3.Connection) -> None:
        """Hold the log against what was noted. Called before anything is written.

        Raises:
            LogCut: some of it is missing; what is there of the log has been copied.
        """
        note, openings = self.last(), self._openings(connection)
        # This one is counted with the first write.
        self._opening = openings + 1
        # Whoever makes no notes has had it open since, or nothing was open.
        if note is None or note.frames == _CLOSED or openings > note.opening:
            return
        missing = self._missing(note, self._head() or _NO_LOG)
        if missing:
            if self._log.exists():
                shutil.copyfile(self._log, saved_log(self._database))
            raise LogCut(missing)

    def _missing(self, note: Note, head: _Head) -> str:
        """What is missing of the log, in words; "" = nothing that can be told."""
        if head.salts == (0, 0):
            if self._closed_by_somebody and self._pages >= note.pages:
                return ""
            return f"the log is gone; it held {note.frames} frames" if note.frames else ""
        if head.salts != note.salts:
            # A later log has begun since, with all of this one folded in, or this one came back.
            behind = note.salts[0] - head.salts[0] & 0xFFFFFFFF
            return "the log is older than what was acknowledged" if behind < 1 << 31 else ""
        if head.frames < note.frames:
            return f"the log ends after {head.frames} of {note.frames} frames"
        return ""

    def _write(self, head: _Head) -> None:
        self._number += 1
        body = _NOTE.pack(_MAGIC, self._number, self._opening, *head.salts, head.frames, head.pages)
        note = body + zlib.crc32(body).to_bytes(4, "little")
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._file, note, (self._number & 1) * _SLOT_BYTES)
        except OSError:
            # A full disk refuses the transactions themselves; without a note less is noticed.
            return


def forget(database: Path) -> None:
    """What was noted says nothing of the database that is there now."""
    database.with_name(database.name + ".mark").unlink(missing_ok=True)


def saved_log(database: Path) -> Path:
    """Where ``judge`` puts a copy of a log that was cut."""
    return database.with_name(database.name + "-wal.cut")


def _pages_of(database: Path) -> int:
    """Pages of a database without its log."""
    try:
        with database.open("rb") as file:
            head = os.pread(file.fileno(), _SIZE_BYTES, _SIZE_AT)
    except OSError:
        return 0
    return int.from_bytes(head, "big")


def _read(raw: bytes) -> Note | None:
    body, told = raw[: _NOTE.size], raw[_NOTE.size :]
    if len(told) < 4 or body[:4] != _MAGIC or zlib.crc32(body) != int.from_bytes(told, "little"):
        return None
    _, number, opening, salt1, salt2, frames, pages = _NOTE.unpack(body)
    return Note(number, opening, (salt1, salt2), frames, pages)
