"""Notices of listeners: posted in order, again until they arrive, and not for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.engine import Engine
from edge.store import deliveries
from edge.system_tasks import notices
from edge.system_tasks.notices import Notices
from tests.unit.edge.engine_house import define, run, start
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.system_tasks.far_end import Asked, FarEnd, answer, far_end

_NOOP = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}


async def _start_listened(engine: Engine, url: str) -> str:
    await define(
        engine,
        "w",
        _NOOP,
        workflowStatusListenerEnabled=True,
        workflowStatusListenerSink=f"{url}/hook",
    )
    return await start(engine, "w")


def _events(server: FarEnd) -> list[str]:
    return [msgspec.json.decode(asked.body)["eventType"] for asked in server.asked]


def test_notices_arrive_in_order(tmp_path: Path) -> None:
    """As JSON, with an id that tells two of the same apart."""

    async def accept(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())

    async def body(engine: Engine) -> None:
        async with far_end(accept) as server:
            workflow_id = await _start_listened(engine, server.url)
            poster = Notices(engine)
            pause_s = await poster._round()
            await poster._client.aclose()

            assert ["STARTED", "COMPLETED", "FINALIZED"] == _events(server)
            assert pause_s is None
            first = server.asked[0]
            assert ("POST", "/hook", "application/json") == (
                first.method,
                first.target,
                first.header("content-type"),
            )
            assert (first.header("x-message-id") or "").startswith(f"{workflow_id}-STARTED-")

    run(tmp_path, body)


def test_a_server_that_refuses_is_asked_again(tmp_path: Path) -> None:
    """Later each time, the first notice first; after a day it is given up."""
    clock = ManualClock()
    answers: list[bytes] = [answer(status="503 Busy"), answer(status="500 Broken")]

    async def reply(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0) if answers else answer())

    async def body(engine: Engine) -> None:
        async with far_end(reply) as server:
            await _start_listened(engine, server.url)
            poster = Notices(engine)
            pauses = [await poster._round()]
            clock.pass_s(1)
            pauses.append(await poster._round())
            clock.pass_s(2)
            pauses.append(await poster._round())
            await poster._client.aclose()

            assert ["STARTED"] * 3 + ["COMPLETED", "FINALIZED"] == _events(server)
            assert [1, 2, None] == [None if p is None else round(p) for p in pauses]

    run(tmp_path, body, clock=clock, timers=False)


def test_after_a_day_a_notice_is_given_up(tmp_path: Path) -> None:
    """Nobody waits for it any more, and those behind it have had their time too."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await _start_listened(engine, "http://127.0.0.1:1")
        poster = Notices(engine)
        await poster._round()
        clock.pass_s(24 * 3_600)
        await poster._round()
        await poster._client.aclose()

        assert 0 == await engine.database.read(deliveries.next_due_ms)

    run(tmp_path, body, clock=clock, timers=False)


def test_only_the_status_of_an_answer_is_read(tmp_path: Path) -> None:
    """What follows may unfold to gigabytes or never end; and no server's cookie comes back."""

    async def never_end(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        await writer.drain()
        await asyncio.Event().wait()

    async def body(engine: Engine) -> None:
        async with far_end(never_end) as server:
            await _start_listened(engine, server.url)
            poster = Notices(engine)
            async with asyncio.timeout(10):
                pause_s = await poster._round()
            await poster._client.aclose()

            assert ["STARTED", "COMPLETED", "FINALIZED"] == _events(server)
            assert pause_s is None
            assert [None] * 3 == [asked.header("cookie") for asked in server.asked]

    run(tmp_path, body)


@pytest.mark.parametrize("url", ["http://", "http://[", "https://127.0.0.1:1"])
def test_an_address_that_leads_nowhere_stops_nobody(tmp_path: Path, url: str) -> None:
    """It is tried again like a server that is away."""

    async def body(engine: Engine) -> None:
        await _start_listened(engine, url)
        poster = Notices(engine)
        pause_s = await poster._round()
        await poster._client.aclose()

        assert pause_s is not None and 0 < pause_s < 2

    run(tmp_path, body)


def test_the_loop_wakes_for_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No notice waits for a clock."""
    monkeypatch.setattr(notices, "_LOOK_AGAIN_S", 600.0)
    arrived = asyncio.Event()

    async def accept(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())
        if b"FINALIZED" in asked.body:
            arrived.set()

    async def body(engine: Engine) -> None:
        async with far_end(accept) as server, asyncio.TaskGroup() as group:
            loop: Any = group.create_task(Notices(engine).run())
            await asyncio.sleep(0)
            await _start_listened(engine, server.url)
            async with asyncio.timeout(25):
                await arrived.wait()
            loop.cancel()

    run(tmp_path, body)
