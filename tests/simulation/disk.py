"""A machine's disk: real SQLite files, with delays, faults, and what a power cut leaves of them.

What is in the files is not known here. A connection runs its functions one after the other, as on
its own thread, but on the virtual time of the loop.

A power cut takes the two files as they would be read back: what was synced is certain, and of the
bytes that a COMMIT was writing into the log each sector is either there or not.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sync.database import prepare

T = TypeVar("T")

CHECKPOINT_PAGES = 40
"""Pages in the log after which it is folded into the database: often, so that seeds see it."""

_SECTOR = 512
_WAL_HEADER = 32

BESIDE = "payloads"
"""The folder beside the database; what is in it was forced out when it was written."""

CUTS = ("before", "inside", "torn", "after")
"""Where in a transaction the power may go: before its BEGIN, between two of its statements, while
COMMIT writes, or after COMMIT and before anybody is told."""


class PowerCut(BaseException):
    """The machine is off; nothing of it runs on."""


def fault(message: str, code: int, name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


class _Connection(sqlite3.Connection):
    """A connection that asks its disk before each statement."""

    disk: Disk | None = None
    changes_at_begin = 0

    def execute(self, statement: str, /, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, unless the disk has other plans."""
        disk = self.disk
        if disk is None or not disk.troubled:
            return super().execute(statement, *parameters)
        return disk.statement(self, statement, parameters, super().execute)

    def executemany(self, statement: str, rows: Any, /) -> sqlite3.Cursor:
        """Run a statement for each row, unless the disk has other plans."""
        disk = self.disk
        if disk is None or not disk.troubled:
            return super().executemany(statement, rows)
        return disk.statement(self, statement, (rows,), super().executemany)


class Image(NamedTuple):
    """What was on a disk at one moment."""

    database: bytes
    log: bytes
    beside: dict[str, bytes]
    """Files in the folder beside the database, by name."""


