"""Large payloads of records: put into files when a record is written, put back when it is read.

The rows say which record needs which file; what a payload may weigh at all is decided elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from edge.model.errors import PayloadLost
from edge.model.executions import EMPTY, Pinned, Task, Workflow, task_key
from edge.model.payload_limits import KB, PayloadLimits
from edge.model.requests import ExecutionView
from edge.model.snapshot import Snapshot
from edge.store.payload_files import PayloadFiles
from edge.store.records import decode_workflow
from edge.store.staging import Staged

T = TypeVar("T", Task, Workflow)

_PUT = """
INSERT INTO payload (holder, part, digest, path) VALUES (?, ?, ?, ?)
ON CONFLICT (holder, part) DO UPDATE SET digest = excluded.digest, path = excluded.path
"""
_DROP = "DELETE FROM payload WHERE holder = ? AND part = ?"
_DROP_RANGE = "DELETE FROM payload WHERE holder BETWEEN ? AND ?"
_HOLDERS = "SELECT holder, part FROM payload"
_OF_PATH = "SELECT digest FROM payload WHERE path = ? LIMIT 1"
_NEEDED = "SELECT 1 FROM payload WHERE digest = ? LIMIT 1"
_WORKFLOWS_OF = """
SELECT DISTINCT workflow.body FROM payload JOIN workflow ON workflow.key = payload.holder >> 24
 WHERE payload.digest = ?
 LIMIT ?
"""
_DROP_ORPHANS = """
DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM workflow WHERE key = payload.holder >> 24)
"""

_MOST_ASKED = 100
"""Executions that are asked what to hide of a payload; hardly ever do two have the same."""

_PARTS = ("input", "output")

_SHOWN_BYTES = 32 * 1024 * KB
"""Of payloads from files that one answer holds; the others are shown as names to fetch them by."""


class Payloads:
    """Which payloads of which records are in files.

    ``pack`` and ``snapshot`` belong to the writer's thread; ``whole`` may be asked anywhere.

    Args:
        files: keeps them.
        limits: from which size on.
    """

    def __init__(self, files: PayloadFiles, limits: PayloadLimits) -> None:
        self.files = files
        self._limits = limits
        self._known: set[tuple[int, str]] | None = None
        """What has a row; read when it is first asked for."""

    # Writing.

    def pack(self, connection: sqlite3.Connection, batch: Staged) -> None:
        """Put the large payloads of what is about to be written into files.

        Raises:
            sqlite3.Error: the disk refused, the rows or a file; the transaction is to be undone.
        """
        try:
            self._pack(connection, batch)
        except OSError as error:
            raise sqlite3.OperationalError(f"a payload cannot be written: {error}") from error

    def _pack(self, connection: sqlite3.Connection, batch: Staged) -> None:
        for workflow_key in batch.removed:
            self._forget(connection, task_key(workflow_key, 0), task_key(workflow_key + 1, 0) - 1)
        for key in batch.dropped:
            self._forget(connection, key, key)
        known, limit = self._rows(connection), self._limits.workflow_file
        for key, workflow in batch.workflows.items():
            if _is_plain(workflow, workflow.input_path, limit) and not known:
                continue
            holder = task_key(key, 0)
            batch.workflows[key] = self._packed(
                connection, holder, workflow, {"input": workflow.input_path}, limit
            )
        limit = self._limits.task_file
        for key, task in batch.tasks.items():
            if _is_plain(task, task.output_path, limit) and not known:
                continue
            batch.tasks[key] = self._packed(
                connection, key, task, {"output": task.output_path}, limit
            )

    def _packed(
        self,
        connection: sqlite3.Connection,
        holder: int,
        record: T,
        paths: dict[str, str | None],
        limit: int,
    ) -> T:
        known = self._rows(connection)
        for part in _PARTS:
            payload: bytes = getattr(record, part)
            path = paths.get(part)
            if len(payload) > limit or (path is not None and payload != EMPTY):
                digest = self.files.put(payload)
                connection.execute(_PUT, (holder, part, digest, path))
                known.add((holder, part))
                record = msgspec.structs.replace(record, **{part: EMPTY, f"{part}_file": digest})
            elif known and (holder, part) in known and not getattr(record, f"{part}_file"):
                connection.execute(_DROP, (holder, part))
                known.discard((holder, part))
        return record

    def _forget(self, connection: sqlite3.Connection, first: int, last: int) -> None:
        """Records are gone: theirs are needed no more."""
        known = self._rows(connection)
        gone = {row for row in known if first <= row[0] <= last} if known else set()
        if gone:
            connection.execute(_DROP_RANGE, (first, last))
            known -= gone

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory may be ahead of the disk."""
        self._known = None

    def _rows(self, connection: sqlite3.Connection) -> set[tuple[int, str]]:
        if self._known is None:
            self._known = set(connection.execute(_HOLDERS))
        return self._known

    # Reading.

    def snapshot(self, workflow: Workflow, pinned: Pinned, tasks: list[Task]) -> Snapshot:
        """An execution with all its payloads; where one is lost, it says so."""
        lost = ""
        try:
            workflow, tasks = self.whole(workflow), [self.whole(task) for task in tasks]
        except PayloadLost as error:
            lost = error.message
        snapshot = Snapshot(workflow, pinned, tasks)
        snapshot.lost = lost
        return snapshot

    def whole(self, record: T) -> T:
        """A record with its payloads.

        Raises:
            PayloadLost: a file is gone or damaged.
        """
        for part in _PARTS:
            digest: bytes = getattr(record, f"{part}_file")
            if digest:
                payload = self.files.get(digest)
                record = msgspec.structs.replace(record, **{part: payload, f"{part}_file": b""})
        return record

    def shown(self, view: ExecutionView) -> ExecutionView:
        """An execution as it is shown: with its payloads, up to what one answer can hold.

        What a client has uploaded by itself is shown as the name that it gave.

        Raises:
            PayloadLost: a file is gone or damaged.
        """
        workflow, left = view.workflow, _SHOWN_BYTES
        if workflow.input_path is None:
            workflow, left = self._shown(workflow, "input", left)
        workflow, left = self._shown(workflow, "output", left)
        tasks = []
        for task in view.tasks:
            shown, left = self._shown(task, "input", left)
            if task.output_path is None:
                shown, left = self._shown(shown, "output", left)
            tasks.append(shown)
        return ExecutionView(workflow, view.pinned, tasks)

    def shown_task(self, task: Task) -> Task:
        """A task as it is shown: with its payloads, or the name under which one was uploaded.

        Raises:
            PayloadLost: a file is gone or damaged.
        """
        task, _ = self._shown(task, "input", _SHOWN_BYTES)
        return self._shown(task, "output", _SHOWN_BYTES)[0] if task.output_path is None else task

    def _shown(self, record: T, part: str, left: int) -> tuple[T, int]:
        """A record with one of its payloads, if there is room for it; and the room that is left."""
        digest: bytes = getattr(record, f"{part}_file")
        if not digest or left <= 0:
            return record, left
        payload = self.files.get(digest)
        record = msgspec.structs.replace(record, **{part: payload, f"{part}_file": b""})
        return record, left - len(payload)


