"""Notes what the engine does to its files: a SQLite file system, and the seam of the other files.

What follows from the order of the notes is worked out elsewhere. The database is opened through
apsw here and through nothing else: two SQLite libraries in one process drop each other's locks.
"""

from __future__ import annotations

import functools
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import apsw
import apsw.ext

from edge.durable import FileSystem
from sync.database import Connect, Owner, prepare
from tests.power.disk import (
    Create,
    MakeFolder,
    Operation,
    Rename,
    Sync,
    SyncFolder,
    Truncate,
    Unlink,
    Write,
    folder_of,
    numbered,
)

T = TypeVar("T")

CHECKPOINT_PAGES = 40
"""The log is folded into the file so often that a battery of small workflows sees it many times."""

_DIRECTORY_SYNCED = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
"""SQLite's own file system forces out the folder with the first sync of such a file."""

_numbers = itertools.count()


class Journal:
    """Everything that happens to the files under one folder, and what tests note in between.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self._files: dict[str, int] = {}
        self._folders: set[str] = {""}
        self._next = 0
        names = []
        for path in root.rglob("*"):
            if path.is_dir():
                self._folders.add(self._name(path))
            else:
                names.append(self._name(path))
        self._files.update(numbered(names))

    def _name(self, path: Path | str) -> str:
        return Path(path).relative_to(self.root).as_posix()

    def add(self, operation: Operation) -> None:
        """Note an operation."""
        self.operations.append(operation)

    def opened(self, path: Path | str) -> int:
        """A file is open for writing: its number; it is made if it was not there."""
        name = self._name(path)
        if name not in self._files:
            self._next += 1
            self._files[name] = self._next
            self.add(Create(name, self._next))
        return self._files[name]

    def made_folder(self, folder: Path) -> None:
        """A folder is there, and those around it."""
        name = "" if folder == self.root else self._name(folder)
        missing = []
        while name not in self._folders:
            missing.append(name)
            name = folder_of(name)
        for one in reversed(missing):
            self._folders.add(one)
            self.add(MakeFolder(one))

    def forced_out(self, path: Path, content: bytes) -> None:
        """A file that was written from its beginning has been forced out."""
        file = self.opened(path)
        self.add(Write(file, 0, content))
        self.add(Sync(file))

    def renamed(self, old: Path, new: Path) -> None:
        """A file has another name; one that nobody forced out has its content only perhaps."""
        name = self._name(old)
        if name not in self._files:
            self.add(Write(self.opened(old), 0, new.read_bytes()))
        file = self._files.pop(name)
        self._files[self._name(new)] = file
        self.add(Rename(name, self._name(new), file))

    def unlinked(self, path: Path | str) -> None:
        """A name is gone."""
        name = self._name(path)
        if self._files.pop(name, None) is not None:
            self.add(Unlink(name))

    def forced_out_folder(self, folder: Path) -> None:
        """The names in a folder have been forced out."""
        self.add(SyncFolder("" if folder == self.root else self._name(folder)))


class RecordedFiles(FileSystem):
    """Changes files as the product does, and notes it.

    Args:
        journal: where it is noted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def make_folder(self, folder: Path) -> None:
        super().make_folder(folder)
        self._journal.made_folder(folder)

    def force_out(self, file: BinaryIO) -> None:
        # What is noted is enough: nothing needs to reach the real disk.
        file.flush()
        # A file that was opened by its descriptor has no other name.
        path = Path(f"/proc/self/fd/{file.fileno()}").readlink()
        self._journal.forced_out(path, path.read_bytes())

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._journal.renamed(old, new)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._journal.unlinked(path)

    def force_out_folder(self, folder: Path) -> None:
        self._journal.forced_out_folder(folder)


class _SeededVFS(apsw.VFS):
    """SQLite takes the seed of its random numbers, the salts of its log, from the default VFS."""

    def __init__(self) -> None:
        super().__init__("seeded", "", makedefault=True)

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802 - SQLite's name
        return bytes(numbytes)


@functools.cache
def _seed() -> _SeededVFS:
    """Make it the default once for the process; nothing else here speaks through apsw."""
    return _SeededVFS()


