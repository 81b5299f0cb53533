"""Executions in the database: reading a Snapshot, writing Decisions, and the hot ones in memory.

Runs on the writer's thread only, but for the functions that take a connection of their own.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

import msgspec
import structlog

from edge.model.decision import Decision, LogLine
from edge.model.errors import RowDamaged
from edge.model.executions import (
    Pinned,
    Task,
    Workflow,
    task_key,
    workflow_uuid,
)
from edge.model.snapshot import Snapshot
from edge.store import facts, redo
from edge.store.metadata import Metadata
from edge.store.overlay import Lacking
from edge.store.payloads import Payloads
from edge.store.recent import Recent
from edge.store.records import decode_task, decode_workflow, encode_task, encode_workflow
from edge.store.staging import Staged

UNFIT = (
    ArithmeticError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What is raised for a value that no row can hold: too wide a number, a text that is none."""

_WORKFLOW_BY_ID = "SELECT body FROM workflow WHERE id = ?"
_WORKFLOW_BY_KEY = "SELECT body FROM workflow WHERE key = ?"
_TASK = "SELECT body FROM task WHERE key = ?"
_TASKS_OF = "SELECT body FROM task WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"
_OPEN_WORKFLOWS = """
SELECT key, body FROM workflow
 WHERE status IN ('RUNNING', 'PAUSED')
   AND key > ?
 ORDER BY key
 LIMIT ?
"""
_PUT_WORKFLOW = """
INSERT INTO workflow
  (key, id, name, status, correlation_id, idempotency_key, created_ms, due_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  name = excluded.name, status = excluded.status, correlation_id = excluded.correlation_id,
  created_ms = excluded.created_ms, due_ms = excluded.due_ms, body = excluded.body
"""
_PUT_TASK = """
INSERT INTO task (key, due_ms, body) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms, body = excluded.body
"""
_DROP_TASK = "DELETE FROM task WHERE key = ?"
_DROP_TASKS_OF = "DELETE FROM task WHERE key BETWEEN ? AND ?"
_DROP_LOGS_OF = "DELETE FROM task_log WHERE task BETWEEN ? AND ?"
_DROP_WORKFLOW = "DELETE FROM workflow WHERE key = ?"
_PUT_LOG = "INSERT INTO task_log (task, created_ms, line) VALUES (?, ?, ?)"
_LATEST_LOGS = "SELECT created_ms, line FROM task_log WHERE task = ? ORDER BY key DESC LIMIT ?"
_LATEST_START = """
SELECT body FROM workflow
 WHERE idempotency_key = ?
   AND name = ?
 ORDER BY status IN ('RUNNING', 'PAUSED') DESC, key DESC
 LIMIT 1
"""

log = structlog.get_logger()

HOT_RECORDS = 20_000
"""Task records kept in memory for the executions that move; at about 1 KB each this bounds the
cache near 20 MB. The executions that moved longest ago leave first and are read again."""

HOT_EXECUTIONS = 1_000
"""Executions kept in memory, at about 3 KB each: many small ones are bounded by this."""

_FOLD_RECORDS = 1_000
"""Records that the tables may lack: at about 1 KB each they take 1 MB of memory. Putting them in place
takes some 15 ms, for which everybody waits; more at once would write no less in the long run."""

_NOTE_EVERY_MS = 60_000
"""How much time a boot without a clock may lose at most."""

_MAX_LOG_LINES = 1_000
"""Lines of one task's log that are shown: the latest."""


def read_workflow(connection: sqlite3.Connection, workflow_id: bytes) -> Workflow | None:
    """The record of an execution."""
    row = connection.execute(_WORKFLOW_BY_ID, (workflow_id,)).fetchone()
    return None if row is None else decode_workflow(row[0])


def read_workflow_by_key(connection: sqlite3.Connection, key: int) -> Workflow | None:
    """The record of an execution by its key."""
    row = connection.execute(_WORKFLOW_BY_KEY, (key,)).fetchone()
    return None if row is None else decode_workflow(row[0])


def read_tasks(connection: sqlite3.Connection, workflow_key: int, limit: int = -1) -> list[Task]:
    """The task records of an execution, oldest first; -1 = all of them."""
    rows = connection.execute(_TASKS_OF, (*_range(workflow_key), limit))
    return [decode_task(row[0]) for row in rows]


