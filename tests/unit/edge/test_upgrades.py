"""Requests that offer another protocol, byte by byte over a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.api.house import House
from edge.model.executions import task_uuid
from tests.unit.edge.engine_house import define, define_task, simple, start
from tests.unit.edge.raw_http import Streams, ask, served

_OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"
)
"""As Java's client makes it with each request."""

_BODY = b'[{"name":"a"}]'

_POST = (
    b"POST /api/metadata/taskdefs HTTP/1.1\r\n" + _OFFER + b"Content-Length: 14\r\n"
    b"Host: x\r\nContent-Type: application/json\r\n\r\n" + _BODY
)


@pytest.mark.parametrize("cut", [0, 20, len(_POST) - len(_BODY), len(_POST) - 5])
def test_an_offer_is_passed_over(tmp_path: Path, cut: int) -> None:
    """The body arrives however its bytes come, and the connection goes on with HTTP/1.1."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        for _ in range(2):
            if cut:
                streams[1].write(_POST[:cut])
                await streams[1].drain()
                await house.engine.task_definitions()
            head, _ = await ask(streams, _POST[cut:])
            assert head.startswith(b"HTTP/1.1 200 ")
        _, found = await ask(
            streams, b"GET /api/metadata/taskdefs/a HTTP/1.1\r\n" + _OFFER + b"Host: x\r\n\r\n"
        )

        assert b'"name":"a"' in found

    served(tmp_path, body)


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_body_says_is_no_offer(tmp_path: Path, *, apart: bool) -> None:
    """Only heads are looked at."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        engine = house.engine
        await define_task(engine, "work")
        await define(engine, "flow", simple("work"))
        view = await engine.execution(await start(engine, "flow"))
        task = task_uuid(view.workflow.id, 1)
        streams = await connect()
        line = b"as it came:\r\nUpgrade: h2c\r\n"
        head = b"POST /api/tasks/%s/log HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        request = head % (task.encode(), len(line))
        if apart:
            streams[1].write(request)
            await streams[1].drain()
            await engine.task_definitions()
        await ask(streams, line if apart else request + line)

        assert [line.decode()] == [logged.line for logged in await engine.logs(task)]

    served(tmp_path, body)