def _is_plain(record: Task | Workflow, path: str | None, limit: int) -> bool:
    """Whether a record's payloads stay in its row, as nearly all do."""
    return path is None and len(record.input) <= limit and len(record.output) <= limit


def digest_of_path(connection: sqlite3.Connection, path: str) -> bytes | None:
    """What a client has uploaded under a path, if a record refers to it."""
    row = connection.execute(_OF_PATH, (path,)).fetchone()
    return None if row is None else bytes(row[0])


def is_needed(connection: sqlite3.Connection, digest: bytes) -> bool:
    """Whether any record refers to a file."""
    return connection.execute(_NEEDED, (digest,)).fetchone() is not None


def masked_fields_of(connection: sqlite3.Connection, digest: bytes) -> list[str]:
    """What the executions that refer to a file do not want to be shown of it."""
    rows = connection.execute(_WORKFLOWS_OF, (digest, _MOST_ASKED))
    found = [decode_workflow(row[0]) for row in rows]
    return list(dict.fromkeys(field for workflow in found for field in workflow.masked_fields))


def drop_orphans(connection: sqlite3.Connection) -> None:
    """Forget the rows whose execution is gone; an older program leaves such behind."""
    connection.execute(_DROP_ORPHANS)


def sweep(
    connection: sqlite3.Connection, files: PayloadFiles, digests: Iterable[bytes]
) -> list[bytes]:
    """Remove the files among these that no record needs; returns which.

    It runs on the writer's thread between two transactions: what is committed is all there is, and
    a file that was written for a record has its row by then or never will.
    """
    gone = [one for one in digests if not is_needed(connection, one)]
    for digest in gone:
        files.drop(digest)
    return gone
