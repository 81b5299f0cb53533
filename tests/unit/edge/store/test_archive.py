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


def test_what_is_too_young_is_not_looked_at(connection: sqlite3.Connection) -> None:
    """The larger the archive, the more of it a look would read that finds nothing to drop."""

    def steps() -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        connection.set_progress_handler(step, 1)
        assert 0 == archive.drop_oldest(connection, 3, 2)
        connection.set_progress_handler(None, 1)
        return count

    taken = []
    for _ in range(2):
        for key in range(20):
            archive.put(connection, _workflow(key), "workflow", b"", now_ms=5)
        taken.append(steps())

    assert taken[0] == taken[1]


def test_a_copy_made_again_is_a_young_one(connection: sqlite3.Connection) -> None:
    """It stands behind those that were made before it, and does not keep them from leaving."""
    again, other = _workflow(1), _workflow(2)
    for moment, workflow in enumerate((again, other, again)):
        archive.put(connection, workflow, "workflow", b"", now_ms=moment)

    assert 1 == archive.drop_oldest(connection, 2, 1)
    assert archive.read(connection, other.id) is None
    assert archive.read(connection, again.id) is not None
