"""A few records of executions as they are committed, whether or not their tables have them yet.

Nothing is written here; when the tables follow is decided elsewhere.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol, TypeVar

from edge.model.executions import Pinned, Task, Workflow
from edge.store import executions, metadata
from edge.store.recent import Recent

R = TypeVar("R", Task, Workflow)

_WIDE = 200
"""Task records of an execution beyond which its tables are read: whoever looks here keeps the disk
thread from its work."""


class Elsewhere(Exception):
    """Only the tables tell this, once they are brought up to date."""


class Records(Protocol):
    """Records of executions, one by one."""

    def workflow(self, workflow_id: bytes) -> Workflow | None:
        """The record of an execution; None = unknown."""
        ...

    def tasks(self, workflow_key: int) -> list[Task]:
        """The task records of an execution, oldest first."""
        ...

    def task(self, key: int) -> Task | None:
        """One task record; None = unknown."""
        ...

    def pinned(self, key: int) -> Pinned:
        """A definition as an execution started from it."""
        ...


class TableRecords:
    """What the tables say.

    Args:
        connection: in the snapshot that is meant.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def workflow(self, workflow_id: bytes) -> Workflow | None:
        """The record of an execution; None = unknown."""
        return executions.read_workflow(self._connection, workflow_id)

    def tasks(self, workflow_key: int) -> list[Task]:
        """The task records of an execution, oldest first."""
        return executions.read_tasks(self._connection, workflow_key)

    def task(self, key: int) -> Task | None:
        """One task record; None = unknown."""
        return executions.read_task(self._connection, key)

    def pinned(self, key: int) -> Pinned:
        """A definition as an execution started from it. Raises RowDamaged."""
        return metadata.read_pinned(self._connection, key)


class CommittedRecords:
    """What the tables say, under what has been committed since. On the writer's thread only.

    Whatever would take long is not told here.

    Args:
        connection: the writer's, between two transactions.
        recent: what the tables lack.
        known: the definitions.

    Raises:
        Elsewhere: something has been taken away since.
    """

    def __init__(
        self, connection: sqlite3.Connection, recent: Recent, known: metadata.Metadata
    ) -> None:
        if recent.rows.removed or recent.rows.dropped:
            raise Elsewhere
        self._tables = TableRecords(connection)
        self._connection = connection
        self._recent = recent
        self._known = known

    def workflow(self, workflow_id: bytes) -> Workflow | None:
        """The record of an execution; None = unknown. Raises Elsewhere."""
        found = self._recent.workflow(workflow_id) or self._tables.workflow(workflow_id)
        return None if found is None else _at_hand(found)

    def tasks(self, workflow_key: int) -> list[Task]:
        """The task records of an execution, oldest first. Raises Elsewhere."""
        later = self._recent.tasks(workflow_key)
        if len(later) > _WIDE:
            raise Elsewhere
        before = executions.read_tasks(self._connection, workflow_key, _WIDE + 1)
        if len(before) > _WIDE:
            raise Elsewhere
        found = {task.ordinal: task for task in (*before, *later.values())}
        return [_at_hand(found[ordinal]) for ordinal in sorted(found)]

    def task(self, key: int) -> Task | None:
        """One task record; None = unknown. Raises Elsewhere."""
        found = self._recent.rows.tasks.get(key) or self._tables.task(key)
        return None if found is None else _at_hand(found)

    def pinned(self, key: int) -> Pinned:
        """A definition as an execution started from it. Raises RowDamaged."""
        return self._known.pinned(self._connection, key)


def _at_hand(record: R) -> R:
    """A record whose payloads are in it. Raises Elsewhere: they are in files."""
    if record.input_file or record.output_file:
        raise Elsewhere
    return record