class Disk:
    """One machine's disk.

    Args:
        folder: for its files, one folder for each time that the power was cut.
        name: of the database file.
        chance: draws delays and what a cut leaves.
        cut: called at the moment at which the power goes.
    """

    def __init__(
        self, folder: Path, name: str, chance: random.Random, cut: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._name = name
        self._chance = chance
        self._cut = cut
        self._generation = 0
        self.path.parent.mkdir(parents=True)
        self.slow_s = 0.0
        """Longest extra time that a hop takes."""
        self.full = False
        self.io_errors: dict[str, float] = {}
        """Chance that a statement fails, by what it does: read, write, commit."""
        self.cut_next = ""
        """Where the power goes in the next writing transaction; "" = it stays."""
        self._cut_at = 0
        self.after_commit: Callable[[sqlite3.Connection], None] | None = None
        self.bad_until_s = 0.0
        """Until when its faults may still be felt, in the loop's time."""

    @property
    def path(self) -> Path:
        """The database file."""
        return self._folder / str(self._generation) / self._name

    @property
    def troubled(self) -> bool:
        """Whether statements have to ask."""
        return bool(self.cut_next or self.io_errors or self.full)

    def heal(self) -> None:
        """From now on everything works."""
        self.slow_s, self.full, self.cut_next = 0.0, False, ""
        self.io_errors.clear()

    async def connect(self, path: Path, *, writes: bool) -> Owner:
        """A connection of this disk's; see ``sync.database.Connect``."""
        connection = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, factory=_Connection
        )
        prepare(connection, writes=writes)
        if writes:
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.disk = self
        return Owner(self, connection, writes=writes)

    def look(self) -> AbstractContextManager[sqlite3.Connection]:
        """A look from outside at what the file holds now; it is closed after the block."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = ON")
        return closing(connection)

    def delay_s(self) -> float:
        """How long half a hop takes now."""
        delay_s = self._chance.random() * 0.001
        return delay_s + self._chance.random() * self.slow_s if self.slow_s else delay_s

    def carry_out(self, connection: sqlite3.Connection, function: Callable[..., T]) -> T:
        """Run one function on a connection that writes."""
        if self.cut_next:
            self._cut_at = self._chance.randint(2, 12)
            if self.cut_next == "before":
                self._take_image()
                self._go_dark()
        result = function(connection)
        if self.after_commit is not None:
            self.after_commit(connection)
        return result

    def statement(
        self,
        connection: _Connection,
        text: str,
        parameters: tuple[Any, ...],
        run: Callable[..., sqlite3.Cursor],
    ) -> sqlite3.Cursor:
        """Run one statement in bad times."""
        verb = text.lstrip()[:6].upper()
        if verb == "ROLLBA" or text.startswith("PRAGMA"):
            return run(text, *parameters)
        if verb in {"BEGIN ", "BEGIN"}:
            connection.changes_at_begin = connection.total_changes
        self._maybe_fail(connection, verb)
        if self.cut_next == "inside" and connection.in_transaction:
            self._cut_at -= 1
            if self._cut_at <= 0 or verb == "COMMIT":
                self._take_image()
                self._go_dark()
        if verb == "COMMIT" and self.cut_next in ("torn", "after"):
            torn = self.cut_next == "torn"
            before = self._wal()
            if torn:
                run("PRAGMA wal_autocheckpoint = 0")
            run(text)
            self._take_image(torn_from=before if torn else None)
            self._go_dark()
        return run(text, *parameters)

    def _maybe_fail(self, connection: _Connection, verb: str) -> None:
        commit = verb == "COMMIT"
        changed = connection.total_changes != connection.changes_at_begin
        if self.full and commit and changed:
            raise fault("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL")
        if not self.io_errors:
            return
        kind = "commit" if commit else "read" if verb == "SELECT" else "write"
        if kind == "commit" and not changed:
            return
        if self._chance.random() < self.io_errors.get(kind, 0.0):
            raise fault("disk I/O error", sqlite3.SQLITE_IOERR, "SQLITE_IOERR")

    def _wal(self) -> bytes:
        path = Path(f"{self.path}-wal")
        return path.read_bytes() if path.exists() else b""

    def copy(self) -> Image:
        """All that is on it now, as it would be found after a power cut."""
        beside = self.path.parent / BESIDE
        files = sorted(path for path in beside.rglob("*") if path.is_file())
        return Image(
            self.path.read_bytes(),
            self._wal(),
            {str(path.relative_to(beside)): path.read_bytes() for path in files},
        )

    def put_back(self, image: Image) -> None:
        """From now on it holds what it held when the image was taken; nobody has it open."""
        self.cut_next = ""
        self._generation += 1
        self.path.parent.mkdir()
        self.path.write_bytes(image.database)
        if image.log:
            Path(f"{self.path}-wal").write_bytes(image.log)
        for name, content in image.beside.items():
            path = self.path.parent / BESIDE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def cut_now(self) -> None:
        """Between two transactions: leave the files as they are."""
        self._take_image()

    def _take_image(self, torn_from: bytes | None = None) -> None:
        """Keep what will be found after the power has come back."""
        database, log = self.path.read_bytes(), self._wal()
        if torn_from is not None:
            log = self._tear(torn_from, log)
        self._generation += 1
        self.path.parent.mkdir()
        self.path.write_bytes(database)
        if log:
            Path(f"{self.path}-wal").write_bytes(log)
        beside = self._folder / str(self._generation - 1) / BESIDE
        if beside.exists():
            beside.rename(self.path.parent / BESIDE)

    def _tear(self, old: bytes, new: bytes) -> bytes:
        """A log in which the sectors of the last COMMIT are there or not, each by chance.

        A new header is synced before any frame is written behind it, so it is certain.
        """
        chance = self._chance.choice((0.1, 0.5, 0.9))
        prefix = self._chance.random() < 0.5
        keep = self._chance.randint(0, len(new))
        torn = bytearray(old.ljust(len(new), b"\0"))
        torn[:_WAL_HEADER] = new[:_WAL_HEADER]
        for start in range(0, len(new), _SECTOR):
            there = start + _SECTOR <= keep if prefix else self._chance.random() < chance
            if there:
                torn[start : start + _SECTOR] = new[start : start + _SECTOR]
        length = len(new) if len(old) >= len(new) or not prefix else max(keep, len(old))
        return bytes(torn[:length])

    def _go_dark(self) -> None:
        self.cut_next = ""
        self._cut()
        raise PowerCut


class Owner:
    """A connection with a thread of its own, as the engine sees it.

    Whoever does not wait for the answer any more has asked all the same.
    """

    def __init__(self, disk: Disk, connection: sqlite3.Connection, *, writes: bool) -> None:
        self._disk = disk
        self._connection = connection
        self.writes = writes
        self._line: deque[tuple[Callable[..., Any], asyncio.Future[Any]]] = deque()
        self._busy = False
        self.dead = False

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function(connection)`` when its turn comes; a dead machine never answers."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._line.append((function, future))
        self._next()
        return await future

    def _next(self) -> None:
        if self._line and not self._busy and not self.dead:
            self._busy = True
            asyncio.get_running_loop().call_later(self._disk.delay_s(), self._run)

    def _run(self) -> None:
        if self.dead:
            return
        function, future = self._line.popleft()
        result, error = None, None
        try:
            if self.writes:
                result = self._disk.carry_out(self._connection, function)
            else:
                result = function(self._connection)
        except PowerCut:
            return
        except Exception as raised:  # noqa: BLE001 - as a thread would hand it on
            error = raised
        loop = asyncio.get_running_loop()
        loop.call_later(self._disk.delay_s(), self._answer, future, result, error)

    def _answer(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if self.dead:
            return
        self._busy = False
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        self._next()

    async def close(self) -> None:
        """Close the connection."""
        self.let_go()

    def let_go(self) -> None:
        """Its machine is off, or does not need it any more."""
        if not self.dead:
            self.dead = True
            self._connection.close()
