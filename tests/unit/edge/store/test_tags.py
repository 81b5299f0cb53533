"""Tags keep their order and values through the database, and are found from both ends."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.tags import Tag
from edge.store import tags
from edge.store.migrations import migrate
from edge.store.tags import Tagged


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database."""
    opened = sqlite3.connect(":memory:")
    migrate(opened)
    return opened


def test_tags_of_a_definition(connection: sqlite3.Connection) -> None:
    """As they were put there; putting replaces, and kinds do not mix."""
    first = [Tag("team", "roof"), Tag("flow", 3, "RATE_LIMIT"), Tag("a", "b", "METADATA")]
    tags.put(connection, Tagged.WORKFLOW, "flow", first)
    tags.put(connection, Tagged.TASK, "flow", [Tag("team", "cellar")])

    assert first == tags.read(connection, Tagged.WORKFLOW, "flow")
    assert {"flow": [Tag("team", "cellar")]} == tags.read_all(connection, Tagged.TASK)
    tags.put(connection, Tagged.WORKFLOW, "flow", [Tag("x")])
    assert [Tag("x")] == tags.read(connection, Tagged.WORKFLOW, "flow")
    tags.put(connection, Tagged.WORKFLOW, "flow", [])
    assert {} == tags.read_all(connection, Tagged.WORKFLOW)


def test_the_same_tags_are_not_written_again(connection: sqlite3.Connection) -> None:
    """Workers register themselves at each start; flash wears out."""
    tags.put(connection, Tagged.TASK, "work", [Tag("a", "b")])
    before = connection.total_changes
    tags.put(connection, Tagged.TASK, "work", [Tag("a", "b")])

    assert before == connection.total_changes


def test_who_carries_a_tag(connection: sqlite3.Connection) -> None:
    """Each tag once, counted by kind, and the names of its carriers."""
    for name in ("one", "two"):
        tags.put(connection, Tagged.WORKFLOW, name, [Tag("team", "roof"), Tag(name, "x")])
    tags.put(connection, Tagged.TASK, "work", [Tag("team", "roof")])

    assert [Tag("one", "x"), Tag("team", "roof"), Tag("two", "x")] == tags.every(connection)
    assert [("team", "roof", "TASK_DEF", 1), ("team", "roof", "WORKFLOW_DEF", 2)] == [
        tuple(one) for one in tags.counts(connection) if one.key == "team"
    ]
    assert ["one", "two"] == tags.carriers(connection, "team", "roof", Tagged.WORKFLOW)
    assert [] == tags.carriers(connection, "team", "cellar", Tagged.WORKFLOW)


def test_the_questions_use_an_index(connection: sqlite3.Connection) -> None:
    """A device may hold thousands of definitions."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {tags._CARRIERS}", ("a", '"b"', "TASK_DEF"))

    assert "definition_tag_carriers" in str(plan.fetchall())
