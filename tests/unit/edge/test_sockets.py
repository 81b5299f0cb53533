"""The server over a real socket, and systemd's notifications."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.api.house import House
from edge.sockets import CannotListen, Supervisor, listen, url_of
from tests.unit.edge.engine_house import define, define_task, simple, start
from tests.unit.edge.raw_http import Streams, ask, served


def test_a_chunked_request_over_a_real_socket(tmp_path: Path) -> None:
    """As JavaScript's client sends it; the connection is kept, and answers carry no server name."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        text = b'[{"name":"a"}]'
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, text[i : i + 1]) for i in range(len(text)))
        head, empty = await ask(
            streams,
            b"POST /api/metadata/taskdefs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        )
        second, found = await ask(
            streams, b"GET /api/metadata/taskdefs/a HTTP/1.1\r\nHost: x\r\n\r\n"
        )

        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"" == empty
        assert b"content-type" not in head.lower()
        assert b"\r\nserver:" not in head.lower()
        assert b'"name":"a"' in found
        assert b"application/json" in second
        streams[1].close()

    served(tmp_path, body)


def test_a_worker_that_hangs_up_loses_no_task(tmp_path: Path) -> None:
    """The connection is closed during the long poll; the next worker gets the task at once."""

    async def body(house: House, connect: Callable[[], Awaitable[Streams]]) -> None:
        engine = house.engine
        await define_task(engine, "work")
        await define(engine, "flow", simple("work"))
        _, writer = await connect()
        writer.write(b"GET /api/tasks/poll/batch/work?timeout=5000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        while not engine.poll_data():
            await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()
        second = await connect()
        head, _ = await ask(second, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in head

        await start(engine, "flow")
        (view,) = await engine.poll("work", worker="b", count=1, timeout_ms=3000)

        assert "b" == view.task.worker
        second[1].close()

    served(tmp_path, body)


def test_an_address_in_use_is_said_plainly() -> None:
    """With what to do about it."""
    with contextlib.closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"http://127.0.0.1:{port}" == url_of(taken)

        with pytest.raises(CannotListen, match="another program listens there"):
            listen("127.0.0.1", port)


def test_systemd_is_told_where_there_is_one(tmp_path: Path) -> None:
    """Through the socket that the environment names; without one nothing happens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "n"))
        supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "3000000"})

        supervisor.tell("READY=1", "STATUS=well")

        assert b"READY=1\nSTATUS=well" == receiver.recv(100)
        assert 3.0 == supervisor.watchdog_s
    supervisor.tell("WATCHDOG=1")
    Supervisor({}).tell("READY=1")