class _RecordingVFS(apsw.VFS):
    """SQLite's own file system, noting what changes and forcing nothing out."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.name = f"recording-{next(_numbers)}"
        super().__init__(self.name, "unix")
        # Two recordings of one shape are equal, so that an address finds an image again.
        _seed()
        apsw.randomness(0)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        if name is None:
            return super().xOpen(name, flags)
        return _RecordingFile(self.journal, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(name, syncdir)
        self.journal.unlinked(name)
        if syncdir:
            self.journal.forced_out_folder(Path(name).parent)


class _RecordingFile(apsw.VFSFile):
    """One open file of the database."""

    def __init__(self, journal: Journal, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._journal = journal
        self._folder = Path(path).parent
        self._folder_unsynced = bool(flags[0] & _DIRECTORY_SYNCED)
        self._number = journal.opened(path)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._journal.add(Write(self._number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        self._journal.add(Truncate(self._number, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._journal.add(Sync(self._number))
        if self._folder_unsynced:
            self._folder_unsynced = False
            self._journal.forced_out_folder(self._folder)


class _Cursor:
    """Rows as sqlite3's cursor gives them."""

    def __init__(
        self, rows: Any, rowcount: int, lastrowid: int, described: Callable[[], Any]
    ) -> None:
        self._rows = rows
        self._described = described
        self.rowcount = rowcount
        self.lastrowid = lastrowid

    @property
    def description(self) -> Any:
        """A tuple for each column, its name first."""
        # Of a statement that has found no rows, apsw does not say it any more.
        return self._described()

    def fetchone(self) -> Any:
        """The next row; None = there is no other."""
        return _translated(lambda: next(self._rows, None))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return _translated(lambda: list(self._rows))

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row


Committed = Callable[["Adapter"], None]
"""Called after each COMMIT that has gone well, with the connection."""


class Adapter:
    """An apsw connection that answers as one of sqlite3's in autocommit mode does.

    Args:
        connection: of apsw.
        committed: called after each COMMIT that has gone well.
    """

    def __init__(self, connection: apsw.Connection, committed: Committed) -> None:
        self._connection = connection
        self._committed = committed
        self.text_factory: Any = str
        """As sqlite3 has it; apsw always makes text of text, and none here is damaged."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> _Cursor:
        """Run one statement."""
        before = self._connection.total_changes()
        rows = _translated(lambda: self._connection.execute(sql, parameters))
        if sql == "COMMIT":
            self._committed(self)
        changed = self._connection.total_changes() - before
        return self._cursor(rows, changed, sql)

    def _cursor(self, rows: Any, changed: int, sql: str) -> _Cursor:
        return _Cursor(
            rows,
            changed,
            self._connection.last_insert_rowid(),
            lambda: apsw.ext.query_info(self._connection, sql).description,
        )

    def executemany(self, sql: str, parameters: Iterable[Any]) -> _Cursor:
        """Run one statement for each set of parameters."""
        before = self._connection.total_changes()
        rows = _translated(lambda: self._connection.executemany(sql, parameters))
        changed = self._connection.total_changes() - before
        return self._cursor(rows, changed, sql)

    def close(self) -> None:
        """Close the connection."""
        _translated(self._connection.close)


_ERRORS: tuple[tuple[type[Exception], type[sqlite3.Error]], ...] = (
    (apsw.ConstraintError, sqlite3.IntegrityError),
    (apsw.CorruptError, sqlite3.DatabaseError),
    (apsw.NotADBError, sqlite3.DatabaseError),
    (apsw.BindingsError, sqlite3.ProgrammingError),
    (apsw.MisuseError, sqlite3.ProgrammingError),
    (apsw.Error, sqlite3.OperationalError),
)


def _translated(function: Callable[[], T]) -> T:
    """Run something of apsw; its errors become sqlite3's, which the product knows."""
    try:
        return function()
    except apsw.Error as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


class Inline:
    """Owns a connection and runs functions where they are asked for, without a thread.

    Args:
        connection: sqlite3's, or one that answers like it.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def hop(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function(connection)``."""
        return function(self._connection)

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def inline() -> Connect:
    """Connections of sqlite3, as the product has them, without threads: a boot is repeatable."""

    async def connect(path: Path, *, writes: bool) -> Owner:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        prepare(connection, writes=writes)
        # The real disk is in memory here, and a boot is thrown away.
        connection.execute("PRAGMA synchronous = OFF")
        return Inline(connection)

    return connect


def recording(
    journal: Journal,
    committed: Committed,
    *,
    adapter: type[Adapter] = Adapter,
) -> Connect:
    """Connections whose every write is noted.

    Args:
        journal: where.
        committed: called after each COMMIT, with the connection.
        adapter: of the connections; a wrong one, to see whether it is found out.
    """
    vfs = _RecordingVFS(journal)

    async def connect(path: Path, *, writes: bool) -> Owner:
        try:
            opened = apsw.Connection(os.fspath(path), vfs=vfs.name)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = adapter(opened, committed)
        prepare(connection, writes=writes)  # type: ignore[arg-type]
        if writes:
            opened.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return Inline(connection)

    return connect
