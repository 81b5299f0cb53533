"""Large payloads of records: in files once they are written, and back when they are read."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.model.decision import Decision
from edge.model.errors import PayloadLost
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus, task_key
from edge.model.payload_limits import PayloadLimits
from edge.model.requests import ExecutionView
from edge.model.snapshot import Snapshot
from edge.store import executions, payloads
from edge.store.executions import Executions
from edge.store.metadata import Metadata
from edge.store.migrations import migrate
from edge.store.payload_files import PayloadFiles
from edge.store.payloads import Payloads
from tests.unit.edge.playbook import WORKFLOW_ID, pin, step

LIMITS = PayloadLimits(task_file=100, workflow_file=200)
LARGE = b'{"x":"%b"}' % (b"y" * 300)
OTHER = b'{"x":"%b"}' % (b"z" * 300)


class _World:
    """A database with one execution, and the files beside it."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection)
        self.files = PayloadFiles(folder)
        self.payloads = Payloads(self.files, LIMITS)
        self.store = Executions(Metadata(), self.payloads)
        self.pinned = Metadata().pin(self.connection, pin(step("a")).definition)

    def write(self, *tasks: Task, **fields: Any) -> None:
        """One batch: the workflow with these fields, and these tasks."""
        workflow = Workflow(
            key=1, id=WORKFLOW_ID, name="w", version=1, pinned=self.pinned.key,
            status=WorkflowStatus.RUNNING, **fields,
        )  # fmt: skip
        self.connection.execute("BEGIN")
        self.store.stage(
            Snapshot(workflow, self.pinned, []), Decision(workflow=workflow, tasks=tasks)
        )
        self.store.keep()
        self.store.fold(self.connection)
        self.connection.execute("COMMIT")

    def rows(self) -> list[tuple[int, str, bytes]]:
        """Which record needs which payload."""
        rows = self.connection.execute("SELECT holder, part, digest FROM payload")
        return [(holder, part, self.files.get(digest)) for holder, part, digest in rows]

    def read(self) -> tuple[Workflow, list[Task]]:
        """The records as they are written."""
        workflow = executions.read_workflow(self.connection, WORKFLOW_ID)
        assert workflow is not None
        return workflow, executions.read_tasks(self.connection, 1)

    def loaded(self) -> Snapshot:
        """The execution read anew."""
        self.store.forget_all()
        snapshot = self.store.load(self.connection, WORKFLOW_ID)
        assert snapshot is not None
        return snapshot


def _task(ordinal: int = 1, **fields: Any) -> Task:
    return Task(
        ordinal=ordinal, seq=ordinal, ref="a", kind="SIMPLE", type="a", name="a",
        status=TaskStatus.SCHEDULED, **fields,
    )  # fmt: skip


def test_large_payloads_leave_the_row(tmp_path: Path) -> None:
    """The row says which file; whoever loads the execution sees no difference."""
    world = _World(tmp_path)
    world.write(_task(input=LARGE, output=b'{"small":1}'), input=LARGE, output=OTHER)
    workflow, (task,) = world.read()

    assert (b"{}", b"{}") == (workflow.input, workflow.output)
    assert (b"{}", b'{"small":1}', b"") == (task.input, task.output, task.output_file)
    assert 2 == len(list(world.files.all()))
    assert {(task_key(1, 0), "input"), (task_key(1, 0), "output"), (task_key(1, 1), "input")} == {
        row[:2] for row in world.rows()
    }
    snapshot = world.loaded()
    assert (LARGE, OTHER) == (snapshot.workflow.input, snapshot.workflow.output)
    assert (LARGE, b"") == (snapshot.tasks[1].input, snapshot.tasks[1].input_file)
    assert {"x": "y" * 300} == snapshot.parsed(1, "input")


def test_each_kind_has_its_own_size(tmp_path: Path) -> None:
    """What fits stays in the row, to the byte."""
    world = _World(tmp_path)
    fits = b'{"x":"%b"}' % (b"y" * 92)
    assert 100 == len(fits)
    world.write(_task(input=fits, output=fits + b" "), input=LARGE[:200])

    assert [(task_key(1, 1), "output", fits + b" ")] == world.rows()


def test_a_payload_that_changes_frees_its_file(tmp_path: Path) -> None:
    """Another large one takes its place; a small one needs no file."""
    world = _World(tmp_path)
    world.write(_task(output=LARGE))
    world.write(_task(output=OTHER))
    assert [(task_key(1, 1), "output", OTHER)] == world.rows()
    world.write(_task(output=b"{}"))

    assert [] == world.rows()
    gone = payloads.sweep(world.connection, world.files, world.files.all())
    assert 2 == len(gone)
    assert [] == list(world.files.all())


def test_a_file_that_two_records_need_stays_for_the_second(tmp_path: Path) -> None:
    """The last reference counts, not the first that goes."""
    world = _World(tmp_path)
    world.write(_task(1, output=LARGE), _task(2, input=LARGE))
    world.write(_task(1))

    assert [] == payloads.sweep(world.connection, world.files, world.files.all())
    world.write(_task(2))
    assert 1 == len(payloads.sweep(world.connection, world.files, world.files.all()))


