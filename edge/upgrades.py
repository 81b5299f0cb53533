"""Requests that offer another protocol: the offer is passed over, and the request answered as it is.

A server is free to (RFC 9110, section 7.8). No request is answered here.
"""

from __future__ import annotations

import re

from edge import imports

with imports.bare("uvicorn"):
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)

_PASSED_OVER = b"ignored"
"""As long as what it stands for."""


class PlainProtocol(HttpToolsProtocol):
    """One connection, which stays with HTTP/1.1.

    Java's own client offers HTTP/2 with every request, and the parser takes what follows such a
    head for the other protocol's: the request would lose its body, and the connection its end.
    """

    _in_head = True
    """Whether the next byte belongs to the head of a request, or begins one."""

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser; a head among them makes no offer."""
        if self._in_head:
            # What is cut in the middle of the word stays an offer: a head comes in one piece.
            end = data.find(b"\r\n\r\n")
            end = len(data) if end < 0 else end
            data = _OFFER.sub(_PASSED_OVER, data[:end]) + data[end:]
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The last byte of a head."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._in_head = True
        super().on_message_complete()
