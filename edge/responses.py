"""Answers to requests, as ASGI applications of one use.

Those in one piece, which nearly all are, stand here; files and streams are sent by starlette, which
a device that shows nothing to people never loads: it takes three megabytes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from starlette.types import Receive, Scope, Send

_BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body, and so no length of one."""


class Response:
    """An answer in one piece.

    Args:
        content: the body.
        status_code: of the answer.
        headers: beside those that follow from the body.
        media_type: what the body is; None = nothing is said. A text is said to be UTF-8.
    """

    def __init__(
        self,
        content: bytes = b"",
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        self.status_code = status_code
        self.body = content
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.add(headers or {})
        if status_code not in _BODILESS:
            self.raw_headers.append((b"content-length", b"%d" % len(content)))
        if media_type is not None:
            is_bare_text = media_type.startswith("text/") and "charset=" not in media_type
            self.add(
                {"content-type": f"{media_type}; charset=utf-8" if is_bare_text else media_type}
            )

    def add(self, headers: Mapping[str, str]) -> None:
        """Say more beside the body; none of it has been said before."""
        self.raw_headers += [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


class RedirectResponse(Response):
    """Where to look instead.

    Args:
        url: a path of this server, of characters that stand in an address as they are.
        status_code: of the answer.
    """

    def __init__(self, url: str, status_code: int = 307) -> None:
        super().__init__(status_code=status_code, headers={"location": url})


class FileResponse(Response):
    """A file, or the part of it that is asked for.

    Args:
        path: where it lies.
        headers: beside those that follow from the file.
        media_type: what it is.
        stat_result: what the system says of it; None = it is asked.
    """

    def __init__(
        self,
        path: Path,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        stat_result: os.stat_result | None = None,
    ) -> None:
        super().__init__()
        self._path, self._headers = path, headers
        self._media_type, self._stat_result = media_type, stat_result

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, piece by piece."""
        from starlette import responses

        file = responses.FileResponse(
            self._path,
            headers=self._headers,
            media_type=self._media_type,
            stat_result=self._stat_result,
        )
        await file(scope, receive, send)


class StreamingResponse(Response):
    """What comes bit by bit, until it ends or the client goes away.

    Args:
        content: the bits.
        headers: of the answer.
        media_type: what it is.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__()
        self._content, self._headers, self._media_type = content, headers, media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send each bit as it comes."""
        from starlette import responses

        stream = responses.StreamingResponse(
            self._content, headers=self._headers, media_type=self._media_type
        )
        await stream(scope, receive, send)
