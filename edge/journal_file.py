"""The daemon's log on its own disk: a ring of files within a budget, for who asks for it later.

Lines are gathered and written together, so that a chatty hour costs flash memory a few writes a
minute: a power cut loses the last seconds of them. A disk that refuses loses lines, and how many is
written down when it takes some again; nothing waits for this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from edge.durable import FILES, FileSystem

EVERY_S = 5.0
"""Between two writes."""

_FILES = 8
"""Of which the oldest goes when the budget is used up."""

_WAITING_BYTES = 512_000
"""Lines in memory; what is logged beyond that before it can be written is lost."""

_SUFFIX = ".jsonl"
_LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 3}


class Wanted(msgspec.Struct, frozen=True):
    """Which lines are asked for."""

    max_bytes: int
    from_ms: int = 0
    to_ms: int = 0
    """0 = to the end."""
    level: str = "debug"
    contains: str = ""
    last: int = 0
    """0 = all."""


class Lines(msgspec.Struct, frozen=True):
    """Lines that were found."""

    text: bytes
    count: int
    cut: bool
    """Whether older ones were left out to keep to the bytes."""


class _Line(msgspec.Struct):
    at: str = ""
    level: str = ""


class JournalFile:
    """One daemon's log on its disk.

    Args:
        folder: of the files; made when the first is written.
        budget_bytes: what they may take together.
        files: changes them.
    """

    def __init__(self, folder: Path, budget_bytes: int, files: FileSystem = FILES) -> None:
        self._folder = folder
        self._file_bytes = max(1, budget_bytes // _FILES)
        self._budget_bytes = budget_bytes
        self._disk = files
        self._gathering = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._begun = False

    def take(self, line: str) -> None:
        """Gather a line; any thread may."""
        text = line.encode(errors="replace") + b"\n"
        with self._gathering:
            if self._waiting_bytes + len(text) > _WAITING_BYTES:
                self._lost += 1
                return
            self._waiting.append(text)
            self._waiting_bytes += len(text)

    async def run(self) -> None:
        """Write what was gathered every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write what was gathered; it is on the disk when this returns, unless the disk refuses."""
        with self._writing:
            with self._gathering:
                lines, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._waiting_bytes = self._lost = 0
            if lost:
                note = {"event": "journal_lines_lost", "level": "warning", "count": lost}
                lines.append(msgspec.json.encode(note) + b"\n")
            if not lines:
                return
            try:
                self._write(b"".join(lines))
            except OSError:
                with self._gathering:
                    self._lost += len(lines) + lost - bool(lost)

    def find(self, wanted: Wanted) -> Lines:
        """The lines that are asked for, oldest first; where bytes are short the newest win."""
        self.flush()
        found: deque[bytes] = deque()
        size, cut = 0, False
        for line in self._newest_first():
            if not _matches(line, wanted):
                continue
            size += len(line) + 1
            if size > wanted.max_bytes:
                cut = True
                break
            found.appendleft(line)
            if len(found) == wanted.last:
                break
        return Lines(b"".join(line + b"\n" for line in found), len(found), cut)

    def _newest_first(self) -> Iterator[bytes]:
        for path in reversed(self._all()):
            try:
                content = path.read_bytes()
            except OSError:
                # The ring has gone on meanwhile.
                continue
            yield from reversed(content.split(b"\n"))

    def _all(self) -> list[Path]:
        """The files, oldest first."""
        with contextlib.suppress(OSError):
            found = [one for one in self._folder.iterdir() if one.suffix == _SUFFIX]
            return sorted(one for one in found if one.stem.isdigit())
        return []

    def _write(self, text: bytes) -> None:
        there = self._all()
        newest = there[-1] if there else None
        if newest is None or newest.stat().st_size + len(text) > self._file_bytes:
            number = int(newest.stem) + 1 if newest is not None else 1
            newest = self._folder / f"{number:08}{_SUFFIX}"
            self._make_room(there, len(text))
            self._disk.make_folder(self._folder)
            self._append(newest, text)
            self._disk.force_out_folder(self._folder)
        else:
            # A power cut may have left half a line at the end.
            self._append(newest, text if self._begun else b"\n" + text)
        self._begun = True

    def _append(self, path: Path, text: bytes) -> None:
        with path.open("ab") as file:
            file.write(text)
            self._disk.force_out(file)

    def _make_room(self, there: Iterable[Path], size: int) -> None:
        sizes = [(path, path.stat().st_size) for path in there]
        total = sum(taken for _, taken in sizes)
        for path, taken in sizes:
            # Room for a whole file, or the next lines would have none.
            if total + max(size, self._file_bytes) <= self._budget_bytes:
                break
            self._disk.unlink(path)
            total -= taken


def _matches(line: bytes, wanted: Wanted) -> bool:
    """Whether a line is asked for; half a line, which a power cut has left, is none."""
    if wanted.contains and wanted.contains.lower() not in line.decode(errors="replace").lower():
        return False
    try:
        told = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    if _LEVELS.get(told.level, 3) < _LEVELS[wanted.level]:
        return False
    # Both are texts of one form, which sort as the times that they mean.
    if wanted.from_ms and told.at < _at(wanted.from_ms):
        return False
    return not (wanted.to_ms and told.at > _at(wanted.to_ms, "999"))


_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


def _at(epoch_ms: int, micros: str = "000") -> str:
    """A time as the log writes it."""
    seconds, ms = divmod(min(epoch_ms, _LAST_MS), 1_000)
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03}{micros}Z"