def read_task(connection: sqlite3.Connection, key: int) -> Task | None:
    """One task record."""
    row = connection.execute(_TASK, (key,)).fetchone()
    return None if row is None else decode_task(row[0])


def read_logs(connection: sqlite3.Connection, key: int, ordinal: int) -> list[LogLine]:
    """The latest lines of a task's log, oldest first."""
    rows = connection.execute(_LATEST_LOGS, (key, _MAX_LOG_LINES)).fetchall()
    return [LogLine(ordinal, line, created_ms) for created_ms, line in reversed(rows)]


def open_workflows(
    connection: sqlite3.Connection, after_key: int, limit: int
) -> list[tuple[int, Workflow | None]]:
    """Keys and records of executions that have not ended, a page at a time; None = damaged."""
    rows = connection.execute(_OPEN_WORKFLOWS, (after_key, limit))
    return [(key, _undamaged(key, body)) for key, body in rows]


def _undamaged(key: int, body: bytes) -> Workflow | None:
    try:
        return decode_workflow(body)
    except RowDamaged as error:
        log.error("row_damaged", table=error.table, key=key, reason=error.message)
        return None


def latest_start(connection: sqlite3.Connection, key: str, name: str) -> Workflow | None:
    """The execution of a workflow that was started with an idempotency key.

    Of several, one that is open: an older one may have been restarted. Otherwise the newest.
    """
    row = connection.execute(_LATEST_START, (key, name)).fetchone()
    return None if row is None else decode_workflow(row[0])


def _range(workflow_key: int) -> tuple[int, int]:
    return task_key(workflow_key, 0), task_key(workflow_key + 1, 0) - 1


def put(connection: sqlite3.Connection, rows: Staged) -> None:
    """Put records where they belong; the transaction is the caller's."""
    for key in rows.removed:
        connection.execute(_DROP_TASKS_OF, _range(key))
        connection.execute(_DROP_LOGS_OF, _range(key))
        connection.execute(_DROP_WORKFLOW, (key,))
    if rows.dropped:
        connection.executemany(_DROP_TASK, [(key,) for key in rows.dropped])
    if rows.workflows:
        workflows = [workflow_row(workflow) for _, workflow in sorted(rows.workflows.items())]
        connection.executemany(_PUT_WORKFLOW, workflows)
    if rows.tasks:
        tasks = [_task_row(key, task) for key, task in sorted(rows.tasks.items())]
        connection.executemany(_PUT_TASK, tasks)
    if rows.logs:
        connection.executemany(_PUT_LOG, rows.logs)


