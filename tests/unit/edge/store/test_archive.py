"""The archive: a copy is found by its id, replaced, and dropped by hand or by its age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import RandomIds
from edge.model.executions import Workflow, WorkflowStatus
from edge.model.fields import Found
from edge.store import archive
from edge.store.migrations import migrate


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with the schema."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def _workflow(key: int) -> Workflow:
    workflow_id = RandomIds().workflow_id(key)
    return Workflow(
        key=key, id=workflow_id, name="w", version=1, pinned=1, status=WorkflowStatus.COMPLETED
    )


def test_a_copy_is_kept(connection: sqlite3.Connection) -> None:
    """Record, kind and document come back; a second copy takes the place of the first."""
    workflow = _workflow(1)
    archive.put(connection, workflow, "agent", b"first", now_ms=5)
    archive.put(connection, workflow, "agent", b"second", now_ms=6)

    assert Found(workflow, "agent", archived=True) == archive.read(connection, workflow.id)
    assert b"second" == archive.read_document(connection, workflow.id)
    assert 1 == archive.count(connection)
    assert archive.drop(connection, workflow.id)
    assert not archive.drop(connection, workflow.id)
    assert archive.read(connection, workflow.id) is None
    assert archive.read_document(connection, workflow.id) is None


def test_the_oldest_copies_go_first(connection: sqlite3.Connection) -> None:
    """Up to a number, and never those that are young enough."""
    copies = [_workflow(key) for key in range(1, 5)]
    for moment, workflow in enumerate(copies):
        archive.put(connection, workflow, "workflow", b"", now_ms=moment)

    assert 2 == archive.drop_oldest(connection, 3, 2)
    assert archive.read(connection, copies[1].id) is None
    assert archive.read(connection, copies[2].id) is not None
    assert 1 == archive.drop_oldest(connection, 3, 9)
    assert 0 == archive.drop_oldest(connection, 3, 9)
    assert 1 == archive.count(connection)
