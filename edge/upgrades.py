"""Heads of requests: what offers another protocol is passed over, and what does not end is refused.

A server is free to do the former (RFC 9110, section 7.8). No request is answered here that can be
read.
"""

from __future__ import annotations

import asyncio
import re

import msgspec

from edge import imports

with imports.bare("uvicorn"):
    from uvicorn.protocols.http.httptools_impl import (
        STATUS_LINE,
        HttpToolsProtocol,
        RequestResponseCycle,
    )

_OFFER = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)

_PASSED_OVER = b"ignored"
"""As long as what it stands for."""


_HEAD_BYTES = 65_536
"""Of a head, and of what stands around the pieces of a body: the parser keeps all of it, before it is
known who asks. Other servers take 8 to 64 KB; addresses beyond this cannot be parsed anyhow."""


class PlainProtocol(HttpToolsProtocol):
    """One connection, which stays with HTTP/1.1.

    Java's own client offers HTTP/2 with every request, and the parser takes what follows such a
    head for the other protocol's: the request would lose its body, and the connection its end.
    """

    _in_head = True
    """Whether the next byte belongs to the head of a request, or begins one."""

    _held_bytes = 0
    """Of what the parser has been given and has not made a part of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected; the first request may be waited for as long as the next one."""
        super().connection_made(transport)
        self._expect_more()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser; a head among them makes no offer, and comes to its end."""
        if self._in_head:
            # What is cut in the middle of the word stays an offer: a head comes in one piece.
            end = data.find(b"\r\n\r\n")
            end = len(data) if end < 0 else end
            self._held_bytes += end
            if self._held_bytes > _HEAD_BYTES:
                self._refuse(431, f"The head of the request is larger than {_HEAD_BYTES} bytes")
                return
            data = _OFFER.sub(_PASSED_OVER, data[:end]) + data[end:]
        else:
            self._held_bytes += len(data)
        super().data_received(data)
        if self._held_bytes > _HEAD_BYTES:
            # Whoever reads the body may have begun to answer: there is nothing more to be said.
            self.transport.close()
        elif self._held_bytes or not self._in_head:
            self._expect_more()

    def on_headers_complete(self) -> None:
        """The last byte of a head."""
        self._in_head, self._held_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some bytes of a body, which has a limit of its own."""
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._in_head, self._held_bytes = True, 0
        super().on_message_complete()

    def _expect_more(self) -> None:
        """Hang up on whoever is silent before a request has come to its end.

        Half of them have gone without a word, and none of them is missed: each would keep one of the
        few files that a process may have open. The server's own timer begins behind an answer, and
        is ended by the next byte; this is the same one.
        """
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self._hang_up
            )

    def _hang_up(self) -> None:
        self.timeout_keep_alive_task = None
        if not self._in_head:
            # The rest of a body is not read while the application does not take what has come of it.
            if self.flow.read_paused:
                self._expect_more()
            else:
                self.transport.close()
            return
        # There is none before the first request, whatever its type says. Whoever waits for an answer
        # may have begun to ask the next thing.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Say that the parser cannot read a request."""
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        """Answer as the application would, then hang up: what follows cannot be told apart."""
        answer = {"status": status, "message": message, "retryable": False}
        body = msgspec.json.encode(answer)
        lines = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            lines += [name, b": ", value, b"\r\n"]
        lines += [
            b"content-type: application/json\r\nconnection: close\r\ncontent-length: ",
            str(len(body)).encode(), b"\r\n\r\n", body,
        ]  # fmt: skip
        self.transport.write(b"".join(lines))
        self.transport.close()
