"""Windows over records: every value is bound, nothing is left out, and what cannot match is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.clock import RandomIds
from edge.model.executions import (
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    task_key,
    workflow_uuid,
)
from edge.model.executions import task_uuid as uuid_of_task
from edge.store import search
from edge.store.migrations import migrate
from edge.store.records import decode_task, decode_workflow
from edge.store.search import Narrow, Place

_ids = RandomIds()
_encode = msgspec.msgpack.Encoder().encode


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with the schema."""
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    migrate(connection)
    # Thousands of rows, and nobody who would miss them after a power cut.
    connection.execute("BEGIN")
    yield connection
    connection.close()


def _put(connection: sqlite3.Connection, key: int, **fields: object) -> Workflow:
    made = {"name": "w", "status": WorkflowStatus.RUNNING, "created_ms": key, **fields}
    workflow = Workflow(key=key, id=_ids.workflow_id(key), version=1, pinned=1, **made)  # type: ignore[arg-type]
    connection.execute(
        "INSERT INTO workflow (key, id, name, status, correlation_id, created_ms, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (key, workflow.id, workflow.name, workflow.status.value, workflow.correlation_id,
         workflow.created_ms, _encode(workflow)),
    )  # fmt: skip
    return workflow


def _put_task(connection: sqlite3.Connection, key: int, ordinal: int, **fields: object) -> Task:
    made = {"type": "t", "status": TaskStatus.COMPLETED, **fields}
    task = Task(ordinal=ordinal, seq=ordinal, ref="r", kind="SIMPLE", name="n", **made)  # type: ignore[arg-type]
    connection.execute(
        "INSERT INTO task (key, body) VALUES (?, ?)", (task_key(key, ordinal), _encode(task))
    )
    return task


def _all(connection: sqlite3.Connection, place: Place) -> list[int]:
    keys: list[int] = []
    below = search.END
    while below:
        part = search.window(connection, place, below)
        keys += [key for key, _ in part.records]
        below = part.below
    return keys


def test_windows_follow_each_other(connection: sqlite3.Connection) -> None:
    """Newest first, none twice, none left out, whatever gaps there are and however large they are."""
    many = 2 * search.WINDOW_ROWS + 7
    for key in range(1, 2 * many, 2):
        _put(connection, key, input=b"x" * (40_000 if key == 5 else 2))
    place = search.workflow_place(connection, Narrow())

    assert list(range(2 * many - 1, 0, -2)) == _all(connection, place)
    found = dict(search.window(connection, place, 6).records)
    assert b"x" * 40_000 == decode_workflow(found[5]).input
    assert [] == _all(connection, search.archive_place(connection, Narrow()))


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        (Narrow(), {1, 2, 3}),
        (Narrow(names=frozenset({"a"})), {1, 2}),
        (Narrow(names=frozenset()), set()),
        (Narrow(names=frozenset({"a", "' OR 1 = 1 --"})), {1, 2}),
        (Narrow(names=frozenset(f"n{one}" for one in range(2_000))), {1, 2, 3}),
        (Narrow(statuses=frozenset({"FAILED"})), {2}),
        (Narrow(names=frozenset({"a"}), statuses=frozenset({"RUNNING"})), {1}),
        (Narrow(created_from_ms=2), {2, 3}),
        (Narrow(created_to_ms=2), {1, 2}),
        (Narrow(correlation_ids=frozenset({"c", "d"})), {1, 3}),
        (Narrow(correlation_ids=frozenset({"'"})), set()),
        (Narrow(ids=frozenset({"no id", ""})), set()),
    ],
)
def test_what_cannot_match_is_left_out(
    connection: sqlite3.Connection, narrow: Narrow, expected: set[int]
) -> None:
    """By columns and indexes; where there are too many values for that, nothing is."""
    _put(connection, 1, name="a", correlation_id="c")
    _put(connection, 2, name="a", status=WorkflowStatus.FAILED)
    _put(connection, 3, name="b", correlation_id="d")
    place = search.workflow_place(connection, narrow)

    assert expected == set(_all(connection, place))
    if place.complete and place.keys is None:
        assert expected == {key for key, _ in search.key_window(connection, place)[0]}


def test_an_index_finds_executions_by_their_ids(connection: sqlite3.Connection) -> None:
    """Only those, and an index that names too many is left alone."""
    one, two = _put(connection, 1), _put(connection, 2)
    _put(connection, 3)
    ids = frozenset(
        {workflow_uuid(one.id), workflow_uuid(two.id), workflow_uuid(_ids.workflow_id(1))}
    )
    place = search.workflow_place(connection, Narrow(ids=ids))

    assert [2, 1] == _all(connection, place)
    assert {1, 2} == set(search.bodies(connection, "workflow", [1, 2, 9]))
    assert {} == search.bodies(connection, "workflow", [])


