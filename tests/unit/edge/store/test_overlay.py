"""Tables with what they lack laid over them, on a connection that may not write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.store import pending
from edge.store.migrations import migrate
from edge.store.overlay import Lacking, overlaid

BITS = 24


def _workflow(key: int, name: str) -> tuple[Any, ...]:
    return (key, key.to_bytes(16, "big"), name, "RUNNING", None, None, 1, None, b"body")


def _task(workflow: int, ordinal: int, body: bytes) -> tuple[Any, ...]:
    return (workflow << BITS | ordinal, None, body)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Executions 1 and 2 with two tasks each and a line, on a connection that only reads."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as writer:
        migrate(writer)
        marks = ", ".join("?" * 9)
        writer.executemany(
            f"INSERT INTO workflow VALUES ({marks})", [_workflow(1, "one"), _workflow(2, "two")]
        )
        tasks = [_task(w, o, b"old") for w in (1, 2) for o in (1, 2)]
        writer.executemany("INSERT INTO task VALUES (?, ?, ?)", tasks)
        logs = [(w << BITS | 1, 1, "line") for w in (1, 2)]
        writer.executemany("INSERT INTO task_log (task, created_ms, line) VALUES (?, ?, ?)", logs)
    writer.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    yield connection
    connection.close()


def _read(connection: sqlite3.Connection) -> tuple[list[Any], ...]:
    return (
        connection.execute("SELECT key, name FROM workflow ORDER BY key").fetchall(),
        connection.execute(
            f"SELECT key >> {BITS}, key & 255, body FROM task ORDER BY key"
        ).fetchall(),
        connection.execute(f"SELECT task >> {BITS}, line FROM task_log ORDER BY key").fetchall(),
    )


def test_what_the_tables_lack_is_seen(reader: sqlite3.Connection) -> None:
    """New and changed rows; what was taken away is gone, with what belongs to it."""
    lacking = Lacking(
        workflows=[_workflow(1, "changed"), _workflow(3, "three")],
        tasks=[_task(1, 1, b"new"), _task(3, 1, b"new")],
        logs=[(1 << BITS | 1, 5, "later")],
        gone=[2],
        dropped=[1 << BITS | 2],
    )
    workflows, tasks, logs = overlaid(reader, lacking, BITS, _read)

    assert [(1, "changed"), (3, "three")] == workflows
    assert [(1, 1, b"new"), (3, 1, b"new")] == tasks
    assert [(1, "line"), (1, "later")] == logs


def test_nothing_of_it_stays(reader: sqlite3.Connection) -> None:
    """The connection reads as before, writes nothing, and may be asked so again."""
    lacking = Lacking([_workflow(3, "three")], [], [], [], [])
    before = _read(reader)
    for _ in range(2):
        overlaid(reader, lacking, BITS, _read)
    with pytest.raises(ZeroDivisionError):
        overlaid(reader, lacking, BITS, lambda _: 1 // 0)

    assert before == _read(reader)
    assert not reader.in_transaction
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM workflow")


def test_the_statements_of_a_start_can_be_asked(reader: sqlite3.Connection) -> None:
    """No index may be named in them: views have none."""
    lacking = Lacking([_workflow(3, "three")], [_task(3, 1, b"new")], [], [], [])

    page = overlaid(reader, lacking, BITS, lambda c: pending.read_page(c, pending.BEGINNING, 10))

    assert [] == page.executions, "none of these bodies is a record"
