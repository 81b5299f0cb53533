"""History within its budget, on an engine that nobody takes it away from."""

from __future__ import annotations

from pathlib import Path

from edge.engine import Engine
from edge.history_budget import HistoryBudget
from edge.store import outbox
from sync.records import GapRecord, Lane, decode_body
from tests.unit.edge.engine_house import answer, claim, define, run, simple, start


async def work(engine: Engine, executions: int) -> None:
    """Some executions from beginning to end."""
    await define(engine, "demo", simple("a"), ownerEmail="a@b.c")
    for number in range(executions):
        await start(engine, "demo", input={"number": number})
        await answer(engine, await claim(engine, "a"), output={"seen": number})


async def held(engine: Engine) -> int:
    """What all history takes."""
    return sum((await engine.database.read(outbox.held_bytes)).values())


def test_what_fits_is_left_alone(tmp_path: Path) -> None:
    """Nothing is sealed or shed below a tenth of the budget."""

    async def body(engine: Engine) -> None:
        await work(engine, 200)
        before = await held(engine)
        assert 0 == await HistoryBudget(engine, 10 * before + 10).sweep()
        assert before == await held(engine)

    run(tmp_path, body, syncing=True)


def test_it_is_sealed_before_anything_is_shed(tmp_path: Path) -> None:
    """Within a tenth and all of the budget it gets smaller, and is all there."""

    async def body(engine: Engine) -> None:
        await work(engine, 200)
        before = await held(engine)
        newest = (await engine.database.read(outbox.read_lanes))[Lane.HISTORY][2]
        assert newest > 600
        assert 0 == await HistoryBudget(engine, 9 * before).sweep()
        assert await held(engine) < before * 0.7
        assert (0, 1, newest) == (await engine.database.read(outbox.read_lanes))[Lane.HISTORY]

    run(tmp_path, body, syncing=True)


def test_the_oldest_is_shed_and_told(tmp_path: Path) -> None:
    """The budget is kept; what is missing stands in the control lane, with nothing between."""

    async def body(engine: Engine) -> None:
        await work(engine, 200)
        budget = HistoryBudget(engine, 4_000)
        assert await budget.sweep() == budget.shed_bytes > 0
        assert await held(engine) <= 4_000
        lanes = await engine.database.read(outbox.read_lanes)
        records = await engine.database.read(
            lambda c: outbox.read_records(c, Lane.CONTROL, 0, 100, 10**6)
        )
        expected = 1
        for record in records:
            gap = decode_body(record.kind, record.body)
            assert isinstance(gap, GapRecord)
            assert (Lane.HISTORY, expected, "budget") == (gap.lane, gap.first_seq, gap.reason)
            assert sum(gap.kinds.values()) == gap.last_seq - gap.first_seq + 1
            expected = gap.last_seq + 1
        assert expected == lanes[Lane.HISTORY][1] > 1

    run(tmp_path, body, syncing=True)


def test_a_shed_wakes_who_sends(tmp_path: Path) -> None:
    """The record of the gap waits in the control lane."""

    async def body(engine: Engine) -> None:
        await work(engine, 20)
        seen: list[bool] = []
        engine.on_effects(lambda effects: seen.append(effects.outbox))
        assert await HistoryBudget(engine, 1_000).sweep() > 0
        assert True in seen

    run(tmp_path, body, syncing=True)
