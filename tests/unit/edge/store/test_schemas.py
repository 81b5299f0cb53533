"""Registered schemas, and definitions that name them."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from edge.model.definitions import SchemaRef, TaskDefinition, WorkflowDefinition
from edge.model.errors import NotFound
from edge.model.schemas import SchemaDefinition
from edge.store import schemas
from edge.store.metadata import Metadata
from edge.store.migrations import migrate


def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def _put(
    connection: sqlite3.Connection, version: int, minimum: int, *, new_version: bool = False
) -> None:
    schema = SchemaDefinition("s", version, data={"minimum": minimum}, created_by="me")
    schemas.put_schema(connection, schema, 1_000 + minimum, new_version=new_version)


def test_versions_are_kept_beside_each_other() -> None:
    """The same version is replaced and keeps its first time; a new one follows the latest."""
    connection = _connection()
    _put(connection, 1, 1)
    _put(connection, 1, 2)
    _put(connection, 1, 3, new_version=True)
    first, latest = schemas.read_schemas(connection)

    assert (1, {"minimum": 2}, 1_001, 1_002) == (
        first.version, first.data, first.create_time, first.update_time
    )  # fmt: skip
    assert (2, {"minimum": 3}, "me") == (latest.version, latest.data, latest.created_by)
    assert latest == schemas.read_schema(connection, "s", None)
    assert first == schemas.read_schema(connection, "s", 1)
    assert schemas.read_schema(connection, "s", 9) is None


def test_a_first_version_may_be_a_new_one() -> None:
    """Without a latest, it is what it says itself."""
    connection = _connection()
    _put(connection, 5, 1, new_version=True)

    assert [5] == [one.version for one in schemas.read_schemas(connection)]


def test_one_version_or_all_are_forgotten() -> None:
    """What is not there is told."""
    connection = _connection()
    for version in (1, 2, 3):
        _put(connection, version, version)
    schemas.drop_schema(connection, "s", 2)
    assert [1, 3] == [one.version for one in schemas.read_schemas(connection)]
    schemas.drop_schema(connection, "s", None)

    assert [] == schemas.read_schemas(connection)
    with pytest.raises(NotFound, match="found by name: s$"):
        schemas.drop_schema(connection, "s", None)
    with pytest.raises(NotFound, match="name: s, version: 2"):
        schemas.drop_schema(connection, "s", 2)


def test_executions_start_with_the_schemas_of_that_moment() -> None:
    """A name without a version is the latest; later changes meet later executions only."""
    connection, metadata = _connection(), Metadata()
    _put(connection, 1, 1)
    task = {"name": "t", "enforceSchema": True, "outputSchema": {"name": "s", "version": 1}}
    inner = {"name": "i", "taskReferenceName": "i", "taskDefinition": task}
    document = {
        "name": "w",
        "inputSchema": {"name": "s"},
        "outputSchema": {"data": {"maximum": 9}},
        "tasks": [
            {"name": "t", "taskReferenceName": "t"},
            {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": [[inner]]},
        ],
    }
    metadata.put_task(connection, msgspec.convert(task, TaskDefinition))
    definition = msgspec.convert(document, WorkflowDefinition)
    metadata.put_workflow(connection, definition, overwrite=True)
    before = metadata.pin_registered(connection, "w", None).definition
    _put(connection, 2, 2)
    metadata.schemas_changed()
    after = metadata.pin_registered(connection, "w", None).definition

    assert SchemaRef("s", 1, "JSON", {"minimum": 1}) == before.input_schema
    assert SchemaRef("s", 2, "JSON", {"minimum": 2}) == after.input_schema
    assert SchemaRef(data={"maximum": 9}) == after.output_schema
    for step in (after.tasks[0], after.tasks[1].fork_tasks[0][0]):
        assert step.task_definition is not None
        assert SchemaRef("s", 1, "JSON", {"minimum": 1}) == step.task_definition.output_schema


def test_what_is_not_enforced_or_not_there_stays_a_name() -> None:
    """Nothing is read for it."""
    connection = _connection()
    loose = TaskDefinition(input_schema=SchemaRef("s"))
    unknown = TaskDefinition(input_schema=SchemaRef("gone"), enforce_schema=True)

    assert loose is schemas.with_schemas(connection, loose)
    assert unknown == schemas.with_schemas(connection, unknown)
