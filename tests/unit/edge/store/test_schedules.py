"""Schedules in the database: due ones, records of ticks and their limit, searches, an upgrade."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from edge.model.schedules import ExecutionState, Schedule, ScheduleExecution, parse_schedule
from edge.store import schedules as store
from edge.store.migrations import migrate
from edge.store.schedules import ExecutionQuery, ScheduleQuery, Timed


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _schedule(name: str, **fields: Any) -> Schedule:
    document = {
        "name": name, "cronExpression": "@daily", "startWorkflowRequest": {"name": "flow"}, **fields,
    }  # fmt: skip
    return parse_schedule(document)


def _record(name: str, moment_ms: int, **fields: Any) -> ScheduleExecution:
    values: dict[str, Any] = {
        "id": f"{name}-{moment_ms}", "schedule": name, "workflow": "flow",
        "state": ExecutionState.EXECUTED, "scheduled_ms": moment_ms, "executed_ms": moment_ms + 1,
        "zone_id": "UTC", **fields,
    }  # fmt: skip
    return ScheduleExecution(**values)


def test_a_schedule_lives_and_goes(connection: sqlite3.Connection) -> None:
    """It is read as it was written, replaced under its name, and gone with its records."""
    timed = Timed(_schedule("a"), 5, 4, 3)
    assert store.read(connection, "a") is None
    store.put(connection, timed)
    store.put(connection, Timed(_schedule("b")))
    store.add_execution(connection, _record("a", 1), 1)

    assert timed == store.read(connection, "a")
    assert 2 == store.count(connection)
    assert ["a", "b"] == [one.schedule.name for one in store.read_all(connection)]
    later = Timed(_schedule("a", description="new"), None, 9, 9)
    store.put(connection, later)
    assert later == store.read(connection, "a")
    assert store.remove(connection, "a")
    assert not store.remove(connection, "a")
    assert (0, []) == store.search_executions(connection, ExecutionQuery())
    assert 1 == store.count(connection)


def test_what_is_due(connection: sqlite3.Connection) -> None:
    """The one that came due last stands first; a schedule without a next tick is never due."""
    assert 0 == store.earliest_ms(connection)
    for name, next_ms in (("a", 30), ("b", 10), ("c", 20), ("d", None)):
        store.put(connection, Timed(_schedule(name), next_ms))

    assert 10 == store.earliest_ms(connection)
    assert [] == store.due(connection, 9, 9)
    assert ["c", "b"] == [one.schedule.name for one in store.due(connection, 29, 9)]
    assert ["a", "c"] == [one.schedule.name for one in store.due(connection, 30, 2)]
    store.put_timer(connection, Timed(_schedule("b"), 40, 10, 1))
    assert ["a", "c"] == [one.schedule.name for one in store.due(connection, 30, 9)]


def test_due_schedules_are_found_by_an_index(connection: sqlite3.Connection) -> None:
    """The loop asks for them with every tick."""
    for statement, index in (
        (store._DUE.replace("?", "5"), "schedule_due"),
        (store._EARLIEST, "schedule_due"),
        (store._PRUNE.replace("?", "5"), "schedule_execution_of"),
    ):
        plan = " ".join(
            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        )
        assert index in plan
        assert "SCAN schedule" not in plan.replace("SCAN schedule_timer USING", "")


def test_the_newest_records_are_kept(connection: sqlite3.Connection) -> None:
    """Of each schedule a thousand, looked at with every hundredth tick; others keep theirs."""
    store.add_execution(connection, _record("rare", 1), 1)
    for tick in range(1, store.KEPT_EXECUTIONS + 201):
        store.add_execution(connection, _record("busy", tick), tick)
    busy, found = store.search_executions(connection, ExecutionQuery(schedules=["busy"], limit=1))
    rare, _ = store.search_executions(connection, ExecutionQuery(schedules=["rare"]))

    assert (store.KEPT_EXECUTIONS, 1) == (busy, rare)
    assert store.KEPT_EXECUTIONS + 200 == found[0].scheduled_ms


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ExecutionQuery(), ["c-4", "b-3", "b-2", "a-1"]),
        (ExecutionQuery(schedules=["a", "c"]), ["c-4", "a-1"]),
        (ExecutionQuery(states=[ExecutionState.FAILED]), ["b-3"]),
        (ExecutionQuery(states=[ExecutionState.POLLED]), []),
        (ExecutionQuery(part_of_workflow="epor"), ["c-4"]),
        (ExecutionQuery(execution_id="b-2"), ["b-2"]),
        (ExecutionQuery(after_ms=2), ["c-4", "b-3"]),
        (ExecutionQuery(before_ms=2), ["a-1"]),
        (ExecutionQuery(after_ms=1, before_ms=4, schedules=["b"]), ["b-3", "b-2"]),
        (ExecutionQuery(text="no such workflow"), ["b-3"]),
        (ExecutionQuery(text="wf-9"), ["a-1"]),
        (ExecutionQuery(offset=1, limit=2), ["b-3", "b-2"]),
        (ExecutionQuery(sort=(("scheduledTime", True),)), ["a-1", "b-2", "b-3", "c-4"]),
        (
            ExecutionQuery(sort=(("state", False), ("workflowName", False))),
            ["b-3", "c-4", "b-2", "a-1"],
        ),
        (ExecutionQuery(sort=(("odd; DROP TABLE", True),)), ["c-4", "b-3", "b-2", "a-1"]),
    ],
)
def test_searching_records(
    connection: sqlite3.Connection, query: ExecutionQuery, expected: list[str]
) -> None:
    """By names, states, times, ids and words; the latest tick first unless another order is asked."""
    for record in (
        _record("a", 1, workflow_id="wf-9"),
        _record("b", 2),
        _record("b", 3, state=ExecutionState.FAILED, reason="no such workflow"),
        _record("c", 4, workflow="report"),
    ):
        store.add_execution(connection, record, 1)
    total, found = store.search_executions(connection, query)

    assert expected == [record.id for record in found]
    assert total == (4 if query.offset else len(expected))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ScheduleQuery(), ["day", "month", "night"]),
        (ScheduleQuery(workflow="report"), ["month"]),
        (ScheduleQuery(part_of_name="t"), ["month", "night"]),
        (ScheduleQuery(paused=True), ["night"]),
        (ScheduleQuery(paused=False), ["day", "month"]),
        (ScheduleQuery(text="Zürich"), ["day"]),
        (ScheduleQuery(text="@daily", part_of_name="n", paused=False), ["month"]),
        (ScheduleQuery(offset=2, limit=5), ["night"]),
    ],
)
def test_searching_schedules(
    connection: sqlite3.Connection, query: ScheduleQuery, expected: list[str]
) -> None:
    """By workflow, a part of the name, whether they are paused, and words."""
    for schedule in (
        _schedule("night", paused=True),
        _schedule("day", description="Zürich"),
        _schedule("month", startWorkflowRequest={"name": "report"}),
    ):
        store.put(connection, Timed(schedule))
    total, found = store.search(connection, query)

    assert expected == [one.schedule.name for one in found]
    assert total == (3 if query.offset else len(expected))


def test_the_scheduler_can_be_stopped(connection: sqlite3.Connection) -> None:
    """It runs unless somebody said otherwise, and remembers what was said last."""
    assert not store.read_paused(connection)
    store.write_paused(connection, paused=True)
    assert store.read_paused(connection)
    store.write_paused(connection, paused=False)
    assert not store.read_paused(connection)


def test_a_database_of_the_first_version_gains_the_tables() -> None:
    """What is in it stays, and schedules can be kept from now on."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    for table in ("schedule", "schedule_timer", "schedule_execution"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("INSERT INTO fact (name, value) VALUES ('boot', 7)")
    connection.execute("PRAGMA user_version = 1")
    migrate(connection)
    store.put(connection, Timed(_schedule("a"), 5))

    assert 5 == store.earliest_ms(connection)
    assert (7,) == connection.execute("SELECT value FROM fact WHERE name = 'boot'").fetchone()