def test_an_execution_that_is_removed_takes_its_rows_along(tmp_path: Path) -> None:
    """And so does a record that a restart drops."""
    world = _World(tmp_path)
    world.write(_task(1, output=LARGE), _task(2, input=LARGE), input=OTHER)
    snapshot = world.loaded()
    world.store.stage(snapshot, Decision(dropped=(1,)))
    world.store.keep()
    world.store.fold(world.connection)
    assert [task_key(1, 0), task_key(1, 2)] == [row[0] for row in world.rows()]
    world.store.remove(snapshot.workflow)
    world.store.keep()
    world.store.fold(world.connection)

    assert [] == world.rows()


def test_a_rollback_leaves_an_orphan_that_the_sweep_takes(tmp_path: Path) -> None:
    """The file was on the disk before the COMMIT that never came; no record ever meant it.

    Afterwards the same payload is written as if nothing had been.
    """
    world = _World(tmp_path)
    world.write(_task(1, output=OTHER))
    world.connection.execute("BEGIN")
    world.store.stage(world.loaded(), Decision(tasks=(_task(1, output=LARGE),)))
    world.store.keep()
    world.store.fold(world.connection)
    assert 2 == len(list(world.files.all()))
    world.connection.execute("ROLLBACK")
    world.store.forget_all()

    assert OTHER == world.loaded().tasks[1].output
    (orphan,) = payloads.sweep(world.connection, world.files, world.files.all())
    with pytest.raises(PayloadLost):
        world.files.get(orphan)
    world.write(_task(1, output=LARGE))
    assert LARGE == world.loaded().tasks[1].output


def test_a_disk_that_refuses_a_file_undoes_the_transaction(tmp_path: Path) -> None:
    """It looks like any other refusal: everything in the batch is refused, nothing is half kept."""
    world = _World(tmp_path / "payloads")
    (tmp_path / "payloads").write_text("no folder")

    with pytest.raises(sqlite3.OperationalError, match="a payload cannot be written"):
        world.write(_task(1, output=LARGE))


def test_a_lost_file_is_noted_with_the_execution(tmp_path: Path) -> None:
    """It is read without; what follows is decided elsewhere."""
    world = _World(tmp_path)
    world.write(_task(1, output=LARGE))
    for digest in list(world.files.all()):
        world.files.drop(digest)
    snapshot = world.loaded()

    assert "is gone" in snapshot.lost
    assert b"{}" == snapshot.tasks[1].output
    world.store.stage(snapshot, Decision(tasks=tuple(snapshot.tasks.values())))
    world.store.keep()
    world.store.fold(world.connection)
    _, (task,) = world.read()
    assert task.output_file
    assert 1 == world.connection.execute("SELECT count(*) FROM payload").fetchone()[0]


def test_what_is_shown_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer holds so much; the rest is named."""
    world = _World(tmp_path)
    world.write(_task(1, output=LARGE), _task(2, output=OTHER), input=LARGE)
    workflow, tasks = world.read()
    view = ExecutionView(workflow, world.pinned, tasks)
    whole = world.payloads.shown(view)
    assert (LARGE, LARGE, OTHER) == (
        whole.workflow.input, whole.tasks[0].output, whole.tasks[1].output
    )  # fmt: skip
    monkeypatch.setattr(payloads, "_SHOWN_BYTES", 400)
    part = world.payloads.shown(view)

    assert (LARGE, LARGE, b"{}") == (
        part.workflow.input, part.tasks[0].output, part.tasks[1].output
    )  # fmt: skip
    assert part.tasks[1].output_file


def test_what_a_client_uploaded_is_kept_by_its_name(tmp_path: Path) -> None:
    """Whatever its size; it is shown as the name, and decided on as what is in it."""
    world = _World(tmp_path)
    world.write(_task(1, output=b'{"n":1}', output_path="task/output/x.json"))
    workflow, (task,) = world.read()
    shown = world.payloads.shown(ExecutionView(workflow, world.pinned, [task])).tasks[0]

    assert (b"{}", "task/output/x.json") == (shown.output, shown.output_path)
    assert shown.output_file == payloads.digest_of_path(world.connection, "task/output/x.json")
    assert {"n": 1} == world.loaded().parsed(1, "output")
    assert payloads.digest_of_path(world.connection, "other") is None
    assert world.payloads.shown_task(task) == task


def test_executions_weigh_what_they_hold(tmp_path: Path) -> None:
    """Memory is bounded by kilobytes, not by the number of records alone."""
    world = _World(tmp_path)
    heavy = b'{"x":"%b"}' % (b"y" * 1_000_000)
    world.write(_task(1, output=heavy))
    snapshot = world.loaded()

    assert 976 == snapshot.bulk
    assert 978 == snapshot.weight


def test_rows_of_executions_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """A release before this one removes executions and knows nothing of the rows."""
    world = _World(tmp_path)
    world.write(_task(1, output=LARGE))
    world.connection.execute("DELETE FROM workflow")
    payloads.drop_orphans(world.connection)

    assert [] == world.rows()


def test_records_of_an_older_release_are_read() -> None:
    """They have no such fields; a release before this one reads records with them."""
    old = msgspec.msgpack.encode(
        {"o": 1, "q": 1, "r": "a", "k": "K", "t": "t", "n": "n", "s": "SCHEDULED"}
    )

    assert b"" == msgspec.msgpack.decode(old, type=Task).input_file
