"""A device on a real socket, spoken to byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.api.app import build_app
from edge.api.house import House
from edge.sockets import HttpServer, listen
from tests.unit.edge.engine_house import engine_at

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def served(
    folder: Path,
    body: Callable[[House, Callable[[], Awaitable[Streams]]], Awaitable[None]],
    *,
    with_server: Callable[[HttpServer], None] = lambda _: None,
) -> None:
    """Run ``body(house, connect)`` while a device answers on a free port.

    Args:
        folder: for its database.
        body: what is done meanwhile.
        with_server: is shown the server before it begins.
    """

    async def main() -> None:
        async with engine_at(folder / "baton.db") as engine:
            house = House(engine)
            listener = listen("127.0.0.1", 0)
            port = listener.getsockname()[1]
            server = HttpServer(build_app(house), listener)
            with_server(server)

            opened: list[Streams] = []

            async def connect() -> Streams:
                opened.append(await asyncio.open_connection("127.0.0.1", port))
                return opened[-1]

            async with asyncio.TaskGroup() as group:
                group.create_task(server.run_until_stopped())
                await server.ready.wait()
                try:
                    await body(house, connect)
                finally:
                    server.stop()
                    for _, writer in opened:
                        writer.close()

    asyncio.run(main())


async def ask(streams: Streams, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to a raw request."""
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return head, await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
