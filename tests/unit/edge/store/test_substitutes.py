"""Stand-ins for damaged records."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from edge.model.executions import WorkflowStatus
from edge.store import executions, metadata, substitutes
from tests.faults import filled


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=12)


def test_a_record_made_of_its_columns(whole: Path, tmp_path: Path) -> None:
    """Id, name and key stay; whose child it is is found out."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        children = [
            one
            for _, one in executions.open_workflows(connection, 0, 999)
            if one is not None and one.parent
        ]
        before = children[0]
        connection.execute("UPDATE workflow SET body = zeroblob(9) WHERE key = ?", (before.key,))

        workflow_id = substitutes.put_workflow(connection, before.key, "it was damaged")

        after = executions.read_workflow(connection, before.id)
        assert after is not None
        assert before.id == workflow_id
        assert (before.name, before.correlation_id, before.parent) == (
            after.name,
            after.correlation_id,
            after.parent,
        )
        assert (WorkflowStatus.RUNNING, "it was damaged") == (after.status, after.reason)
        assert [] == metadata.read_pinned(connection, after.pinned).definition.tasks


def test_without_its_id_it_is_taken_away(whole: Path, tmp_path: Path) -> None:
    """Nobody could ask for it any more."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE workflow SET id = x'00' WHERE key = 1")

        assert substitutes.put_workflow(connection, 1, "damaged") is None
        assert substitutes.put_workflow(connection, 1, "damaged") is None
        left = connection.execute("SELECT count(*) FROM task WHERE key >> 24 = 1").fetchone()
        assert (0,) == left


def test_an_empty_definition_in_the_place_of_a_damaged_one(whole: Path, tmp_path: Path) -> None:
    """Whoever runs it is named; no execution will ever start from it."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        running = {
            one.id
            for _, one in executions.open_workflows(connection, 0, 999)
            if one is not None and one.pinned == 1
        }

        found = substitutes.replace_definition(connection, 1)

        assert running == {one.id for one in found} != set()
        assert [] == metadata.read_pinned(connection, 1).definition.tasks
