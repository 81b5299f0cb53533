"""Requests that offer another protocol, byte by byte over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.api.house import House
from edge.model.executions import task_uuid
from edge.sockets import HttpServer
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


_GET = b"GET /api/tasks/queue/all HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "endless", [b"X: " + b"a" * 70_000, b"X: a\r\n" * 15_000, b"X" * 70_000], ids=len
)
@pytest.mark.parametrize("known", [False, True])
def test_a_head_comes_to_its_end(tmp_path: Path, endless: bytes, *, known: bool) -> None:
    """Nobody fills the memory before it is known who it is; also not behind another request."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = streams = await connect()
        if known:
            await ask(streams, _GET + b"\r\n")
        writer.write(_GET + endless)
        answer = await reader.read()

        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert b'"message":"The head of the request is larger than 65536 bytes"' in answer
        assert b"200 OK" in (await ask(await connect(), _GET + b"\r\n"))[0]

    served(tmp_path, body)


def test_a_head_may_be_long(tmp_path: Path) -> None:
    """As those of proxies and of tokens are; each request has its own."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        long = b"X-Authorization: " + b"a" * 30_000 + b"\r\n"
        for _ in range(5):
            head, _ = await ask(streams, _GET + long + b"\r\n")
            assert b"200 OK" in head

    served(tmp_path, body)


def test_what_follows_a_body_comes_to_its_end(tmp_path: Path) -> None:
    """Trailers are kept, too; the pieces of a body are counted by who reads them."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        start = (
            b"POST /api/metadata/taskdefs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        blanks = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        pieces = start + b"e\r\n" + _BODY + b"\r\n" + blanks * 10
        head, _ = await ask(await connect(), pieces + b"0\r\nX: y\r\n\r\n")
        assert b"200 OK" in head

        reader, writer = await connect()
        writer.write(pieces + b"0\r\n" + b"X: a\r\n" * 200_000)
        with contextlib.suppress(ConnectionError):
            assert b"" == await reader.read()

    served(tmp_path, body)


def test_what_is_no_request_is_told_as_everything_else(tmp_path: Path) -> None:
    """In JSON: clients read nothing else of an error."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        writer.write(b"\x16\x03\x01\r\n\r\n")
        answer = await reader.read()

        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"content-type: application/json" in answer
        assert b'{"status":400,"message":"Invalid HTTP request received."' in answer

    served(tmp_path, body)


_REPORT = b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}"
_MORE = b"POST /api/metadata/taskdefs HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n[{"


@pytest.mark.parametrize("said", [b"", b"GET /api", _GET, _REPORT, _MORE])
@pytest.mark.parametrize("known", [False, True])
def test_who_is_silent_in_the_middle_of_a_request_is_not_waited_for(
    tmp_path: Path, said: bytes, *, known: bool
) -> None:
    """Each would keep a file open for ever. Who asks is answered, however long that takes."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = streams = await connect()
        slow = await connect()
        slow[1].write(b"GET /api/tasks/poll/batch/a?timeout=900 HTTP/1.1\r\nHost: x\r\n\r\n" + _GET)
        if known:
            for _ in range(2):
                await ask(streams, _GET + b"\r\n")
                await ask(streams, _REPORT + b" " * 48)
        writer.write(said)

        async with asyncio.timeout(20):
            assert b"" == await reader.read()
            head, _ = await ask(slow, b"")
        assert b"200 OK" in head

    served(tmp_path, body, with_server=_impatient)


def _impatient(server: HttpServer) -> None:
    server.config.timeout_keep_alive = 0.3  # type: ignore[assignment]


def test_a_body_may_take_its_time(tmp_path: Path) -> None:
    """As long as something comes: links are slow, and those of the longest bodies are slowest."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        for request in (_POST, _REPORT + b" " * 48) * 2:
            for at in range(0, len(request), 20):
                streams[1].write(request[at : at + 20])
                await streams[1].drain()
                await asyncio.sleep(0.05)
            head, _ = await ask(streams, b"")
            assert b"431" not in head

    served(tmp_path, body, with_server=_impatient)