def test_keys_come_with_their_times(connection: sqlite3.Connection) -> None:
    """In windows of their own, and without any record being read."""
    for key in range(1, 10_100):
        connection.execute(
            "INSERT INTO workflow (key, id, name, status, created_ms, body)"
            " VALUES (?, ?, 'w', 'RUNNING', ?, X'')",
            (key, key.to_bytes(16, "big"), key * 2),
        )
    place = search.workflow_place(connection, Narrow())
    first, below = search.key_window(connection, place)
    rest, end = search.key_window(connection, place, below)

    assert 10_000 == len(first)
    assert [(99, 198), (98, 196)] == sorted(rest, reverse=True)[:2]
    assert 0 == end
    assert ([], 0) == search.key_window(connection, search.task_place(connection, Narrow()))


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        (Narrow(), {(1, 1), (1, 2), (2, 1)}),
        (Narrow(names=frozenset({"mail"})), {(1, 2), (2, 1)}),
        (Narrow(names=frozenset()), set()),
        (Narrow(statuses=frozenset({"SCHEDULED", "FAILED"})), {(2, 1)}),
        (Narrow(workflow_names=frozenset({"a"})), {(1, 1), (1, 2)}),
        (Narrow(correlation_ids=frozenset({"c"})), {(1, 1), (1, 2)}),
        (Narrow(open_only=True), {(2, 1)}),
        (Narrow(ids=frozenset({"no id"})), set()),
        (Narrow(workflow_ids=frozenset({"no id"})), set()),
    ],
)
def test_tasks_that_cannot_match_are_left_out(
    connection: sqlite3.Connection, narrow: Narrow, expected: set[tuple[int, int]]
) -> None:
    """By what stands in their records, and by their executions."""
    _put(connection, 1, name="a", correlation_id="c", status=WorkflowStatus.COMPLETED)
    _put(connection, 2, name="b")
    _put_task(connection, 1, 1)
    _put_task(connection, 1, 2, type="mail")
    _put_task(connection, 2, 1, type="mail", status=TaskStatus.SCHEDULED)
    found = _all(connection, search.task_place(connection, narrow))

    assert {task_key(*one) for one in expected} == set(found)


def test_tasks_are_found_by_ids(connection: sqlite3.Connection) -> None:
    """By their own and by their execution's, across windows."""
    workflow = _put(connection, 7)
    other = _put(connection, 8)
    for ordinal in range(1, search.WINDOW_ROWS + 3):
        _put_task(connection, 7, ordinal)
    _put_task(connection, 8, 1)
    ids = frozenset({uuid_of_task(workflow.id, 3), uuid_of_task(workflow.id, 9_999)})
    of_workflow = Narrow(workflow_ids=frozenset({workflow_uuid(workflow.id)}))
    gone = Narrow(ids=frozenset({uuid_of_task(_ids.workflow_id(5), 1)}))

    assert [task_key(7, 3)] == _all(connection, search.task_place(connection, Narrow(ids=ids)))
    assert [] == _all(connection, search.task_place(connection, gone))
    assert search.WINDOW_ROWS + 2 == len(
        set(_all(connection, search.task_place(connection, of_workflow)))
    )
    around = search.workflows_around(connection, [task_key(7, 1), task_key(8, 1), task_key(9, 1)])
    assert {7: workflow, 8: other} == around
    assert {} == search.workflows_around(connection, [])


def test_text_that_looks_like_a_field_changes_nothing(connection: sqlite3.Connection) -> None:
    """A payload may hold the bytes of a status; the record is then looked at, and no more."""
    bait = msgspec.msgpack.encode({"s": "FAILED"})[1:]
    _put(connection, 1)
    _put_task(connection, 1, 1, input=bait)
    place = search.task_place(connection, Narrow(statuses=frozenset({"FAILED"})))
    ((_, body),) = search.window(connection, place).records

    assert TaskStatus.COMPLETED is decode_task(body).status


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, "workflow"),
        ({"classifier": "pipeline"}, "pipeline"),
        ({"classifier": " ", "agent_sdk": "x"}, "agent"),
        ({"classifier": 3, "agentDef": {}}, "agent"),
        ({"agent_sdk": None}, "workflow"),
    ],
)
def test_definitions_are_of_a_kind(metadata: dict[str, object], expected: str) -> None:
    """By their metadata, as Conductor derives it."""
    assert expected == search.classifier_of(metadata)


def test_kinds_are_read_from_pinned_definitions(connection: sqlite3.Connection) -> None:
    """All of them, or the ones that are asked for; plain ones are left out."""
    for key, document in enumerate((b"{}", b'{"metadata":{"classifier":"agent"}}'), start=1):
        connection.execute(
            "INSERT INTO pinned_definition (key, digest, document) VALUES (?, ?, ?)",
            (key, bytes([key]), document),
        )

    assert {2: "agent"} == search.classifiers(connection)
    assert {} == search.classifiers(connection, {1})
    assert {2: "agent"} == search.classifiers(connection, {1, 2})


def test_running_and_correlated(connection: sqlite3.Connection) -> None:
    """Oldest first, of one workflow."""
    one = _put(connection, 1, correlation_id="c")
    two = _put(connection, 2, correlation_id="c", status=WorkflowStatus.PAUSED)
    ended = _put(connection, 3, correlation_id="c", status=WorkflowStatus.FAILED)
    _put(connection, 4, name="v", correlation_id="c")

    assert [one, two] == search.running(connection, "w")
    assert [one, two, ended] == search.correlated(connection, "w", "c")
    assert {"RUNNING": 2, "PAUSED": 1, "FAILED": 1} == search.counts(connection)
