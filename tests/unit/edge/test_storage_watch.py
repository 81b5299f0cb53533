"""Damaged records: found, put right where memory knows better, and their executions ended."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.executions import WorkflowStatus
from edge.storage import Mode
from edge.storage_watch import StorageWatch
from edge.store import damage, integrity
from edge.store.damage import Damage
from edge.store.reserve import Reserve
from sync.database import DatabaseDamaged
from tests.unit.edge.engine_house import answer, claim, define, ended, engine_at, simple, start

_CHILD = {
    "name": "c",
    "taskReferenceName": "c",
    "type": "SUB_WORKFLOW",
    "subWorkflowParam": {"name": "inner"},
}


def _watch(engine: Engine, folder: Path, *, reserve_bytes: int = 0) -> StorageWatch:
    return StorageWatch(engine, Reserve(folder / "reserve", reserve_bytes), unclean=True)


def _flip(path: Path, statement: str, *values: object) -> None:
    """Change a record behind everybody's back, as failing storage does."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


_FLIP = "UPDATE {} SET body = zeroblob(length(body)) WHERE {}"


def _in_two_lives(
    tmp_path: Path,
    first: Callable[[Engine], Awaitable[None]],
    between: Callable[[Path], None],
    second: Callable[[Engine, StorageWatch], Awaitable[None]],
) -> None:
    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await first(engine)
        between(path)
        async with engine_at(path) as engine:
            watch = _watch(engine, tmp_path)
            await second(engine, watch)
            watch.close()
        found = integrity.inspect(path, lambda _: None)
        assert found.whole, found

    asyncio.run(main())


async def _listed(engine: Engine) -> list[Damage]:
    return await engine.database.read(damage.latest)


async def _swept(watch: StorageWatch) -> int:
    count = await watch.sweep()
    await watch._settle()
    return count


def test_a_damaged_task_ends_its_execution(tmp_path: Path) -> None:
    """With the reason; the others go on, and the record is out of the way."""
    ids: list[str] = []

    async def first(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        ids.extend([await start(engine, "one") for _ in range(3)])

    def between(path: Path) -> None:
        _flip(path, _FLIP.format("task", f"key = {(2 << 24) + 1}"))

    async def second(engine: Engine, watch: StorageWatch) -> None:
        assert 1 == await _swept(watch)
        assert 0 == await _swept(watch)
        damaged = await engine.execution(ids[1])
        (line,) = await _listed(engine)

        assert WorkflowStatus.TERMINATED is damaged.workflow.status
        assert "storage has damaged" in (damaged.workflow.reason or "")
        assert ("task", ids[1], True) == (line.table, line.workflow_id, line.settled)
        for workflow_id in (ids[0], ids[2]):
            await answer(engine, await claim(engine, "a"))
            assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)

    _in_two_lives(tmp_path, first, between, second)


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_execution_is_ended_and_its_parent_told(tmp_path: Path, whole: bool) -> None:
    """Another record stands in its place, made of what its columns say, if they say anything."""
    ids: list[str] = []

    async def first(engine: Engine) -> None:
        await define(engine, "inner", simple("a"))
        await define(engine, "outer", _CHILD)
        ids.append(await start(engine, "outer"))
        ids.extend([task.workflow.id.hex() for task in [await claim(engine, "a")]])

    def between(path: Path) -> None:
        _flip(path, _FLIP.format("workflow", "key = 2"))
        if not whole:
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("PRAGMA ignore_check_constraints = ON")
                connection.execute("UPDATE workflow SET status = 'RUMMING' WHERE key = 2")

    async def second(engine: Engine, watch: StorageWatch) -> None:
        assert 1 == await _swept(watch)
        (line,) = await _listed(engine)
        statuses = await engine.status_counts()

        assert ("workflow", "2") == (line.table, line.record)
        assert {"TERMINATED": 2} == statuses, "the child, and so its parent"

    _in_two_lives(tmp_path, first, between, second)


def test_an_execution_in_memory_is_written_again(tmp_path: Path) -> None:
    """Memory is what was written, so nothing is lost and nothing is ended."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await define(engine, "one", simple("a"))
            workflow_id = await start(engine, "one", input={"n": 1})
            # Whoever reads has its records put into their tables.
            await engine.running("one", None)
            await engine.database.transact(
                lambda c: c.execute(_FLIP.format("task", f"key = {(1 << 24) + 1}"))
            )
            await engine.database.transact(lambda c: c.execute(_FLIP.format("workflow", "key = 1")))
            watch = _watch(engine, tmp_path)

            assert 2 >= await _swept(watch) >= 1
            assert WorkflowStatus.RUNNING is (await engine.workflow(workflow_id)).status
            await answer(engine, await claim(engine, "a"))
            assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)
            watch.close()
        assert integrity.inspect(path, lambda _: None).whole

    asyncio.run(main())


def test_a_damaged_definition(tmp_path: Path) -> None:
    """A registered one goes, so that the others can be listed; a pinned one ends who runs it."""
    ids: list[str] = []

    async def first(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        await define(engine, "two", simple("a"))
        ids.append(await start(engine, "one"))

    def between(path: Path) -> None:
        change = "document = zeroblob(length(document))"
        _flip(path, f"UPDATE workflow_definition SET {change} WHERE name = 'one'")
        _flip(path, f"UPDATE pinned_definition SET {change} WHERE key = 1")

    async def second(engine: Engine, watch: StorageWatch) -> None:
        assert 3 == await _swept(watch)

        assert ["two"] == [one.name for one in await engine.workflow_definitions()]
        assert WorkflowStatus.TERMINATED is (await engine.workflow(ids[0])).status

    _in_two_lives(tmp_path, first, between, second)


def test_a_full_disk_is_tried_until_it_is_well(tmp_path: Path) -> None:
    """The space that is kept is given up first, and taken again in the end."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            watch = _watch(engine, tmp_path, reserve_bytes=1 << 20)
            healed = asyncio.Event()

            async def told() -> None:
                healed.set()

            watch.on_healed.append(told)
            running = asyncio.get_running_loop().create_task(watch.run())
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            engine.storage.refused_write(error)
            assert Mode.FULL is engine.storage.mode
            async with asyncio.timeout(25):
                await healed.wait()

            assert "" == engine.storage.reason
            assert (tmp_path / "reserve").exists()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            watch.close()
            assert not (tmp_path / "reserve").exists()

    asyncio.run(main())


def test_pollers_are_woken_when_the_disk_is_well_again(tmp_path: Path) -> None:
    """Nothing is handed out on a full disk; who waits gets it then, and not with the next poll."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            await define(engine, "w", simple("a"))
            await start(engine, "w")
            watch = _watch(engine, tmp_path)
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            engine.storage.refused_write(error)
            loop = asyncio.get_running_loop()
            poll = loop.create_task(engine.poll("a", worker="w", count=1, timeout_ms=3_600_000))
            while not engine.hand_over.queues.waiters.is_waited_for("a"):
                await asyncio.sleep(0)
            running = loop.create_task(watch.run())
            async with asyncio.timeout(25):
                views = await poll

            assert 1 == len(views)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            watch.close()

    asyncio.run(main())


def test_a_damaged_database_ends_the_watch(tmp_path: Path) -> None:
    """Whoever runs it rebuilds the file."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            watch = _watch(engine, tmp_path)
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            engine.storage.refusal(error)
            with pytest.raises(ExceptionGroup) as raised:
                await watch.run()

            assert raised.group_contains(DatabaseDamaged, match="malformed")
            watch.close()

    asyncio.run(main())
