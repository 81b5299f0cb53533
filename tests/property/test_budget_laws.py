"""The budget of unacknowledged history, whatever is written and acknowledged meanwhile."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine import Engine
from edge.history_budget import HistoryBudget
from edge.store import outbox
from sync.records import GapRecord, Lane, decode_body
from tests.unit.edge.engine_house import answer, claim, define, run, simple, start

_SPARE_BYTES = 3_000
"""What the control lane may take beside it: it is never shed."""


@pytest.mark.timeout(120)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_history_stays_within_its_budget(seed: int) -> None:
    """I-12: after each look it is kept, and what is gone is acknowledged or told, exactly."""
    rng = random.Random(seed)
    budget_bytes = rng.randint(6_000, 60_000)

    async def body(engine: Engine) -> None:
        await define(engine, "demo", simple("a"))
        budget, acked = HistoryBudget(engine, budget_bytes), 0
        for _ in range(8):
            for _ in range(rng.randint(1, 25)):
                await start(engine, "demo", input={"x": "y" * rng.choice([1, 50, 900])})
                await answer(engine, await claim(engine, "a"), output={"z": rng.random()})
            if rng.random() < 0.5:
                acked, oldest, newest = (await engine.database.read(outbox.read_lanes))[
                    Lane.HISTORY
                ]
                acked = rng.randint(max(acked, oldest - 1), newest)
                durable = {int(Lane.HISTORY): acked}
                await engine.database.transact(partial(outbox.acknowledge, acked=durable))
            await budget.sweep()
            held = await engine.database.read(outbox.held_bytes)
            assert sum(held.values()) - held.get(Lane.CONTROL, 0) <= budget_bytes
            assert held.get(Lane.CONTROL, 0) <= _SPARE_BYTES
        told = await engine.database.read(
            lambda c: outbox.read_records(c, Lane.CONTROL, 0, 1_000, 10**7)
        )
        left = await engine.database.read(
            lambda c: outbox.read_records(c, Lane.HISTORY, 0, 10**5, 10**8)
        )
        newest = (await engine.database.read(outbox.read_lanes))[Lane.HISTORY][2]
        gone: set[int] = set()
        for record in told:
            gap = decode_body(record.kind, record.body)
            assert isinstance(gap, GapRecord)
            run_ = set(range(gap.first_seq, gap.last_seq + 1))
            assert not gone & run_
            gone |= run_
        assert set(range(acked + 1, newest + 1)) - gone == {one.seq for one in left}

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), body, syncing=True)
