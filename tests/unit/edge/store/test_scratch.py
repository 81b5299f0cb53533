"""A database that is thrown away."""

from __future__ import annotations

from pathlib import Path

from edge.engine import Engine
from edge.store.scratch import COPIED, contents, scratch
from tests.unit.edge.engine_house import define, define_task, run, simple, start


def test_definitions_are_copied_and_executions_are_not(tmp_path: Path) -> None:
    """What a rehearsal does cannot be seen from the device, nor the other way round."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await define_task(engine, "a")
        await start(engine, "w")
        copied = await engine.database.read(contents)
        connection = scratch(copied)
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in (*COPIED, "workflow", "task")
        }
        connection.close()

        assert (1, 1, 0, 0) == (
            counts["workflow_definition"], counts["task_definition"], counts["workflow"],
            counts["task"],
        )  # fmt: skip

    run(tmp_path, body)
