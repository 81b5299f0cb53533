"""Heads of requests: what offers another protocol is passed over, and what does not end is refused.

A server is free to do the former (RFC 9110, section 7.8). No request is answered here that can be
read.
"""

from __future__ import annotations

import re

import msgspec

from edge import imports

with imports.bare("uvicorn"):
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

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
            super().data_received(data)
            return
        self._held_bytes += len(data)
        super().data_received(data)
        if self._held_bytes > _HEAD_BYTES:
            # Whoever reads the body may have begun to answer: there is nothing more to be said.
            self.transport.close()

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