def recover(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date when the database is opened; the transaction stays open."""
    Executions(Metadata()).fold(connection)


class Executions:
    """The writing half: Snapshots that move, and rows waiting to be written with the next COMMIT.

    What one request stages is kept apart until ``keep``: a request that fails is undone by
    ``discard``, however many executions it has touched.

    Args:
        metadata: gives the pinned definitions.
        payloads: puts large payloads into files; None = they stay in the rows.
    """

    def __init__(self, metadata: Metadata, payloads: Payloads | None = None) -> None:
        self._metadata = metadata
        self._payloads = payloads
        self._hot: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._hot_records = 0
        self._recent = Recent()
        """What is committed and stands in no table yet: the same as in the rows of ``redo``."""
        self._known = False
        """Whether ``_recent`` is that; after a COMMIT that may have failed it is not."""
        self._placing = False
        """Whether what the tables lacked is put there by a transaction that is still open."""
        self._batch = Staged()
        self._logged = Staged()
        """What the transaction has written as a row of ``redo``: pending, once it is committed."""
        self._request = Staged()
        self._touched: set[bytes] = set()
        """Executions whose Snapshots the request has moved."""
        self._next_key = 0
        self._noted_ms = 0

    def new_key(self, connection: sqlite3.Connection) -> int:
        """The key of a new execution."""
        if not self._next_key:
            self.fold(connection)
            row = connection.execute("SELECT coalesce(max(key), 0) FROM workflow").fetchone()
            self._next_key = row[0] + 1
        self._next_key += 1
        return self._next_key - 1

    def begin(self, workflow: Workflow, pinned: Pinned) -> Snapshot:
        """A Snapshot of an execution that is about to start."""
        self._touched.add(workflow.id)
        return self._keep_hot(Snapshot(workflow, pinned, []))

    def load(self, connection: sqlite3.Connection, workflow_id: bytes) -> Snapshot | None:
        """The Snapshot of an execution, from memory or from the disk; None = unknown."""
        snapshot = self._hot.get(workflow_id)
        if snapshot is not None:
            self._hot.move_to_end(workflow_id)
            return snapshot
        if workflow_id in self._request.removed.values():
            return None
        # What the request itself has touched is in memory, so the batch's rows are enough.
        self.fold(connection)
        workflow = read_workflow(connection, workflow_id)
        if workflow is None:
            return None
        pinned = self._metadata.pinned(connection, workflow.pinned)
        tasks = read_tasks(connection, workflow.key)
        if self._payloads is None:
            return self._keep_hot(Snapshot(workflow, pinned, tasks))
        return self._keep_hot(self._payloads.snapshot(workflow, pinned, tasks))

    def load_undamaged(self, connection: sqlite3.Connection, workflow_id: bytes) -> Snapshot | None:
        """The Snapshot of an execution; None = unknown, or it cannot be read."""
        try:
            return self.load(connection, workflow_id)
        except RowDamaged as error:
            log.error("row_damaged", workflow_id=workflow_uuid(workflow_id), reason=error.message)
            return None

    def rewrite(self, workflow_id: bytes) -> bool:
        """Have an execution written again as it is in memory; False when it is not there."""
        snapshot = self._hot.get(workflow_id)
        if snapshot is None:
            return False
        workflow = snapshot.workflow
        self._touched.add(workflow_id)
        self._request.workflows[workflow.key] = workflow
        for task in snapshot.tasks.values():
            self._request.tasks[task_key(workflow.key, task.ordinal)] = task
        return True

    def replace(self, snapshot: Snapshot) -> None:
        """Put another Snapshot of the same execution in place."""
        self.forget(snapshot.workflow.id)
        self._touched.add(snapshot.workflow.id)
        self._keep_hot(snapshot)

    def touch(self, snapshot: Snapshot) -> None:
        """Say that a Snapshot is about to move."""
        self._touched.add(snapshot.workflow.id)

    def stage(self, snapshot: Snapshot, decision: Decision) -> None:
        """Take over what a decision wants written."""
        self._touched.add(snapshot.workflow.id)
        self._request.take(snapshot.workflow.key, decision)

    def started_with(
        self, connection: sqlite3.Connection, idempotency_key: str, name: str
    ) -> Workflow | None:
        """The newest execution of a workflow that was started with an idempotency key."""
        for workflow in reversed(self._request.workflows.values()):
            if workflow.idempotency_key == idempotency_key and workflow.name == name:
                return workflow
        self.fold(connection)
        return latest_start(connection, idempotency_key, name)

    def remove(self, workflow: Workflow) -> None:
        """Take a whole execution away."""
        self._request.remove(workflow.key, workflow.id)
        self._touched.add(workflow.id)
        self.forget(workflow.id)

    def add_log(self, key: int, created_ms: int, line: str) -> None:
        """Add a line to a task's log."""
        self._request.logs.append((key, created_ms, line))

    def keep(self) -> None:
        """The request is done: its rows belong to the batch."""
        self._batch.add(self._request)
        self._request.clear()
        self._touched.clear()

    def discard(self) -> None:
        """The request has failed: nothing of it is written, and what it moved is read again."""
        for workflow_id in self._touched:
            self.forget(workflow_id)
        self._request.clear()
        self._touched.clear()

    @property
    def unfolded(self) -> bool:
        """Whether the tables may lack anything that is committed; any thread may ask."""
        return not self._known or self._placing or not self._recent.rows.empty

    @property
    def recent(self) -> Recent | None:
        """What is committed and stands in no table yet; None = that is not known just now."""
        return self._recent if self._known else None

    def take_up(self, connection: sqlite3.Connection) -> None:
        """At the beginning of a transaction: know what the tables lack, after an uncertain end."""
        if not self._known:
            for batch in redo.batches(connection):
                self._recent.add(batch)
            self._known = True

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what the finished requests of the batch have staged; the transaction stays open."""
        batch = self._batch
        if batch.empty:
            return
        if batch.tasks:
            self._note_time(connection, next(reversed(batch.tasks.values())).updated_ms)
        if len(self._recent.rows) + len(batch) >= _FOLD_RECORDS:
            self.fold(connection)
            return
        if self._payloads is not None:
            self._payloads.pack(connection, batch)
        redo.append(connection, redo.pack(batch))
        self._logged, self._batch = batch, Staged()

    def committed(self) -> None:
        """The transaction is on the disk."""
        if not self._logged.empty:
            self._recent.add(self._logged)
            self._logged = Staged()
        self._placing = False

    def fold(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date, the finished requests of the batch included.

        The transaction stays open. Statements that read the tables of executions need this first.
        """
        assert self._logged.empty, (
            "a row that was just written is not pending yet, and would be lost"
        )
        self.take_up(connection)
        if self._payloads is not None and not self._batch.empty:
            self._payloads.pack(connection, self._batch)
        if not self._recent.rows.empty:
            # Nobody else sees it there before the COMMIT, though it was acknowledged long ago.
            self._placing = True
            put(connection, self._recent.rows)
            redo.clear(connection)
            self._recent.clear()
        put(connection, self._batch)
        self._batch.clear()

    def lacking(self, connection: sqlite3.Connection) -> Lacking:
        """What the tables lack, as rows; nothing is written, and no transaction is needed."""
        pending = self._recent.rows
        if not self._known:
            # After a COMMIT that may have failed this is what can be shown, and no more: what it
            # came to is known only to connections that are made anew.
            pending = Staged()
            for batch in redo.batches(connection):
                pending.add(batch)
        return Lacking(
            [workflow_row(workflow) for workflow in pending.workflows.values()],
            [_task_row(key, task) for key, task in pending.tasks.items()],
            list(pending.logs),
            list(pending.removed),
            list(pending.dropped),
        )

    def _note_time(self, connection: sqlite3.Connection, latest_ms: int) -> None:
        """Now and then keep how late it is, for a boot without a clock; flash wears out."""
        if latest_ms - self._noted_ms >= _NOTE_EVERY_MS:
            self._noted_ms = latest_ms
            facts.note_time(connection, latest_ms)

    def trim(self) -> None:
        """After a COMMIT: let the executions that have ended, and the coldest, leave memory."""
        while len(self._hot) > (1 if self._hot_records > HOT_RECORDS else HOT_EXECUTIONS):
            self.forget(next(iter(self._hot)))

    def forget(self, workflow_id: bytes) -> None:
        """Let one execution leave memory."""
        snapshot = self._hot.pop(workflow_id, None)
        if snapshot is not None:
            self._hot_records -= snapshot.weight

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory is ahead of the disk."""
        self._hot.clear()
        self._hot_records = 0
        self._recent.clear()
        self._known = False
        self._logged.clear()
        self._batch.clear()
        self._request.clear()
        self._touched.clear()
        self._next_key = 0
        self._noted_ms = 0
        if self._payloads is not None:
            self._payloads.forget_all()

    def weigh(self, snapshot: Snapshot) -> None:
        """Count the records that a Snapshot has gained."""
        if snapshot.workflow.id in self._hot:
            weight = len(snapshot.tasks) + 1 + snapshot.bulk
            self._hot_records += weight - snapshot.weight
            snapshot.weight = weight

    def _keep_hot(self, snapshot: Snapshot) -> Snapshot:
        self._hot[snapshot.workflow.id] = snapshot
        snapshot.weight = len(snapshot.tasks) + 1 + snapshot.bulk
        self._hot_records += snapshot.weight
        return snapshot


def workflow_row(workflow: Workflow) -> tuple[object, ...]:
    """The columns of a row of ``workflow``, in their order."""
    return (
        workflow.key,
        workflow.id,
        workflow.name,
        workflow.status.value,
        workflow.correlation_id,
        workflow.idempotency_key,
        workflow.created_ms,
        workflow.due_ms or None,
        encode_workflow(workflow),
    )


def _task_row(key: int, task: Task) -> tuple[object, ...]:
    return key, task.due_ms or None, encode_task(task)
