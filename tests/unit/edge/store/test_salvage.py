"""What is salvaged of a damaged database: all that is whole, nothing that is not, and lists of both."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from edge.store import damage, integrity, redo
from edge.store import executions as executions_store
from edge.store.migrations import SCHEMA_VERSION
from edge.store.salvage import CannotWrite, Report, rebuild
from edge.store.staging import Staged
from sync.database import PAGE_BYTES
from tests.faults import filled

PAGE = PAGE_BYTES

_KEPT = ("workflow", "task", "pinned_definition", "workflow_definition", "task_definition")
"""Tables whose rows come back as they were; history gets new numbers."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with something of everything; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"))


def _salvaged(path: Path) -> tuple[Report, filled.Rows]:
    target = path.with_name("new.db")
    report = rebuild(path, target, now_ms=5)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        assert [] == integrity.whole_structure(connection)
        assert SCHEMA_VERSION == connection.execute("PRAGMA user_version").fetchone()[0]
    assert integrity.inspect(target, lambda _: None).records == []
    return report, filled.rows(target)


def test_all_of_a_whole_database(whole: Path, tmp_path: Path) -> None:
    """Every row comes back, history under the numbers of a new lineage."""
    before = filled.rows(whole)

    report, after = _salvaged(filled.copy(whole, tmp_path))

    for table in _KEPT:
        assert before[table] == after[table]
    assert len(before["history"]) == len(after["history"]) > 100
    assert {"epoch": 2} == {k: v for k, v in after["fact"] if k == "epoch"}
    assert [] == report.lost_workflows + report.incomplete_workflows
    assert {} == report.damaged == report.missing


@pytest.mark.parametrize("count", [16, 100, PAGE])
def test_the_first_page_is_gone(whole: Path, tmp_path: Path, count: int) -> None:
    """The list of tables is found elsewhere, so nothing is lost but what stood on that page."""
    path = filled.copy(whole, tmp_path)
    filled.overwrite(path, 0, bytes(count))
    before = filled.rows(whole)

    report, after = _salvaged(path)

    for table in _KEPT:
        assert before[table] == after[table]
    assert [] == report.lost_workflows


