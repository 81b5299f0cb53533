"""Orders over a real broker to a real device: what is ordered is done once, and reported."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from edge.durable import FILES
from edge.engine import Engine
from edge.store import search
from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.identity import load_order_key
from sync.link import Broker
from tests.evaluators import EVALUATORS
from tests.integration.sync_doubles import (
    engine_uplink,
    free_port,
    mosquitto,
    now_ms,
    running,
    until,
    wait_for_port,
)
from tests.unit.edge.engine_house import define

STARTS = int(os.environ.get("BATON_ORDERS", "300"))

WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


@pytest.mark.timeout(300)
def test_orders_are_carried_out_once_while_the_broker_dies(tmp_path: Path) -> None:
    """I-9: every start is one execution, its report is in the ledger, and it is in no other."""
    _carry_out(tmp_path, STARTS)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_ten_thousand_orders_are_carried_out_once(tmp_path: Path) -> None:
    """The same with as many as a fleet's worst day brings."""
    _carry_out(tmp_path, 10_000)


def _carry_out(tmp_path: Path, starts: int) -> None:
    port = free_port()
    broker = mosquitto(tmp_path, port)

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=now_ms)
        key = load_order_key(tmp_path / "cloud", FILES)
        ingest = Ingest(
            broker=Broker(port=port), ledger=ledger, now_ms=now_ms, chance=random.Random(1),
            order_key=key,
        )  # fmt: skip
        engine = await Engine.open(tmp_path / "baton.db", scripts=EVALUATORS, syncing=True)
        uplink = engine_uplink(engine, tmp_path, port, [key.public_key.hex()])
        async with asyncio.TaskGroup() as group:
            committing = group.create_task(engine.run())
            await define(engine, "demo", WAIT, ownerEmail="a@b.c")
            loops = [group.create_task(one.run()) for one in (ingest, uplink)]

            async def known() -> bool:
                return await ledger.device("roof") is not None

            await until(known, limit_s=60, what="the device is known")
            expires_ms = now_ms() + 3_600_000
            for number in range(starts):
                body = {"name": "demo", "input": {"number": number}}
                await ledger.order("roof", "start", body, expires_ms=expires_ms)
                if number in (starts // 3, 2 * starts // 3):
                    broker.kill()
                    broker.start()

            async def reported() -> bool:
                return not (await ledger.orders_of("roof", open_only=True, limit=1)).rows

            await until(reported, limit_s=max(240, starts / 20), what="all is reported")
            for loop in loops:
                loop.cancel()
            page = await ledger.orders_of("roof", limit=starts + 1)
            assert Counter({"done": starts}) == Counter(row.state for row in page.rows)
            workflows = await engine.database.read(lambda c: search.running(c, "demo"))
            assert starts == len(workflows)
            given = {row.order_id for row in page.rows}
            assert given == {workflow.idempotency_key for workflow in workflows}
            await engine.close()
            await committing
        await ledger.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())
