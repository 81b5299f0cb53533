"""The data directory: what lies where in it, and the lock that lets one daemon use it.

No file in it is read or written here but the lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class DataDirError(Exception):
    """The data directory cannot be used. Choose another one with --data-dir, or free this one.

    Tree: DataDirError <- AlreadyRunning, DataDirUnusable.
    """


class AlreadyRunning(DataDirError):
    """Another daemon works on this directory; two would damage each other's history."""


class DataDirUnusable(DataDirError):
    """The directory cannot be created or written."""


class DataDir:
    """One daemon's directory, locked for as long as the context lasts.

    Args:
        root: made when it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "baton.db"
        self.ledger = root / "ledger.db"
        self.evidence = root / "evidence"
        self.fetched = root / "fetched"
        self.journal = root / "journal"
        self.identity = root / "identity"
        self.secret_key = root / "secret.key"
        self.token_key = root / "token.key"
        self.reserve = root / "reserve"
        self.damaged = ""
        """What was found wrong with the database while it was open; "" = nothing."""
        self._lock: int | None = None

    def make(self) -> None:
        """Make the directory if it is not there. Raises DataDirUnusable."""
        try:
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> DataDirUnusable:
        return DataDirUnusable(f"the data directory {self.root} cannot be used: {error.strerror}")

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunning: another process has it.
            DataDirUnusable: the directory cannot be made or written.
        """
        path = self.root / "lock"
        self.make()
        try:
            lock = self._open(path)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise AlreadyRunning(
                f"another daemon (process {holder}) works on {self.root}. "
                "Stop it, or give this one a directory of its own with --data-dir."
            ) from error
        # The lock goes with the process, whatever ends it; the number is for people only, and a full
        # or read-only disk has no room for it.
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def _open(self, path: Path) -> int:
        """The lock's file; on a disk that takes no writes as it is there from before."""
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back; the file stays, because removing it would race with the next one."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
