"""When the tables are brought up to date, and what an orderly end leaves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.store import facts
from tests.unit.edge.engine_house import define, run, simple, start


def _left(path: Path) -> tuple[int, int, int]:
    """The oldest schema that may read the file; rows of redo, and of executions."""
    connection = sqlite3.connect(path / "baton.db")
    try:
        oldest = facts.read(connection, "oldest_reader")
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("redo", "workflow")
        ]
    finally:
        connection.close()
    return oldest, counts[0], counts[1]


def test_an_orderly_end_leaves_nothing_to_be_put_in_place(tmp_path: Path) -> None:
    """Releases that would not see what a COMMIT has left behind are told to keep out."""
    during: list[tuple[int, int, int]] = []

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        during.append(_left(tmp_path))

    run(tmp_path, body, timers=False)

    assert [(facts.OLDEST_READER, 1, 0)] == during
    assert (facts.OLDEST_READER, 0, 1) == _left(tmp_path)


def test_nothing_is_written_on_a_disk_that_is_not_well(tmp_path: Path) -> None:
    """What is to be read is shown in another way."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        engine.storage.stale = True
        with pytest.raises(sqlite3.OperationalError):
            await engine.database.hop(engine._disk.tables.fold)
        seen = (await engine.execution(workflow_id)).workflow.name
        engine.storage.stale = False

        assert "w" == seen
        assert (facts.OLDEST_READER, 1, 0) == _left(tmp_path)

    run(tmp_path, body, timers=False)
