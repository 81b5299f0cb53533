"""Retention: what is too old, too much or too large goes, and nothing that anybody still needs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.config import RetentionSettings
from edge.engine import Engine
from edge.model.errors import StorageUnavailable
from edge.model.executions import task_bytes, workflow_uuid
from edge.retention import Retention
from edge.store import archive
from edge.store import retention as store
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    engine_at,
    everything,
    id_of,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock

_DAY_S = 86_400


def _run(path: Path, body: Callable[[Engine, ManualClock], Awaitable[None]], **clock: int) -> None:
    async def main() -> None:
        time = ManualClock(**clock)
        async with engine_at(path / "baton.db", clock=time, timers=False) as engine:
            await define(engine, "w", simple("a"))
            await body(engine, time)

    asyncio.run(main())


async def _ended(engine: Engine) -> str:
    workflow_id = await start(engine, "w")
    await engine.terminate(workflow_id, None)
    return workflow_id


async def _left(engine: Engine) -> list[str]:
    return [workflow_uuid(one.id) for one in reversed(await everything(engine))]


async def _count(engine: Engine, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}"
    return int(await engine.database.read(lambda c: c.execute(statement).fetchone()[0]))


def test_nothing_goes_that_nobody_wants_gone(tmp_path: Path) -> None:
    """Without settings everything is kept for ever."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await _ended(engine)
        clock.pass_s(10_000 * _DAY_S)

        assert 0 == await Retention(engine, RetentionSettings()).sweep()
        assert 1 == len(await _left(engine))

    _run(tmp_path, body)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """With tasks and logs; what ended lately or still runs stays, however long ago it began."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        running, long = await start(engine, "w"), await start(engine, "w")
        first = await start(engine, "w")
        await engine.log(id_of(await claim(engine, "a")), "a line")
        for one in (first, long):
            clock.pass_s(2 * _DAY_S)
            await engine.terminate(one, None)
        clock.pass_s(_DAY_S)
        young = await _ended(engine)
        retention = Retention(engine, RetentionSettings(max_age_days=1.5))

        assert 1 == await retention.sweep()
        assert [running, long, young] == await _left(engine)
        assert 3 == await _count(engine, "task")
        clock.pass_s(_DAY_S)
        assert 1 == await retention.sweep()
        assert [running, young] == await _left(engine)

    _run(tmp_path, body)


def test_logs_go_with_their_tasks(tmp_path: Path) -> None:
    """Nothing is left of an execution."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await start(engine, "w")
        view = await claim(engine, "a")
        await engine.log(id_of(view), "a line")
        await answer(engine, view)
        clock.pass_s(2 * _DAY_S)

        assert 1 == await Retention(engine, RetentionSettings(max_age_days=1)).sweep()
        assert [0, 0, 0] == [await _count(engine, one) for one in ("workflow", "task", "task_log")]

    _run(tmp_path, body)


def test_a_clock_that_was_never_set_tells_no_age(tmp_path: Path) -> None:
    """What ended in 1970 may have ended a minute ago; a count applies to it all the same."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        old = await _ended(engine)
        clock.pass_s(56 * 365 * _DAY_S)
        new = await _ended(engine)

        assert 0 == await Retention(engine, RetentionSettings(max_age_days=1)).sweep()
        assert 1 == await Retention(engine, RetentionSettings(max_count=1)).sweep()
        assert [new] == await _left(engine)
        assert old not in await _left(engine)

    _run(tmp_path, body, now_ms=60_000)


def test_what_is_too_many_goes(tmp_path: Path) -> None:
    """The ones that ended first; what runs is not counted."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        running, long = await start(engine, "w"), await start(engine, "w")
        ids = []
        for _ in range(120):
            ids.append(await _ended(engine))
            clock.pass_s(1)
        await engine.terminate(long, None)

        assert 111 == await Retention(engine, RetentionSettings(max_count=10)).sweep()
        assert [running, long, *ids[-9:]] == await _left(engine)
        assert 0 == await Retention(engine, RetentionSettings(max_count=10)).sweep()

    _run(tmp_path, body)


def test_what_is_too_large_goes(tmp_path: Path) -> None:
    """First the archive, then the oldest executions, until it is small enough or nothing is left."""
    chance = random.Random(1)

    async def body(engine: Engine, clock: ManualClock) -> None:
        for _ in range(120):
            workflow_id = await start(engine, "w", input={"k": chance.randbytes(20_000).hex()})
            await engine.terminate(workflow_id, None)
        view = await engine.execution(workflow_id)
        await engine.request(
            lambda t: archive.put(t.connection, view.workflow, "workflow", b"x" * 500_000, now_ms=1)
        )
        used = await engine.database.read(store.used_bytes)

        assert used > 2_600_000
        removed = await Retention(engine, RetentionSettings(max_total_mb=2)).sweep()
        assert 0 < removed < 120
        assert 0 == await _count(engine, "archive")
        assert 2_000_000 >= await engine.database.read(store.used_bytes)
        # Something that runs fills the limit: there is nothing that could go for it.
        await start(engine, "w", input={"k": "x" * 1_500_000})
        await Retention(engine, RetentionSettings(max_total_mb=1)).sweep()
        assert 1 == len(await _left(engine))

    _run(tmp_path, body)


