"""Executions are told anew after an epoch has begun: once in a run, and over restarts."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.lineage import Lineage
from edge.model.executions import TaskStatus
from edge.retelling import Retelling
from edge.store import outbox, retelling
from sync.records import Body, Lane, TaskRecord, WorkflowRecord, decode_body
from tests.unit.edge.engine_house import answer, claim, define, engine_at, run, simple, start


async def told(engine: Engine, lane: Lane = Lane.BULK, after_seq: int = 0) -> list[Body]:
    """What waits in a lane."""
    records = await engine.database.read(
        lambda c: outbox.read_records(c, lane, after_seq, 1_000, 10**9)
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
        assert [(1, 1)] == first.steps == last.steps, "others that were told of are no more"
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
            while await engine.database.read(retelling.failures_wanted):
                await Retelling(engine)._step()
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


async def acknowledged(engine: Engine, *lanes: Lane) -> None:
    """All that was written of these lanes has been acknowledged."""

    def acknowledge(connection: sqlite3.Connection) -> None:
        newest = {lane: row[2] for lane, row in outbox.read_lanes(connection).items()}
        outbox.acknowledge(connection, {lane: newest[lane] for lane in lanes})

    await engine.request(lambda t: acknowledge(t.connection))


async def failures_told(engine: Engine, lineage: Lineage, epoch: int) -> list[tuple[str, str]]:
    """What is told anew in the urgent lane when an epoch begins; acknowledged afterwards."""
    await lineage.begin_epoch(above=epoch)
    step = Retelling(engine)._step
    while await engine.database.read(retelling.failures_wanted):
        await step()
    found = await told(engine, Lane.URGENT)
    await acknowledged(engine, Lane.URGENT)
    assert all(isinstance(one, WorkflowRecord) and one.input is None for one in found)
    return [(one.id, one.status) for one in found if isinstance(one, WorkflowRecord)]


def test_a_failure_that_went_ahead_is_told_in_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as what was before it waits: that is told under the later epoch, and would count."""
    monkeypatch.setattr(retelling, "_SLACK_MS", 0)

    async def body(engine: Engine) -> None:
        await define(engine, "demo", simple("a"))
        (tmp_path / "identity").mkdir()
        lineage = Lineage(engine, tmp_path / "identity")
        failed, done, ended = [await start(engine, "demo") for _ in range(3)]
        for status in (TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.COMPLETED):
            await answer(engine, await claim(engine, "a"), status)
        await engine.terminate(ended, "enough")
        await acknowledged(engine, Lane.URGENT)

        assert [(failed, "FAILED")] == await failures_told(engine, lineage, 1)
        assert [(failed, "FAILED")] == await failures_told(engine, lineage, 9)
        waiting = [
            one.id for one in await told(engine, Lane.HISTORY) if isinstance(one, WorkflowRecord)
        ]
        assert {failed, done, ended} == set(waiting), "what is told in its order needs no more"
        await acknowledged(engine, Lane.HISTORY)
        assert [] == await failures_told(engine, lineage, 19)
        await start(engine, "demo")
        assert [] == await failures_told(engine, lineage, 29), "it is over since before what waits"

    run(tmp_path, body, syncing=True)
