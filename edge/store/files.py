"""Files that workers hand each other by handles: whose they are, and how far they have come.

Their content lies beside the database; nothing of it is read here.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.model.executions import parse_uuid
from edge.store.executions import read_workflow

_PUT = """
INSERT INTO file
  (id, workflow_id, workflow, task_id, name, content_type, status, size_bytes, sha256,
   created_ms, updated_ms)
VALUES
  (:id, :workflow_id, :workflow, :task_id, :name, :content_type, :status, :size_bytes, :sha256,
   :created_ms, :updated_ms)
ON CONFLICT (id) DO UPDATE SET
  status = excluded.status, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
  updated_ms = excluded.updated_ms
"""
_ONE = """
SELECT id, workflow_id, task_id, name, content_type, status, size_bytes, sha256, created_ms,
       updated_ms
  FROM file WHERE id = ?
"""
_DROP = "DELETE FROM file WHERE id = ? AND updated_ms < ?"
_ABANDONED = """
SELECT id FROM file
 WHERE updated_ms < ?
   AND NOT EXISTS (SELECT 1 FROM workflow WHERE id = file.workflow)
 LIMIT 500
"""

_MOST_AROUND = 1_000
"""Executions around one that are looked at; fewer can stand in each other."""


class StoredFile(msgspec.Struct, frozen=True):
    """What is known of a file."""

    id: str
    workflow_id: str
    """The execution that owns it."""
    task_id: str | None
    name: str | None
    content_type: str
    status: str
    """UPLOADING until the owner says that it is complete, then UPLOADED."""
    size_bytes: int
    sha256: str | None
    created_ms: int
    updated_ms: int


def put_file(connection: sqlite3.Connection, file: StoredFile) -> None:
    """Keep what is known of a file."""
    parsed = parse_uuid(file.workflow_id)
    row = {**msgspec.structs.asdict(file), "workflow": None if parsed is None else parsed[0]}
    connection.execute(_PUT, row)


def read_file(connection: sqlite3.Connection, file_id: str) -> StoredFile | None:
    """What is known of a file."""
    row = connection.execute(_ONE, (file_id,)).fetchone()
    return None if row is None else StoredFile(*row)


def drop_files(connection: sqlite3.Connection, file_ids: list[str], before_ms: int) -> None:
    """Forget files, but for those that have changed since then after all."""
    connection.executemany(_DROP, [(one, before_ms) for one in file_ids])


def abandoned(connection: sqlite3.Connection, before_ms: int) -> list[str]:
    """Files that have not changed since then, and whose execution is not there."""
    return [row[0] for row in connection.execute(_ABANDONED, (before_ms,))]


def are_related(connection: sqlite3.Connection, one: str, other: str) -> bool:
    """Whether two executions are the same, or one stands in the other."""
    return one == other or _stands_in(connection, one, other) or _stands_in(connection, other, one)


def _stands_in(connection: sqlite3.Connection, inner: str, outer: str) -> bool:
    inside, around = parse_uuid(inner), parse_uuid(outer)
    if inside is None or around is None:
        return False
    here = inside[0]
    for _ in range(_MOST_AROUND):
        workflow = read_workflow(connection, here)
        if workflow is None or not workflow.parent:
            return False
        here = workflow.parent_id
        if here == around[0]:
            return True
    return False
