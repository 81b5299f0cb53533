"""Executions are told anew after an epoch has begun: once in a run, and over restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.engine import Engine
from edge.lineage import Lineage
from edge.retelling import Retelling
from edge.store import outbox, retelling
from sync.records import Body, Lane, TaskRecord, WorkflowRecord, decode_body
from tests.unit.edge.engine_house import answer, claim, define, engine_at, run, simple, start


async def told(engine: Engine) -> list[Body]:
    """What waits in the bulk lane."""
    records = await engine.database.read(
        lambda c: outbox.read_records(c, Lane.BULK, 0, 1_000, 10**9)
    )
    return [decode_body(one.kind, one.body) for one in records]


async def wanted(engine: Engine) -> bool:
    """Whether some are still to be told."""
    return await engine.database.read(retelling.wanted)


def test_an_end_is_told_and_all_of_what_is_open(tmp_path: Path) -> None:
    """Of one that has ended neither its input nor its steps, which may be many."""

    async def body(engine: Engine) -> None:
        await define(engine, "demo", simple("a"), outputParameters={"n": "${a.output.n}"})
        done = await start(engine, "demo", input={"x": 1})
        await answer(engine, await claim(engine, "a"), output={"n": 1})
        open_one = await start(engine, "demo", input={"x": 2})
        lineage = Lineage(engine, tmp_path / "identity")
        (tmp_path / "identity").mkdir()
        step = Retelling(engine)._step
        await step()
        assert [] == await told(engine)

        await lineage.begin_epoch(above=1)
        while await wanted(engine):
            await step()

        first, task, last = await told(engine)
        assert isinstance(first, WorkflowRecord) and isinstance(task, TaskRecord)
        assert isinstance(last, WorkflowRecord)
        assert (open_one, "RUNNING", b'{"x":2}') == (first.id, first.status, first.input)
        assert (open_one, "a", "SCHEDULED") == (task.workflow_id, task.ref, task.status)
        assert (done, "COMPLETED", None, b'{"n":1}') == (
            last.id, last.status, last.input, last.output,
        )  # fmt: skip
        # A second device with this identity makes epochs begin in turns.
        await lineage.begin_epoch(above=9)
        assert not await wanted(engine)

    run(tmp_path, body, syncing=True)


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a stop in between each is told once, and the loop tells them by itself."""

    async def scenario() -> None:
        async with engine_at(tmp_path / "baton.db", syncing=True) as engine:
            await define(engine, "demo", simple("a"))
            ids = [await start(engine, "demo") for _ in range(60)]
            (tmp_path / "identity").mkdir()
            await Lineage(engine, tmp_path / "identity").begin_epoch(above=1)
            await Retelling(engine)._step()
            assert 0 < len(await told(engine)) < 120
        async with engine_at(tmp_path / "baton.db", syncing=True) as engine:
            assert await wanted(engine)
            async with asyncio.TaskGroup() as group, asyncio.timeout(20):
                loop = group.create_task(Retelling(engine).run())
                while await wanted(engine):
                    await asyncio.sleep(0.01)
                loop.cancel()
            found = [one.id for one in await told(engine) if isinstance(one, WorkflowRecord)]
            assert list(reversed(ids)) == found

    asyncio.run(scenario())
