"""Stand-ins for records that are damaged: enough to show an execution and to end it in order.

Whether a record is damaged is judged elsewhere.
"""

from __future__ import annotations

import sqlite3

from edge.model.definitions import WorkflowDefinition
from edge.model.errors import RowDamaged
from edge.model.executions import (
    ORDINAL_BITS,
    Workflow,
    WorkflowStatus,
    split_task_key,
    task_bytes,
)
from edge.store import damage, executions
from edge.store.checked import encode_document
from edge.store.records import decode_task

_COLUMNS = """
SELECT id, name, status, correlation_id, idempotency_key, created_ms FROM workflow WHERE key = ?
"""
_ONLY_ID = "SELECT id, NULL, NULL, NULL, NULL, NULL FROM workflow WHERE key = ?"
_PUT = """
INSERT INTO workflow
  (key, id, name, status, correlation_id, idempotency_key, created_ms, due_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NEW_DEFINITION_KEY = "SELECT coalesce(max(key), 0) + 1 FROM pinned_definition"
_DROP_DEFINITION = "DELETE FROM pinned_definition WHERE key = ?"
_HOLDING = "SELECT key, body FROM task WHERE instr(body, ?)"
_ID_OF = "SELECT id FROM workflow WHERE key = ?"
_DROP = "DELETE FROM workflow WHERE key = ?"
_DROP_TASKS = "DELETE FROM task WHERE key BETWEEN ? AND ?"
_PAGE = 500

_ID_BYTES = 16


def put_workflow(connection: sqlite3.Connection, key: int, reason: str) -> bytes | None:
    """Put a record in the place of a damaged one that says what its columns say.

    Returns:
        The execution's id; None when that is damaged, too: then it is taken away.
    """
    try:
        row = connection.execute(_COLUMNS, (key,)).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        # A name that is no text any more.
        row = connection.execute(_ONLY_ID, (key,)).fetchone()
    if row is None:
        return None
    workflow_id, name, status, correlation_id, idempotency_key, created_ms = row
    if not isinstance(workflow_id, bytes) or len(workflow_id) != _ID_BYTES:
        connection.execute(_DROP_TASKS, (key << ORDINAL_BITS, (key + 1 << ORDINAL_BITS) - 1))
        connection.execute(_DROP, (key,))
        return None
    name = name if isinstance(name, str) else "damaged"
    created_ms = created_ms if isinstance(created_ms, int) else 0
    workflow = Workflow(
        key=key,
        id=workflow_id,
        name=name,
        version=1,
        pinned=_put_definition(connection, name),
        # One that cannot be is taken to go on, so that it is ended.
        status=WorkflowStatus(status) if status in list(WorkflowStatus) else WorkflowStatus.RUNNING,
        correlation_id=correlation_id if isinstance(correlation_id, str) else None,
        idempotency_key=idempotency_key if isinstance(idempotency_key, str) else None,
        created_ms=created_ms,
        updated_ms=created_ms,
        reason=reason,
        parent=_parent_of(connection, workflow_id),
    )
    connection.execute(_DROP, (key,))
    connection.execute(_PUT, executions.workflow_row(workflow))
    return workflow_id


def replace_definition(connection: sqlite3.Connection, key: int) -> list[Workflow]:
    """Put an empty definition in the place of a damaged one.

    Returns:
        The executions that run it and have not ended.
    """
    found: list[Workflow] = []
    after: int | None = 0
    while after is not None:
        page = executions.open_workflows(connection, after, _PAGE)
        found += [one for _, one in page if one is not None and one.pinned == key]
        after = page[-1][0] if len(page) == _PAGE else None
    name = found[0].name if found else "damaged"
    connection.execute(_DROP_DEFINITION, (key,))
    damage.put_empty_definition(connection, key, _empty(name))
    return found


def _put_definition(connection: sqlite3.Connection, name: str) -> int:
    key = int(connection.execute(_NEW_DEFINITION_KEY).fetchone()[0])
    damage.put_empty_definition(connection, key, _empty(name))
    return key


def _empty(name: str) -> bytes:
    return encode_document(WorkflowDefinition(name=name, version=1, tasks=[]))


def _parent_of(connection: sqlite3.Connection, workflow_id: bytes) -> bytes:
    """Id of the task that waits for an execution; b"" = none does."""
    for key, body in connection.execute(_HOLDING, (workflow_id,)).fetchall():
        try:
            task = decode_task(body)
        except RowDamaged:
            continue
        if task.child == workflow_id and task.kind == "SUB_WORKFLOW" and not task.status.terminal:
            workflow_key, ordinal = split_task_key(key)
            owner = connection.execute(_ID_OF, (workflow_key,)).fetchone()
            if owner is not None:
                return task_bytes(owner[0], ordinal)
    return b""
