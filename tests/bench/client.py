"""A client of HTTP as lean as Python allows: the server is what is to be measured.

It knows no API; of HTTP/1.1 it knows what the servers here answer: bodies with their length.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Self, cast


class Answer(NamedTuple):
    """What came back."""

    status: int
    head: bytes
    """Status line and header lines as they came, in lower case."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is missing."""
        for line in self.head.split(b"\r\n"):
            found, _, value = line.partition(b":")
            if found == name.lower().encode():
                return value.strip().decode()
        return None


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time. Make it with ``open``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to the loopback."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    async def exchange(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request and wait for its answer, whatever its status.

        Raises:
            ConnectionError: the server has hung up.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the server has hung up")
        self._answer = asyncio.get_running_loop().create_future()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return await self._answer

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request that must succeed; returns the body of its answer.

        Raises:
            RuntimeError: it was refused.
        """
        answer = await self.exchange(method, path, body)
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    def close(self) -> None:
        """Disconnect."""
        if self._transport is not None:
            self._transport.close()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; an answer is complete with the last of its body."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._received) < end + 4 + length:
            return
        body = self._received[end + 4 : end + 4 + length]
        self._received = self._received[end + 4 + length :]
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Answer(int(head[9:12]), head, body))

    def connection_lost(self, error: Exception | None) -> None:
        """The server has hung up."""
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(f"the server has hung up: {error}"))
