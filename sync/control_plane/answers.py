"""How the control plane's API answers: JSON, errors, kept files, and the rim around each request.

No endpoint and no question to the ledger stands here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync.control_plane.dialect import StatementRefused, StorageUnavailable
from sync.control_plane.ledger import LedgerUnavailable
from sync.control_plane.orders import DeviceUnknown, OrderConflict, OrderNotWithdrawn
from sync.orders import OrderInvalid
from sync.web.pages import SECURITY_HEADERS

# Shown in place by a browser. SVG is missing on purpose: it can carry a script.
_INLINE_MEDIA = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")

_log = structlog.get_logger(__name__)


class Rim:
    """The rim of a request: security headers on every answer, and no exception beyond it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _with_security(message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception:  # noqa: BLE001 - the rim: nothing else stands before the server
            _log.exception("request_failed", method=scope["method"], path=scope["path"])
            # An answer that has begun can only be cut short; the client sees a broken body.
            if started:
                return
            answer = error_answer(500, "the control plane failed on this request; see its log")
            await answer(scope, receive, guarded)


def _with_security(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in headers}
    return [
        *headers,
        *(
            (name.encode(), value.encode())
            for name, value in SECURITY_HEADERS.items()
            if name.encode() not in present
        ),
    ]


REFUSALS: dict[type[Exception], int] = {
    LedgerUnavailable: 503,
    StorageUnavailable: 503,
    StatementRefused: 400,
    OrderInvalid: 400,
    DeviceUnknown: 404,
    OrderConflict: 409,
    OrderNotWithdrawn: 409,
}
"""What the rooms behind the API refuse, and the status that says so."""


async def refuse(_: Request, error: Exception) -> Response:
    """A refusal in the API's error shape."""
    if isinstance(error, HTTPException):
        answer = error_answer(error.status_code, error.detail)
        answer.headers.update(error.headers or {})
        return answer
    return error_answer(REFUSALS[type(error)], str(error))


def error_answer(status: int, message: str) -> Response:
    """A refusal: the status and what to do about it."""
    return json_answer({"status": status, "message": message}, status=status)


def json_answer(content: Any, *, status: int = 200) -> Response:
    """What was asked for; never kept by a browser, since it changes."""
    return Response(
        msgspec.json.encode(content),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def file_answer(
    request: Request, key: str, media_type: str, sha256: str, content: bytes
) -> Response:
    """A kept file: pictures in place, all else a download; not again when the browser has it."""
    headers = file_headers(key, media_type, sha256)
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def file_headers(key: str, media_type: str, sha256: str) -> dict[str, str]:
    """What is said of a kept file: whatever a device has sent, it runs nothing here."""
    # The media type was said by a device: only a well-formed one is passed on.
    declared = media_type.lower()
    safe_type = declared if _MEDIA_TYPE.fullmatch(declared) else "application/octet-stream"
    inline = safe_type in _INLINE_MEDIA
    name = re.sub(r"[^A-Za-z0-9._-]", "_", key.rsplit("/", 1)[-1])[-100:] or "evidence"
    return {
        "content-type": safe_type,
        "content-disposition": f'{"inline" if inline else "attachment"}; filename="{name}"',
        # Opened by itself, a file may run nothing and reach nothing.
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-cache",
        "etag": f'"{sha256[:64]}"',
    }
