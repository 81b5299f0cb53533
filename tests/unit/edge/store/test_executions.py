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
from edge.store import damage, search
from edge.store import executions as rows
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
    house.executions.fold(connection)
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
    house.executions.fold(connection)

    assert 2 == connection.total_changes - before
    task = rows.read_task(connection, snapshot.workflow.key << 24 | 1)
    assert task is not None
    assert TaskStatus.COMPLETED is task.status


def test_dropped_records_are_gone(connection: sqlite3.Connection) -> None:
    """Whether they had been written or only staged."""
    house = _House(connection)
    snapshot = house.begin()
    house.put(snapshot, _task(1))
    house.executions.fold(connection)
    house.put(snapshot, _task(2))
    house.executions.stage(snapshot, Decision(tasks=(_task(3),), dropped=(1, 2)))
    house.executions.keep()
    house.executions.fold(connection)

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
    house.executions.fold(connection)
    again = _House(connection)

    assert first.workflow.key + 1 == again.begin().workflow.key


def test_open_executions_come_in_pages(connection: sqlite3.Connection) -> None:
    """Those that have ended are left out."""
    house = _House(connection)
    snapshots = [house.begin() for _ in range(3)]
    ended = msgspec.structs.replace(snapshots[1].workflow, status=WorkflowStatus.COMPLETED)
    house.executions.stage(snapshots[1], Decision(ended))
    house.executions.keep()
    house.executions.fold(connection)

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
    house.executions.fold(connection)
    house.executions.trim()

    assert hot is house.executions.load(connection, hot.workflow.id)
    assert cold is not house.executions.load(connection, cold.workflow.id)


def test_an_execution_is_found_by_what_it_became(connection: sqlite3.Connection) -> None:
    """An upgrade gives it another name, a rerun another correlation id: the columns follow."""
    house = _House(connection)
    snapshot = house.begin(correlation_id="before")
    house.executions.fold(connection)
    changed = msgspec.structs.replace(snapshot.workflow, name="v", correlation_id="after")
    house.executions.stage(snapshot, Decision(changed))
    house.executions.keep()
    house.executions.fold(connection)

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
    house.executions.fold(connection)
    house.executions.forget_all()
    loaded = house.executions.load(connection, snapshot.workflow.id)

    assert loaded is not None
    assert 978 == loaded.weight
    loaded.drop([1])
    house.executions.weigh(loaded)
    assert 1 == loaded.weight


# What is committed and stands in no table yet.


def _commit(house: _House, connection: sqlite3.Connection) -> None:
    house.executions.flush(connection)
    house.executions.committed()


def _rows(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Rows of redo, of executions and of tasks."""
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("redo", "workflow", "task")
    ]
    return counts[0], counts[1], counts[2]


def test_a_commit_writes_one_row_whatever_it_holds(connection: sqlite3.Connection) -> None:
    """The tables are brought up to date when somebody asks them, and that row goes."""
    house = _House(connection)
    for _ in range(3):
        house.put(house.begin(), _task(1))
    _commit(house, connection)
    logged, behind = _rows(connection), house.executions.unfolded
    house.executions.fold(connection)

    assert (1, 0, 0) == logged
    assert behind
    assert (0, 3, 3) == _rows(connection)
    assert house.executions.unfolded
    house.executions.committed()
    assert not house.executions.unfolded


def test_what_stands_in_no_table_survives_a_power_cut(connection: sqlite3.Connection) -> None:
    """Whoever opens the database next has every record in its last form."""
    house = _House(connection)
    snapshot, gone, other = house.begin(), house.begin(), house.begin()
    house.put(snapshot, _task(1))
    house.put(snapshot, _task(2))
    house.executions.add_log(snapshot.workflow.key << 24 | 1, 7, "a line")
    house.executions.keep()
    _commit(house, connection)
    house.put(snapshot, _task(1, status=TaskStatus.COMPLETED, output=b'{"x":1}'))
    house.executions.stage(snapshot, Decision(dropped=(2,)))
    house.executions.remove(gone.workflow)
    house.executions.keep()
    _commit(house, connection)
    rows.recover(connection)
    found = rows.read_tasks(connection, snapshot.workflow.key)

    assert [(1, TaskStatus.COMPLETED, b'{"x":1}')] == [
        (t.ordinal, t.status, t.output) for t in found
    ]
    assert rows.read_workflow(connection, gone.workflow.id) is None
    assert other.workflow == rows.read_workflow(connection, other.workflow.id)
    lines = rows.read_logs(connection, snapshot.workflow.key << 24 | 1, 1)
    assert ["a line"] == [line.line for line in lines]
    assert (0, 2, 1) == _rows(connection)


def test_a_transaction_that_failed_leaves_what_was_committed_before(
    connection: sqlite3.Connection,
) -> None:
    """Nobody remembers what it had written; what stands on the disk is read again."""
    house = _House(connection)
    kept = house.begin()
    _commit(house, connection)
    connection.execute("BEGIN")
    lost = house.begin()
    house.executions.flush(connection)
    connection.execute("ROLLBACK")
    house.executions.forget_all()
    house.executions.take_up(connection)

    assert house.executions.load(connection, lost.workflow.id) is None
    assert house.executions.load(connection, kept.workflow.id) is not None
    assert kept.workflow.key + 1 == house.executions.new_key(connection)


def test_the_tables_are_never_far_behind(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT that would make it too much puts all of it in place instead."""
    monkeypatch.setattr(rows, "_FOLD_RECORDS", 5)
    house = _House(connection)
    seen = []
    for _ in range(3):
        house.put(house.begin(), _task(1))
        _commit(house, connection)
        seen.append(_rows(connection))

    assert [(1, 1), (2, 2), (0, 3)] == [(logged, logged or tables) for logged, tables, _ in seen]


def test_a_damaged_row_is_reported_and_set_aside(
    connection: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows behind it count; it stays for whoever looks into it."""
    house = _House(connection)
    lost = house.begin()
    _commit(house, connection)
    kept = house.begin()
    _commit(house, connection)
    body = bytearray(connection.execute("SELECT body FROM redo WHERE key = 1").fetchone()[0])
    body[len(body) // 2] ^= 1
    connection.execute("UPDATE redo SET body = ? WHERE key = 1", (bytes(body),))
    rows.recover(connection)

    assert rows.read_workflow(connection, lost.workflow.id) is None
    assert rows.read_workflow(connection, kept.workflow.id) is not None
    (noted,) = damage.latest(connection)
    assert ("redo", "1") == (noted.table, noted.record)
    assert (0, 1, 0) == _rows(connection)
    assert "row_damaged" in capsys.readouterr().out


def test_what_no_table_could_hold_is_refused_before_it_is_acknowledged(
    connection: sqlite3.Connection,
) -> None:
    """It would stand in the way of all others when the tables are brought up to date."""
    house = _House(connection)
    house.begin(due_ms=2**63)
    with pytest.raises(OverflowError):
        house.executions.flush(connection)
    house.executions.forget_all()
    house.executions.take_up(connection)
    house.begin(correlation_id=7)

    with pytest.raises(rows.UNFIT):
        house.executions.flush(connection)


def test_of_a_long_log_the_latest_lines_are_shown(connection: sqlite3.Connection) -> None:
    """What a task says last is what somebody looks for."""
    many = ((7, number, f"line {number}") for number in range(1_500))
    connection.executemany("INSERT INTO task_log (task, created_ms, line) VALUES (?, ?, ?)", many)

    lines = rows.read_logs(connection, 7, 1)

    assert [f"line {number}" for number in range(500, 1_500)] == [one.line for one in lines]
