"""What is still under way, read with as little as its taking up needs: thousands at once, at a start.

Damaged records are left out: whoever looks after the storage ends their executions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import structlog

from edge.model.errors import RowDamaged
from edge.model.executions import TaskStatus, split_task_key
from edge.store.checked import RecordDecoder

# SQLite seeks by one column of a pair only, so the names are gone through one by one.
_NEXT_NAME = """
SELECT name FROM workflow
 WHERE status IN ('RUNNING', 'PAUSED')
   AND name > ?
 ORDER BY name
 LIMIT 1
"""
_OPEN = """
SELECT key, body FROM workflow
 WHERE status IN ('RUNNING', 'PAUSED')
   AND name = ?
   AND key > ?
 ORDER BY key
 LIMIT ?
"""
_THEIR_TASKS = """
SELECT task.key, task.body FROM workflow
 CROSS JOIN task ON task.key BETWEEN workflow.key << 24 AND (workflow.key << 24) + 16777215
 WHERE workflow.status IN ('RUNNING', 'PAUSED')
   AND workflow.name = ?
   AND workflow.key BETWEEN ? AND ?
 ORDER BY workflow.key, task.key
"""

_QUEUE_FIELD = msgspec.msgpack.encode("qu")
"""Stands in every record of a task that is or was in a queue."""

log = structlog.get_logger()

BEGINNING = ("", 0)
"""Before all executions."""


class OpenExecution(msgspec.Struct, frozen=True, gc=False):
    """Of an execution that has not ended."""

    id: bytes = msgspec.field(name="id")
    pinned: int = msgspec.field(name="p")
    """Key of its definition."""
    priority: int = msgspec.field(name="pr", default=0)


class OpenTask(msgspec.Struct, frozen=True, gc=False):
    """Of a task that workers have to do with. The fields are those of a task's record."""

    ordinal: int = msgspec.field(name="o")
    ref: str = msgspec.field(name="r")
    name: str = msgspec.field(name="n")
    status: TaskStatus = msgspec.field(name="s")
    updated_ms: int = msgspec.field(name="tu", default=0)
    deliver_ms: int = msgspec.field(name="dl", default=0)
    callback_after_s: int = msgspec.field(name="cb", default=0)
    queue: str | None = msgspec.field(name="qu", default=None)
    step: bytes | None = msgspec.field(name="st", default=None)
    suffix: str = msgspec.field(name="sx", default="")

    @property
    def step_ref(self) -> str:
        """The reference name in the definition."""
        return self.ref.removesuffix(self.suffix) if self.suffix else self.ref


class Page(NamedTuple):
    """Some executions that have not ended."""

    executions: list[tuple[OpenExecution, list[OpenTask]]]
    """Those with tasks that wait for a worker, or for an answer that a worker has promised."""
    after: tuple[str, int] | None
    """Where the next page begins; None = there is none."""


_EXECUTION_DECODER = RecordDecoder(OpenExecution, "workflow")
_TASK_DECODER = RecordDecoder(OpenTask, "task")


def read_page(connection: sqlite3.Connection, after: tuple[str, int], limit: int) -> Page:
    """Read up to ``limit`` executions that have not ended, by name and age.

    Args:
        connection: to the database.
        after: of the page before, or ``BEGINNING``.
        limit: of executions; their tasks are as many as they are.
    """
    (name, key), left = after, limit
    found: list[tuple[OpenExecution, list[OpenTask]]] = []
    while left:
        rows = connection.execute(_OPEN, (name, key, left)).fetchall()
        if rows:
            left -= len(rows)
            tasks = _tasks(connection, name, rows[0][0], rows[-1][0])
            found += _whole(rows, tasks)
            key = rows[-1][0]
            continue
        row = connection.execute(_NEXT_NAME, (name,)).fetchone()
        if row is None:
            return Page(found, None)
        name, key = row[0], 0
    return Page(found, (name, key))


def _tasks(
    connection: sqlite3.Connection, name: str, first: int, last: int
) -> dict[int, list[OpenTask]]:
    """By the keys of their executions the tasks that workers have to do with."""
    tasks: dict[int, list[OpenTask]] = {}
    damaged: set[int] = set()
    for key, body in connection.execute(_THEIR_TASKS, (name, first, last)):
        # Most tasks that wait for something else need not be decoded.
        if _QUEUE_FIELD not in body:
            continue
        workflow_key = split_task_key(key)[0]
        try:
            task = _TASK_DECODER.decode(body)
        except RowDamaged as error:
            _tell(error, workflow_key)
            damaged.add(workflow_key)
            continue
        if task.queue is not None and not task.status.terminal:
            tasks.setdefault(workflow_key, []).append(task)
    return {key: found for key, found in tasks.items() if key not in damaged}


def _whole(
    rows: list[tuple[int, bytes]], tasks: dict[int, list[OpenTask]]
) -> Iterator[tuple[OpenExecution, list[OpenTask]]]:
    for key, body in rows:
        if key in tasks:
            try:
                yield _EXECUTION_DECODER.decode(body), tasks[key]
            except RowDamaged as error:
                _tell(error, key)


def _tell(error: RowDamaged, workflow_key: int) -> None:
    log.error("row_damaged", table=error.table, workflow=workflow_key, reason=error.message)
