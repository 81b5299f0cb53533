"""A real HTTP server on the loopback that misbehaves as it is told, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

Exchange = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


class Asked(msgspec.Struct):
    """One request as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The only value of a header; None when it was not sent."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} was sent {len(found)} times"
        return found[0] if found else None


class FarEnd:
    """The server: what it was asked, and how it answers.

    Args:
        exchange: writes the answer to a request; the connection is closed after it.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.asked: list[Asked] = []
        self.gone = asyncio.Event()
        """A client has closed its connection before the answer was complete."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            asked = await _request(reader)
            self.asked.append(asked)
            watch = asyncio.ensure_future(reader.read())
            answer = asyncio.ensure_future(self._exchange(asked, writer))
            await asyncio.wait([watch, answer], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.gone.set()
                answer.cancel()
            watch.cancel()
            await asyncio.wait([watch, answer])
            if not answer.cancelled() and not isinstance(answer.exception(), ConnectionError):
                answer.result()
        except asyncio.IncompleteReadError:
            self.gone.set()
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = {name.lower(): value for name, value in headers}.get("content-length", "0")
    return Asked(method, target, headers, await reader.readexactly(int(length)))


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def says(content: bytes) -> Exchange:
    """Answers every request with the same bytes."""

    async def exchange(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return exchange


@asynccontextmanager
async def far_end(exchange: Exchange | bytes) -> AsyncIterator[FarEnd]:
    """A server that runs until the block ends."""
    there = FarEnd(says(exchange) if isinstance(exchange, bytes) else exchange)
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield there
