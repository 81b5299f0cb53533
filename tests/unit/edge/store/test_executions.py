"""Executions in the database: what is staged is written once, and read back as it was."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from edge.clock import RandomIds
from edge.model.decision import Decision, LogLine
from edge.model.definitions import WorkflowDefinition
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.snapshot import Snapshot
from edge.store import executions as rows
from edge.store import search
from edge.store.executions import Executions
from edge.store.facts import note_boot
from edge.store.metadata import Metadata
from edge.store.migrations import migrate


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An empty database in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    return opened


class _House:
    """Executions with their metadata, and one pinned definition."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.metadata = Metadata()
        self.executions = Executions(self.metadata)
        self.pinned: Pinned = self.metadata.pin(
            connection, msgspec.convert({"name": "w"}, WorkflowDefinition)
        )

    def begin(self, **fields: object) -> Snapshot:
        """A new execution, staged."""
        key = self.executions.new_key(self.connection)
        workflow = Workflow(
            key=key, id=RandomIds().workflow_id(key), name="w", version=1,
            pinned=self.pinned.key, status=WorkflowStatus.RUNNING, **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        snapshot = self.executions.begin(workflow, self.pinned)
        self.executions.stage(snapshot, Decision(workflow))
        self.executions.keep()
        return snapshot

    def put(self, snapshot: Snapshot, task: Task) -> None:
        """A task of an execution, staged."""
        snapshot.put(task)
        self.executions.stage(snapshot, Decision(tasks=(task,)))
        self.executions.keep()
        self.executions.weigh(snapshot)


def _task(ordinal: int, **fields: object) -> Task:
    values = {"seq": ordinal, "ref": f"t{ordinal}", "status": TaskStatus.SCHEDULED, **fields}
    return Task(ordinal, kind="SIMPLE", type="a", name="a", **values)  # type: ignore[arg-type]


def test_records_come_back_as_they_were(connection: sqlite3.Connection) -> None:
    """Every field, for the workflow and for its tasks."""
    house = _House(connection)
    snapshot = house.begin(correlation_id="c", variables=b'{"v":1}', task_to_domain={"a": "d"})
    house.put(snapshot, _task(1, output=b'{"x":1}', reason="why", polls=3, deliver_ms=9))
    house.executions.flush(connection)
    house.executions.forget_all()
    loaded = house.executions.load(connection, snapshot.workflow.id)

    assert loaded is not None
    assert snapshot.workflow == loaded.workflow
    assert snapshot.tasks == loaded.tasks
    assert snapshot.workflow == rows.read_workflow_by_key(connection, snapshot.workflow.key)


def test_a_row_changed_twice_is_written_once(connection: sqlite3.Connection) -> None:
    """What shares a transaction shares its writes."""
    house = _House(connection)
    snapshot = house.begin()
    house.put(snapshot, _task(1))
    house.put(snapshot, _task(1, status=TaskStatus.COMPLETED))
    before = connection.total_changes
    house.executions.flush(connection)

    assert 2 == connection.total_changes - before
    task = rows.read_task(connection, snapshot.workflow.key << 24 | 1)
    assert task is not None
    assert TaskStatus.COMPLETED is task.status


def test_dropped_records_are_gone(connection: sqlite3.Connection) -> None:
    """Whether they had been written or only staged."""
    house = _House(connection)
    snapshot = house.begin()
    house.put(snapshot, _task(1))
    house.executions.flush(connection)
    house.put(snapshot, _task(2))
    house.executions.stage(snapshot, Decision(tasks=(_task(3),), dropped=(1, 2)))
    house.executions.keep()
    house.executions.flush(connection)

    assert [3] == [t.ordinal for t in rows.read_tasks(connection, snapshot.workflow.key)]


def test_the_time_is_kept_when_all_records_of_it_are_pruned(connection: sqlite3.Connection) -> None:
    """A boot in 1970 goes on within a minute of the last decision, history or not."""
    house = _House(connection)
    snapshot = house.begin(created_ms=1_000)
    floors = []
    for moment_ms in (500_000, 530_000, 561_000):
        house.put(snapshot, _task(1, updated_ms=moment_ms))
        house.executions.flush(connection)
        floors.append(note_boot(connection).time.floor_ms)

    assert [500_000, 500_000, 561_000] == floors


def test_neighbours_are_not_touched(connection: sqlite3.Connection) -> None:
    """Removing one execution leaves the records beside it."""
    house = _House(connection)
    first, second = house.begin(), house.begin()
    for snapshot in (first, second):
        house.put(snapshot, _task(1))
        house.executions.stage(snapshot, Decision(logs=(LogLine(1, "line", 5),)))
        house.executions.keep()
    house.executions.remove(first.workflow)
    house.executions.keep()

    assert house.executions.load(connection, first.workflow.id) is None
    assert [] == rows.read_tasks(connection, first.workflow.key)
    assert 1 == len(rows.read_tasks(connection, second.workflow.key))
    assert 1 == len(rows.read_logs(connection, second.workflow.key << 24 | 1, 1))


def test_keys_ascend_over_restarts(connection: sqlite3.Connection) -> None:
    """A key is never given twice."""
    house = _House(connection)
    first = house.begin()
    house.executions.flush(connection)
    again = _House(connection)

    assert first.workflow.key + 1 == again.begin().workflow.key


def test_open_executions_come_in_pages(connection: sqlite3.Connection) -> None:
    """Those that have ended are left out."""
    house = _House(connection)
    snapshots = [house.begin() for _ in range(3)]
    ended = msgspec.structs.replace(snapshots[1].workflow, status=WorkflowStatus.COMPLETED)
    house.executions.stage(snapshots[1], Decision(ended))
    house.executions.keep()
    house.executions.flush(connection)

    page = rows.open_workflows(connection, 0, 1)
    rest = rows.open_workflows(connection, page[0][0], 9)
    assert [snapshots[0].workflow] == [one for _, one in page]
    assert [snapshots[2].workflow] == [one for _, one in rest]


def test_the_coldest_leave_memory(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that moved last stays, however large it is."""
    monkeypatch.setattr(rows, "HOT_RECORDS", 4)
    house = _House(connection)
    cold, hot = house.begin(), house.begin()
    for ordinal in range(1, 9):
        house.put(hot, _task(ordinal))
    house.executions.flush(connection)
    house.executions.trim()

    assert hot is house.executions.load(connection, hot.workflow.id)
    assert cold is not house.executions.load(connection, cold.workflow.id)


def test_an_execution_is_found_by_what_it_became(connection: sqlite3.Connection) -> None:
    """An upgrade gives it another name, a rerun another correlation id: the columns follow."""
    house = _House(connection)
    snapshot = house.begin(correlation_id="before")
    house.executions.flush(connection)
    changed = msgspec.structs.replace(snapshot.workflow, name="v", correlation_id="after")
    house.executions.stage(snapshot, Decision(changed))
    house.executions.keep()
    house.executions.flush(connection)

    assert [changed] == search.running(connection, "v")
    assert [] == search.running(connection, "w")
    assert [changed] == search.correlated(connection, "v", "after")
    assert [] == search.correlated(connection, "w", "before")


def test_a_large_payload_weighs_once(connection: sqlite3.Connection) -> None:
    """However often its record changes, and nothing when the record has let go of it."""
    house = _House(connection)
    snapshot = house.begin()
    heavy = b'{"x":"%b"}' % (b"y" * 1_000_000)
    weights = []
    for task in (
        _task(1, output=heavy),
        _task(1, output=heavy, polls=1),
        _task(1, output=heavy, polls=2),
        _task(1),
        _task(1, output=heavy),
    ):
        house.put(snapshot, task)
        weights.append(snapshot.weight)
    large = msgspec.structs.replace(snapshot.workflow, input=heavy)
    for workflow in (large, msgspec.structs.replace(large, updated_ms=1)):
        snapshot.put_workflow(workflow)
        house.executions.stage(snapshot, Decision(workflow))
        house.executions.weigh(snapshot)
        weights.append(snapshot.weight)
    snapshot.clear()
    house.executions.weigh(snapshot)

    assert [978, 978, 978, 2, 978, 1954, 1954] == weights
    assert 977 == snapshot.weight


def test_what_is_read_again_weighs_as_much(connection: sqlite3.Connection) -> None:
    """Also where no payload lies in a file, and where a record is dropped."""
    house = _House(connection)
    snapshot = house.begin()
    house.put(snapshot, _task(1, output=b'{"x":"%b"}' % (b"y" * 1_000_000)))
    house.executions.flush(connection)
    house.executions.forget_all()
    loaded = house.executions.load(connection, snapshot.workflow.id)

    assert loaded is not None
    assert 978 == loaded.weight
    loaded.drop([1])
    house.executions.weigh(loaded)
    assert 1 == loaded.weight