@pytest.mark.parametrize("seed", range(6))
def test_ten_pages_are_gone(whole: Path, tmp_path: Path, seed: int) -> None:
    """What is left is as it was; who has lost something is named, or has lost nothing."""
    path = filled.copy(whole, tmp_path)
    chance = random.Random(seed)
    pages = chance.sample(range(path.stat().st_size // PAGE), 10)
    for page in pages:
        filled.overwrite(path, page * PAGE, chance.randbytes(PAGE))
    before = filled.rows(whole)

    report, after = _salvaged(path)

    for table in _KEPT:
        known = {key: row for key, row in after[table].items() if key in before[table]}
        # An empty definition stands in the place of one that is gone.
        if table == "pinned_definition":
            known = {key: row for key, row in known.items() if row[1][:4] != b"gone"}
        assert known.items() <= before[table].items()
    assert len(after["workflow"]) > 0.9 * len(before["workflow"])
    lost = set(before["workflow"]) - set(after["workflow"])
    assert len(lost) <= len(report.lost_workflows)
    named = {key >> 24 for key in set(before["task"]) - set(after["task"])} - lost
    ids = {row[1] for key, row in before["workflow"].items() if key in named}
    assert {_uuid(one) for one in ids} <= set(report.incomplete_workflows)


def test_a_row_that_was_changed_is_left_out(whole: Path, tmp_path: Path) -> None:
    """Its execution is named and will be ended; its bytes are kept aside."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        key, body = connection.execute("SELECT key, body FROM task LIMIT 1").fetchone()
        changed = body[:20] + bytes([body[20] ^ 1]) + body[21:]
        connection.execute("UPDATE task SET body = ? WHERE key = ?", (changed, key))
        owner = connection.execute("SELECT id FROM workflow WHERE key = ?", (key >> 24,)).fetchone()

    report, after = _salvaged(path)

    assert {"task": 1} == report.damaged
    assert key not in after["task"]
    assert [_uuid(owner[0])] == report.incomplete_workflows
    with contextlib.closing(sqlite3.connect(path.with_name("new.db"))) as connection:
        (waiting,) = damage.unsettled(connection)
        bodies = connection.execute("SELECT body FROM damage WHERE relation = 'task'").fetchall()
    assert _uuid(owner[0]) == waiting.workflow_id
    assert [(changed,)] == bodies


def test_columns_come_from_the_record(whole: Path, tmp_path: Path) -> None:
    """A column that says something else than its record is put right."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE workflow SET name = 'somebody else''s' WHERE key = 3")
        connection.execute("UPDATE task SET due_ms = 77 WHERE key >> 24 = 4")
    before = filled.rows(whole)

    _, after = _salvaged(path)

    assert before["workflow"] == after["workflow"]
    assert before["task"] == after["task"]


def test_tables_of_a_later_release_come_along(whole: Path, tmp_path: Path) -> None:
    """What this release does not know is salvaged for the one that does."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE later (key INTEGER PRIMARY KEY, what TEXT) STRICT")
        connection.execute("INSERT INTO later VALUES (7, 'kept')")
        connection.execute("ALTER TABLE task ADD COLUMN later INTEGER")
        connection.execute("UPDATE task SET later = 8 WHERE key >> 24 = 1")
    before = filled.rows(path)

    _, after = _salvaged(path)

    assert {7: (7, "kept")} == after["later"]
    assert before["task"] == after["task"]


def test_rows_of_removed_executions_do_not_come_back(whole: Path, tmp_path: Path) -> None:
    """Pages that are free still hold what was deleted; it stays deleted."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM task WHERE key >> 24 > 20")
        connection.execute("DELETE FROM workflow WHERE key > 20")
    before = filled.rows(path)
    for count in (0, 100):
        filled.overwrite(path, 0, bytes(count))

        _, after = _salvaged(path)

        assert before["workflow"] == after["workflow"]
        assert before["task"] == after["task"]


def test_what_stands_in_no_table_yet_is_salvaged(whole: Path, tmp_path: Path) -> None:
    """Rows of commits that the tables lack are put in place; a damaged one is kept aside."""
    path = filled.copy(whole, tmp_path)
    before = filled.rows(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (kept, workflow), (gone, _) = [
            (key, executions_store.read_workflow_by_key(connection, key)) for key in (3, 4)
        ]
        assert workflow is not None
        batches = [Staged(), Staged()]
        batches[0].workflows[kept] = msgspec.structs.replace(workflow, reason="later")
        batches[0].removed[gone] = before["workflow"][gone][1]
        batches[1].workflows[kept] = msgspec.structs.replace(workflow, reason="lost")
        for batch in batches:
            redo.append(connection, redo.pack(batch))
        body = connection.execute("SELECT body FROM redo WHERE key = 2").fetchone()[0]
        changed = body[:9] + bytes([body[9] ^ 4]) + body[10:]
        connection.execute("UPDATE redo SET body = ? WHERE key = 2", (changed,))

    report, after = _salvaged(path)

    assert {"redo": 1} == report.damaged
    assert [] == report.lost_workflows
    assert before["workflow"].keys() - {gone} == after["workflow"].keys()
    assert {} == after["redo"]
    with contextlib.closing(sqlite3.connect(path.with_name("new.db"))) as connection:
        found = executions_store.read_workflow_by_key(connection, kept)
    assert found is not None
    assert "later" == found.reason


def test_no_room_for_what_was_salvaged(whole: Path, tmp_path: Path) -> None:
    """That is said plainly, and nothing half is left."""
    path = filled.copy(whole, tmp_path)

    with pytest.raises(CannotWrite):
        rebuild(path, tmp_path / "no folder" / "new.db", now_ms=5)


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
