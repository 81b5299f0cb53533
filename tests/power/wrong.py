"""Ways to write that lose things when the power goes, each to be found out by the looker.

Nothing of the product is here; what is wrong is wrong at the seams it writes through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.store import redo
from edge.store.staging import Staged
from tests.power.recorder import Adapter, Committed, RecordedFiles, _Cursor

_OWN_READS = re.compile(r"BEGIN$|ROLLBACK$|PRAGMA (?!table_info|user_version)")
_LEVEL = re.compile(r"PRAGMA synchronous")
"""Not to be changed while a transaction is open."""


class AnswersBeforeCommit(Adapter):
    """Says that a transaction is committed, and commits it when the next one begins.

    So an answer goes out before what it says is on the disk. Readers share the writer's connection
    and see all of it, as the rest of the device would if the answer did not wait for the disk.
    """

    _writers: list[Any] = []  # noqa: RUF012 - the one that the next reader belongs to

    def __init__(self, connection: Any, committed: Committed) -> None:
        super().__init__(connection, committed)
        self._own = connection
        self._waiting = False

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> _Cursor:
        if sql == "PRAGMA query_only = ON":
            # A reader: from now on it reads through the writer.
            self._connection = self._writers[-1]
            return super().execute("SELECT 1")
        if self._connection is not self._own:
            return super().execute("SELECT 1" if _OWN_READS.match(sql) else sql, parameters)
        if sql == "PRAGMA foreign_keys = ON":
            self._writers.append(self._own)
        if sql == "COMMIT":
            self._waiting = True
            return super().execute("SELECT 1")
        if sql == "BEGIN IMMEDIATE" or _LEVEL.match(sql):
            self._settle()
        return super().execute(sql, parameters)

    def _settle(self) -> None:
        if self._waiting:
            self._waiting = False
            super().execute("COMMIT")

    def close(self) -> None:
        if self._connection is self._own:
            self._settle()
        self._connection = self._own
        super().close()


class SplitTransaction(Adapter):
    """Writes executions in one transaction and their tasks in the next."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> _Cursor:
        if "INTO redo " not in sql:
            return super().execute(sql, parameters)
        (row,) = parameters
        assert isinstance(row, bytes)
        tasks = redo.unpack(row)
        workflows = Staged()
        workflows.workflows, tasks.workflows = tasks.workflows, {}
        super().execute(sql, (redo.pack(workflows),))
        super().execute("COMMIT")
        super().execute("BEGIN IMMEDIATE")
        return super().execute(sql, (redo.pack(tasks),))


class SetsLevel(Adapter):
    """Syncs less than the product asks for, and goes on doing so.

    Attributes:
        level: of PRAGMA synchronous.
    """

    level = "FULL"

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> _Cursor:
        wanted = f"PRAGMA synchronous = {self.level}"
        return super().execute(wanted if _LEVEL.match(sql) else sql, parameters)


class SyncsSometimes(SetsLevel):
    """Loses COMMITs that had returned."""

    level = "NORMAL"


class NeverSyncs(SetsLevel):
    """Loses COMMITs, and leaves files that SQLite cannot vouch for."""

    level = "OFF"


class NamesNotForcedOut(RecordedFiles):
    """Forgets to force out the folders that names stand in."""

    def force_out_folder(self, folder: Path) -> None:
        """Nothing."""


class BytesNotForcedOut(RecordedFiles):
    """Forgets to force out the bytes of files before they get their names."""

    def force_out(self, file: Any) -> None:
        file.flush()
