"""Definitions: registered ones by version, pinned ones once for each distinct content."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest

from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.errors import NotFound
from edge.store import metadata
from edge.store.metadata import Metadata
from edge.store.migrations import migrate


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _definition(*tasks: dict[str, Any], **fields: Any) -> WorkflowDefinition:
    return msgspec.convert({"name": "w", "tasks": list(tasks), **fields}, WorkflowDefinition)


def _task(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": name, **fields}


def test_the_same_content_is_pinned_once(connection: sqlite3.Connection) -> None:
    """A thousand starts of one definition cost one row; a changed task definition one more."""
    rooms = Metadata()
    rooms.put_workflow(connection, _definition(_task("a")), overwrite=True)
    first = rooms.pin_registered(connection, "w", None)
    again = Metadata().pin_registered(connection, "w", 1)
    rooms.put_task(connection, TaskDefinition(name="a", retry_count=1))
    changed = rooms.pin_registered(connection, "w", None)

    assert first.key == again.key != changed.key
    assert 2 == connection.execute("SELECT count(*) FROM pinned_definition").fetchone()[0]


def test_task_definitions_are_embedded_everywhere(connection: sqlite3.Connection) -> None:
    """Registered ones by name, own ones first, ad hoc ones for all the rest."""
    rooms = Metadata()
    rooms.put_task(connection, TaskDefinition(name="known", retry_count=7))
    own = {"name": "own", "retryCount": 9}
    pinned = rooms.pin(
        connection,
        _definition(
            _task("s", type="SWITCH", decisionCases={"x": [_task("known")]},
                  defaultCase=[_task("own", taskDefinition=own)]),
            _task("f", type="FORK_JOIN", forkTasks=[[_task("simple")], [_task("h", type="HTTP")]]),
            _task("l", type="DO_WHILE", loopOver=[_task("inside")]),
        ),
    )  # fmt: skip
    switch, fork, loop = pinned.definition.tasks

    def retries(task: Any) -> int:
        return int(task.task_definition.retry_count)

    assert 7 == retries(switch.decision_cases["x"][0])
    assert 9 == retries(switch.default_case[0])
    assert [3, 0] == [retries(branch[0]) for branch in fork.fork_tasks]
    assert 3 == retries(loop.loop_over[0])
    assert 0 == switch.task_definition.response_timeout_seconds  # type: ignore[union-attr]


def test_pinned_definitions_are_read_again(connection: sqlite3.Connection) -> None:
    """From the database, with the shape of the definition."""
    pinned = Metadata().pin(connection, _definition(_task("a"), _task("b")))
    read = Metadata().pinned(connection, pinned.key)

    assert pinned.definition == read.definition
    following = read.outline.next("a")
    assert following is not None
    assert "b" == following.task_reference_name


def test_the_cache_of_pinned_definitions_is_bounded(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest leaves memory, and nothing is lost by it."""
    monkeypatch.setattr(metadata, "_MAX_CACHED", 2)
    rooms = Metadata()
    keys = [rooms.pin(connection, _definition(_task(name))).key for name in "abc"]

    assert ["a", "b", "c"] == [
        rooms.pinned(connection, key).definition.tasks[0].name for key in keys
    ]


def test_after_a_rollback_nothing_is_remembered(connection: sqlite3.Connection) -> None:
    """What was pinned in the lost transaction is pinned again."""
    rooms = Metadata()
    rooms.put_workflow(connection, _definition(_task("a")), overwrite=True)
    connection.execute("BEGIN")
    rooms.pin_registered(connection, "w", None)
    connection.execute("ROLLBACK")
    rooms.forget_all()

    assert 1 == rooms.pin_registered(connection, "w", None).key


def test_what_is_not_registered(connection: sqlite3.Connection) -> None:
    """The message names what was looked for."""
    with pytest.raises(NotFound, match="name=w, version=3"):
        Metadata().pin_registered(connection, "w", 3)
