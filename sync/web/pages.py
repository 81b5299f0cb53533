"""Hands out the files of one web face and of the pieces shared by both, as an ASGI application.

No API and no template stands here: what is served is fixed when somebody first asks for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SHARED_FOLDER = Path(__file__).parent
SHARED_PREFIX = "/web"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

SECURITY_HEADERS = {
    # No inline script or style, nothing from elsewhere: the pages load only what is served here.
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
"""Every answer of both faces carries these."""

# The pages are some 150 KB. A folder far above that is a packaging mistake, and would be kept
# in the memory of a small device.
_TOTAL_LIMIT_BYTES = 2 * 1024 * 1024


class PagesError(Exception):
    """Head of this module's errors.

    Tree: PagesError <- PagesMissing, PagesTooLarge.
    """


class PagesMissing(PagesError):
    """A face has no index.html. The package is incomplete: install it again."""


class PagesTooLarge(PagesError):
    """The files of a face exceed what is kept in memory. Remove what does not belong there."""


class Page(msgspec.Struct, frozen=True):
    """One file, ready to be sent."""

    content: bytes
    gzipped: bytes
    media_type: str
    etag: str


def find_pages(face: Path) -> dict[str, Path]:
    """Every file of a face and of the shared pieces, by the path it is served under.

    Raises:
        PagesMissing: the face has no index.html.
        PagesTooLarge: together they exceed the limit.
    """
    found = {f"/{path.name}": path for path in _files(face)}
    for path in [*_files(SHARED_FOLDER), *_files(SHARED_FOLDER / "vendor")]:
        found[f"{SHARED_PREFIX}/{path.relative_to(SHARED_FOLDER).as_posix()}"] = path
    if "/index.html" not in found:
        raise PagesMissing(f"{face} has no index.html; install the package again")
    if sum(path.stat().st_size for path in found.values()) > _TOTAL_LIMIT_BYTES:
        raise PagesTooLarge(f"the files of {face} exceed {_TOTAL_LIMIT_BYTES} bytes")
    return found


def read_pages(face: Path) -> dict[str, Page]:
    """The same, read and ready to be sent. Raises as ``find_pages`` does."""
    pages = {served: _page(path) for served, path in find_pages(face).items()}
    pages["/"] = pages["/index.html"]
    return pages


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if path.suffix in MEDIA_TYPES]


def _page(path: Path) -> Page:
    # Of use to those alone who look at pages.
    import gzip

    content = path.read_bytes()
    return Page(
        content=content,
        gzipped=gzip.compress(content, compresslevel=9, mtime=0),
        media_type=MEDIA_TYPES[path.suffix],
        etag=f'"{hashlib.sha256(content).hexdigest()[:20]}"',
    )


class Pages:
    """The ASGI application; mount it last, under ``/``.

    Paths are looked up in a table, so no request can reach a file that is not one of the pages.
    All of them are read when somebody asks for one: most devices are never looked at, and no page
    is of another release than the others.

    Args:
        face: the folder of the files.

    Raises:
        PagesMissing: the face has no index.html.
        PagesTooLarge: together they exceed the limit.
    """

    def __init__(self, face: Path) -> None:
        find_pages(face)
        self._face = face
        self._pages: dict[str, Page] = {}
        self._reading = asyncio.Lock()

    async def __call__(self, scope: MutableMapping[str, Any], _: Receive, send: Send) -> None:
        """Answer one request; a body that comes with it is not read."""
        if scope["type"] != "http":
            return
        path = _path_below_mount(scope)
        if path.startswith("/api/"):
            # Whoever asks for it is a program that has another address, or another face, in mind.
            method = scope["method"]
            status = 404 if method in ("GET", "HEAD") else 405
            words = f"there is no {method} {path[:200]} here; GET /api-docs tells what there is"
            await _refuse(send, status, words)
            return
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, f"{scope['method']} is not possible on a page; use GET")
            return
        async with self._reading:
            if not self._pages:
                self._pages = await asyncio.to_thread(read_pages, self._face)
        page = self._pages.get(path)
        if page is None:
            await _refuse(send, 404, f"there is no page {path[:200]}; begin at /")
            return
        await _answer(send, page, _headers(scope), with_body=scope["method"] == "GET")


def _path_below_mount(scope: MutableMapping[str, Any]) -> str:
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    return below or "/"


def _headers(scope: MutableMapping[str, Any]) -> dict[bytes, bytes]:
    return dict(scope["headers"])


async def _answer(send: Send, page: Page, asked: dict[bytes, bytes], *, with_body: bool) -> None:
    headers = {
        **SECURITY_HEADERS,
        "content-type": page.media_type,
        "etag": page.etag,
        # Asked again each time and answered with 304: after an update no old piece is mixed in.
        "cache-control": "no-cache",
        "vary": "accept-encoding",
    }
    if page.etag.encode() in asked.get(b"if-none-match", b""):
        await _send(send, 304, headers, b"")
        return
    body = page.content
    if b"gzip" in asked.get(b"accept-encoding", b""):
        body = page.gzipped
        headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(body))
    await _send(send, 200, headers, body if with_body else b"")


async def _refuse(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode({"status": status, "message": message})
    headers = {
        **SECURITY_HEADERS,
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    await _send(send, status, headers, body)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
