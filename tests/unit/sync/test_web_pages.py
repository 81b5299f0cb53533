"""The small server of the pages: what it hands out, how, and what it refuses."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from edge.console import CONSOLE_FOLDER
from sync.control_plane.dashboard import DASHBOARD_FOLDER
from sync.web import pages
from sync.web.pages import Pages, PagesMissing, PagesTooLarge


def ask(
    app: Pages, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request: status, headers, body."""
    sent: list[Any] = []
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"]


@pytest.mark.parametrize("face", [CONSOLE_FOLDER, DASHBOARD_FOLDER])
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/web/style.css", "text/css; charset=utf-8"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/vendor/preact.mjs", "text/javascript; charset=utf-8"),
    ],
)
def test_files_come_with_their_type_and_guard(face: Path, path: str, media_type: str) -> None:
    """Each file has its media type, a tag to ask again with, and the security headers."""
    status, headers, body = ask(Pages(face), path)

    assert 200 == status
    assert media_type == headers["content-type"]
    assert str(len(body)) == headers["content-length"]
    assert "no-cache" == headers["cache-control"]
    assert pages.SECURITY_HEADERS.items() <= headers.items()


def test_compressed_when_the_browser_can() -> None:
    """The compressed bytes are the same file, and shorter."""
    app = Pages(CONSOLE_FOLDER)
    _, plain, body = ask(app, "/app.js")
    _, headers, packed = ask(app, "/app.js", accept_encoding="br, gzip")

    assert "gzip" == headers["content-encoding"]
    assert "content-encoding" not in plain
    assert body == gzip.decompress(packed)
    assert len(packed) < len(body)


def test_an_unchanged_file_is_not_sent_again() -> None:
    """Asked with its tag, a file costs no body; with another tag it is sent."""
    app = Pages(CONSOLE_FOLDER)
    _, headers, _ = ask(app, "/app.js")

    assert (304, b"") == ask(app, "/app.js", if_none_match=headers["etag"])[::2]
    assert 200 == ask(app, "/app.js", if_none_match='"other"')[0]


def test_head_has_no_body() -> None:
    """HEAD says how long the file is and sends nothing of it."""
    app = Pages(CONSOLE_FOLDER)
    status, headers, body = ask(app, "/", "HEAD")

    assert (200, b"") == (status, body)
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path",
    ["/none", "/__init__.py", "/web/pages.py", "/web/../pages.py", "/../app.js", "//app.js",
     "/web/vendor/", "/web", "/app.js\0", "/%2e%2e/app.js"],
)  # fmt: skip
def test_only_the_pages_are_handed_out(path: str) -> None:
    """Whatever the path says, nothing but the files of the pages is reachable."""
    status, headers, body = ask(Pages(CONSOLE_FOLDER), path)

    assert 404 == status
    assert "application/json" == headers["content-type"]
    assert body.startswith(b'{"status":404,"message":')


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_are_only_read(method: str) -> None:
    """Other methods are refused."""
    assert 405 == ask(Pages(CONSOLE_FOLDER), "/", method)[0]


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 405)])
def test_a_program_that_asks_the_wrong_face_is_told_where_to_look(method: str, status: int) -> None:
    """It has taken one API for another, and is not helped by hearing of pages."""
    found, _, body = ask(Pages(CONSOLE_FOLDER), "/api/workflow", method)

    assert status == found
    assert f"there is no {method} /api/workflow here; GET /api-docs".encode() in body


def test_other_protocols_are_left_alone() -> None:
    """A websocket or lifespan scope is not answered."""

    async def never(*_: Any) -> Any:
        raise AssertionError("nothing is read or sent")

    asyncio.run(Pages(CONSOLE_FOLDER)({"type": "lifespan"}, never, never))


def test_a_mounted_face_is_found_below_its_prefix() -> None:
    """Mounted elsewhere, paths count from there."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    scope = {"type": "http", "method": "GET", "path": "/box", "root_path": "/box", "headers": []}
    asyncio.run(Pages(CONSOLE_FOLDER)(scope, receive, send))

    assert 200 == sent[0]["status"]


def test_an_incomplete_package_is_named(tmp_path: Path) -> None:
    """A face without its first page does not start."""
    with pytest.raises(PagesMissing, match="install the package again"):
        Pages(tmp_path)


def test_a_folder_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """What does not belong into memory is not read into it."""
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "film.svg").write_bytes(b" " * (2 * 1024 * 1024 + 1))

    with pytest.raises(PagesTooLarge, match="exceed"):
        Pages(tmp_path)
