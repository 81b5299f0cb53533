"""What is not what was written is found, by table and key, and nothing else is accused."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from edge.store import damage, integrity
from edge.store.damage import Damage
from edge.store.migrations import migrate
from tests.faults import filled


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with something of everything; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=30)


def test_a_whole_database_is_whole(whole: Path) -> None:
    """Each table is looked at, and nothing is found."""
    looked: list[str] = []

    found = integrity.inspect(whole, looked.append)

    assert found.whole
    assert set(integrity.TABLES) < set(looked)


@pytest.mark.parametrize(
    ("change", "table", "owner"),
    [
        ("UPDATE workflow SET status = 'FAILED' WHERE key = 2", "workflow", 2),
        ("UPDATE workflow SET correlation_id = 'other' WHERE key = 2", "workflow", 2),
        ("UPDATE workflow SET due_ms = 5 WHERE key = 2", "workflow", 2),
        ("UPDATE workflow SET body = zeroblob(200) WHERE key = 2", "workflow", 2),
        ("UPDATE task SET due_ms = 5 WHERE key >> 24 = 3", "task", 3),
        ("UPDATE task SET key = key + 5 WHERE key >> 24 = 3", "task", 3),
        (
            "UPDATE history SET recorded_ms = 5 WHERE key = (SELECT max(key) FROM history)",
            "history",
            0,
        ),
        ("UPDATE history SET kind = 'tasx' WHERE kind = 'task'", "history", 0),
        (
            "UPDATE pinned_definition SET digest = zeroblob(16) WHERE key = 1",
            "pinned_definition",
            0,
        ),
        (
            "UPDATE workflow_definition SET version = 9 WHERE name = 'plain'",
            "workflow_definition",
            0,
        ),
        ("UPDATE task_definition SET name = 'aa' WHERE name = 'a'", "task_definition", 0),
        ("UPDATE task_definition SET document = CAST('{}}' AS BLOB)", "task_definition", 0),
    ],
)
def test_what_was_changed_is_found(
    whole: Path, tmp_path: Path, change: str, table: str, owner: int
) -> None:
    """A column or a body that nobody of us has written."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(change).rowcount > 0

    found = integrity.inspect(path, lambda _: None)

    assert not found.whole
    assert {table} == {one.table for one in found.records}
    assert {owner} == {one.workflow_key for one in found.records}


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """That is told, not raised."""
    (tmp_path / "baton.db").write_bytes(b"a letter" * 1_000)

    found = integrity.inspect(tmp_path / "baton.db", lambda _: None)

    assert not found.whole
    assert "file is not a database" in found.structure[0]


def test_damage_is_listed_until_it_is_acted_upon() -> None:
    """The list is bounded, and what waits is never pruned."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        for number in range(3):
            damage.note(
                connection,
                Damage(found_ms=number, table="task", record=str(number), reason="changed",
                       workflow_id="w", body=b"x", settled=number == 1),
            )  # fmt: skip
        first, second = damage.unsettled(connection)
        damage.settle(connection, first.key)

        assert ("0", "2") == (first.record, second.record)
        assert ["2"] == [one.record for one in damage.unsettled(connection)]
        assert 3 == damage.count(connection)
        assert ["2", "1", "0"] == [one.record for one in damage.latest(connection)]
