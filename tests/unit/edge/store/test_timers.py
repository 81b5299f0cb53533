"""What is due: the earliest moment of all records, and the records whose moment has come."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from edge.clock import RandomIds
from edge.model.decision import Decision
from edge.model.definitions import WorkflowDefinition
from edge.model.elapsed import NO_JUMPS, Jump, Jumps, TimeKept
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.snapshot import Snapshot
from edge.store import facts, timers
from edge.store.executions import Executions
from edge.store.metadata import Metadata
from edge.store.migrations import migrate


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


def _write(connection: sqlite3.Connection, key: int, due_ms: int, task_due_ms: int) -> Workflow:
    definition = msgspec.convert({"name": "w"}, WorkflowDefinition)
    pinned = Metadata().pin(connection, definition)
    workflow = Workflow(
        key, RandomIds().workflow_id(key), "w", 1, pinned.key, WorkflowStatus.RUNNING,
        due_ms=due_ms, created_ms=key,
    )  # fmt: skip
    task = Task(1, 1, "a", "WAIT", "WAIT", "a", TaskStatus.IN_PROGRESS, due_ms=task_due_ms)
    executions = Executions(Metadata())
    snapshot = Snapshot(workflow, Pinned(1, definition, b""), [task])
    executions.stage(snapshot, Decision(workflow, (task,)))
    executions.keep()
    executions.fold(connection)
    return workflow


def test_nothing_is_due_in_an_empty_database(connection: sqlite3.Connection) -> None:
    """Zero says: never."""
    assert 0 == timers.earliest_ms(connection)
    assert [] == timers.due(connection, 10**15, 9)


def test_the_earliest_of_tasks_and_workflows(connection: sqlite3.Connection) -> None:
    """Both kinds of records have moments, and zero is none."""
    first = _write(connection, 1, 500, 300)
    second = _write(connection, 2, 100, 0)

    assert 100 == timers.earliest_ms(connection)
    assert [] == timers.due(connection, 99, 9)
    assert [(second.id, 0)] == timers.due(connection, 100, 9)
    assert [(first.id, 1), (second.id, 0), (first.id, 0)] == timers.due(connection, 500, 9)
    assert 2 == len(timers.due(connection, 500, 1))


def test_boots_are_counted_and_time_has_a_floor(connection: sqlite3.Connection) -> None:
    """A clock that starts in 1970 goes on from the newest record."""
    assert facts.Boot(1, 1, TimeKept(0)) == facts.note_boot(connection)
    _write(connection, 7, 0, 0)
    second = facts.note_boot(connection)

    assert (1, 2, 7) == (second.epoch, second.boot, second.time.floor_ms)


def test_what_a_clock_leaves_is_kept(connection: sqlite3.Connection) -> None:
    """Its jumps at once, how the clocks stand each minute, and what was undone once more."""
    timeline = timers.Timeline()

    def flush(kept: TimeKept, *, committed: bool = True) -> TimeKept:
        connection.execute("BEGIN")
        timeline.flush(connection, kept)
        connection.execute("COMMIT" if committed else "ROLLBACK")
        if committed:
            timeline.written()
        found = facts.next_boot(connection).time
        assert found.floor_ms == found.shown_ms
        return found._replace(floor_ms=0)

    first = TimeKept(0, NO_JUMPS, 5, 1_000_000, 100, 0)
    later = first._replace(shown_ms=1_050_000, elapsed_ms=50_100)
    much_later = first._replace(shown_ms=1_060_000, elapsed_ms=60_100)
    jumped = later._replace(jumps=Jumps([Jump(1_050_000, 9_000_000, 7)]))

    assert first == flush(first)
    assert first == flush(later)
    assert first == flush(much_later, committed=False)
    assert much_later == flush(much_later)
    assert jumped == flush(jumped)
    assert jumped == flush(jumped)
