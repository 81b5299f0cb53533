"""One damaged record: its execution is refused clearly, and everything else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.errors import RowDamaged
from edge.model.executions import TaskStatus, WorkflowStatus, parse_uuid
from edge.store.checked import without_checksum
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    ended,
    engine_at,
    everything,
    id_of,
    run,
    simple,
    start,
)


def damage(path: Path, table: str, key: int) -> None:
    """Flip one bit in the middle of a record's body, as failing storage does."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        row = connection.execute(f"SELECT body FROM {table} WHERE key = ?", (key,)).fetchone()
        body = bytearray(row[0])
        body[len(body) // 2] ^= 0x10
        connection.execute(f"UPDATE {table} SET body = ? WHERE key = ?", (bytes(body), key))


async def _three(path: Path) -> list[str]:
    """Three executions that wait for a worker; closed again."""
    async with engine_at(path) as engine:
        await define(engine, "one", simple("a"))
        return [await start(engine, "one", input={"n": n}) for n in range(3)]


@pytest.mark.parametrize("table", ["workflow", "task"])
def test_a_damaged_execution_hurts_no_other(tmp_path: Path, table: str) -> None:
    """The engine opens, hands out what is whole, finds it, and refuses the damaged one by name."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        ids = await _three(path)
        damage(path, table, 2 if table == "workflow" else (2 << 24) + 1)
        async with engine_at(path) as engine:
            for _ in range(2):
                await answer(engine, await claim(engine, "a"))
            with pytest.raises(RowDamaged, match=table):
                await engine.execution(ids[1])
            with pytest.raises(RowDamaged, match=table):
                await engine.terminate(ids[1], "tried")
            assert [] == await engine.poll("a", worker="w", count=1, timeout_ms=0)
            for workflow_id in (ids[0], ids[2]):
                assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)
            shown = {parse_uuid(one)[0] for one in ids if parse_uuid(one)}  # type: ignore[index]
            found = {one.id for one in await everything(engine)}
            assert found <= shown and len(found) == (2 if table == "workflow" else 3)

    asyncio.run(main())


def test_a_child_ends_although_its_parent_is_damaged(tmp_path: Path) -> None:
    """Whoever tells a damaged execution something is not undone with it."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await define(engine, "inner", simple("a"))
            child = {
                "name": "c",
                "taskReferenceName": "c",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "inner"},
            }
            await define(engine, "outer", child)
            await start(engine, "outer")
        damage(path, "workflow", 1)
        async with engine_at(path) as engine:
            view = await claim(engine, "a", timeout_ms=2_000)
            await answer(engine, view)
            task = await engine.task(id_of(view))

        assert TaskStatus.COMPLETED is task.task.status
        assert WorkflowStatus.COMPLETED is task.workflow.status

    asyncio.run(main())


def test_rows_without_checksums_are_read(tmp_path: Path) -> None:
    """A database of the release before, which knew none, goes on where it stood."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        await start(engine, "one")

        def strip(connection: sqlite3.Connection) -> None:
            for table in ("workflow", "task"):
                for key, row in connection.execute(f"SELECT key, body FROM {table}").fetchall():
                    plain = without_checksum(row, table)
                    connection.execute(f"UPDATE {table} SET body = ? WHERE key = ?", (plain, key))

        await engine.database.transact(strip)

    run(tmp_path, body)

    async def again(engine: Engine) -> None:
        view = await claim(engine, "a")
        await answer(engine, view)
        assert TaskStatus.COMPLETED is (await engine.task(id_of(view))).task.status

    run(tmp_path, again)