def test_copies_have_an_age_of_their_own(tmp_path: Path) -> None:
    """By the time of their removal."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        view = await engine.execution(await _ended(engine))
        for moment_ms in (clock.now_ms(), clock.now_ms() + _DAY_S * 1000):
            other = msgspec.structs.replace(view.workflow, id=moment_ms.to_bytes(16, "big"))
            await engine.request(
                lambda t, o=other, m=moment_ms: archive.put(t.connection, o, "w", b"", now_ms=m)  # type: ignore[misc]
            )
        clock.pass_s(1.5 * _DAY_S)
        await Retention(engine, RetentionSettings(archive_max_age_days=1)).sweep()

        assert 1 == await _count(engine, "archive")
        assert 1 == await _count(engine, "workflow")

    _run(tmp_path, body)


def test_children_stay_while_anything_around_them_runs(tmp_path: Path) -> None:
    """Directly or further out; then they go like all others."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        outer, inner = await start(engine, "w"), await _ended(engine)
        child = await _ended(engine)
        around = {inner: outer, child: inner}

        def adopt(transaction: Any) -> None:
            for one, parent in around.items():
                workflow = transaction.snapshot(_bytes(one)).workflow
                raised = msgspec.structs.replace(workflow, parent=task_bytes(_bytes(parent), 1))
                transaction.connection.execute(
                    "UPDATE workflow SET body = ? WHERE key = ?",
                    (msgspec.msgpack.encode(raised), raised.key),
                )
                transaction.executions.forget(workflow.id)

        await engine.request(adopt)
        clock.pass_s(2 * _DAY_S)
        by_age = Retention(engine, RetentionSettings(max_age_days=1))
        by_count = Retention(engine, RetentionSettings(max_count=1))

        assert 0 == await by_age.sweep()
        assert 0 == await by_count.sweep()
        assert [outer, inner, child] == await _left(engine)
        await engine.terminate(outer, None)
        assert 2 == await by_age.sweep()
        assert [outer] == await _left(engine)

    _run(tmp_path, body)


def _bytes(workflow_id: str) -> bytes:
    return bytes.fromhex(workflow_id.replace("-", ""))


def test_what_was_taken_up_again_stays(tmp_path: Path) -> None:
    """Between the look and the transaction a client may have restarted it."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        workflow_id = await _ended(engine)
        old = await engine.workflow(workflow_id)
        await engine.restart(workflow_id, latest=False)
        retention = Retention(engine, RetentionSettings(max_age_days=1))

        assert 0 == await retention._remove([old])
        assert [workflow_id] == await _left(engine)

    _run(tmp_path, body)


def test_definitions_go_with_their_last_execution(tmp_path: Path) -> None:
    """Those that are run or registered stay, and a definition that comes back is kept anew."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        first = await _ended(engine)
        await define(engine, "w", simple("a"), description="second")
        second = await _ended(engine)
        await define(engine, "w", simple("a"), description="third")
        third = await start(engine, "w")
        retention = Retention(engine, RetentionSettings())
        await retention.sweep()
        assert 3 == await _count(engine, "pinned_definition")
        await engine.remove(first)
        # By hand: only a sweep that removed something, or the first one, looks for that.
        await retention.sweep()
        assert 3 == await _count(engine, "pinned_definition")
        await Retention(engine, RetentionSettings()).sweep()
        assert 2 == await _count(engine, "pinned_definition")

        await define(engine, "w", simple("a"))
        again = await start(engine, "w")
        shown = [(await engine.execution(one)).pinned.definition for one in (second, third, again)]
        assert ["second", "third", None] == [one.description for one in shown]
        assert 3 == await _count(engine, "pinned_definition")

    _run(tmp_path, body)


def test_a_definition_that_is_taken_up_again_stays(tmp_path: Path) -> None:
    """An execution that started from it after it was found unused is seen by the second look."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        await engine.remove(await _ended(engine))
        keys = await engine.database.read(store.pinned_keys)
        late = await start(engine, "w")
        await define(engine, "v", simple("b"))
        await start(engine, "v")
        await engine.request(lambda t: store.condemn(t.connection, keys))
        await Retention(engine, RetentionSettings())._orphans()

        assert "w" == (await engine.execution(late)).pinned.definition.name
        assert 2 == await _count(engine, "pinned_definition")

    _run(tmp_path, body)


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """The loop goes on."""

    async def body(engine: Engine, clock: ManualClock) -> None:
        retention = Retention(engine, RetentionSettings())
        sweeps = 0

        async def sweep() -> int:
            nonlocal sweeps
            sweeps += 1
            raise StorageUnavailable("the disk is full")

        retention.sweep = sweep  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(retention.run())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running.cancel()

        assert 1 == sweeps

    _run(tmp_path, body)
