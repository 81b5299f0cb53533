"""Answers are sent as starlette would send them, which sends those that are not in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette import responses as theirs
from starlette.types import ASGIApp, Message

from edge.responses import FileResponse, RedirectResponse, Response, StreamingResponse


def _sent(app: ASGIApp, **headers: str) -> list[Message]:
    """What an answer sends for a request."""
    sent: list[Message] = []
    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": named}

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody hangs up")

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent


def _content(sent: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"content": b"x", "media_type": "text/plain"},
        {"content": "ü".encode(), "media_type": "text/html; charset=utf-8"},
        {"content": b"{}", "media_type": "application/json", "status_code": 404},
        {"status_code": 204},
        {"status_code": 304, "headers": {"ETag": '"1"'}},
        {"content": b"x", "headers": {"Cache-Control": "no-store", "X-A": "1"}},
    ],
)
def test_one_piece_is_sent_as_by_starlette(said: dict[str, Any]) -> None:
    """Status, headers in their order, and body."""
    assert _sent(theirs.Response(**said)) == _sent(Response(**said))


def test_more_may_be_said_later() -> None:
    """As long as it is not sent."""
    answer = Response(b"x")
    answer.add({"Retry-After": "1"})

    assert [(b"content-length", b"1"), (b"retry-after", b"1")] == answer.raw_headers


def test_a_redirect_says_where() -> None:
    """And nothing else."""
    (start, _) = _sent(RedirectResponse("/a/b.html", 302))
    (known, _) = _sent(theirs.RedirectResponse("/a/b.html", 302))

    assert sorted(known.pop("headers")) == sorted(start.pop("headers"))
    assert known == start


def test_a_file_is_sent_whole_or_in_part(tmp_path: Path) -> None:
    """A range is asked for by whoever plays a film."""
    path = tmp_path / "film"
    path.write_bytes(bytes(range(100)))
    answer = FileResponse(path, media_type="video/mp4", headers={"X-A": "1"})
    whole, part = _sent(answer), _sent(answer, range="bytes=10-19")

    assert (200, 206) == (whole[0]["status"], part[0]["status"])
    assert bytes(range(100)) == _content(whole)
    assert bytes(range(10, 20)) == _content(part)
    assert {(b"x-a", b"1"), (b"content-type", b"video/mp4")} <= set(whole[0]["headers"])


def test_a_stream_is_sent_bit_by_bit() -> None:
    """Each bit by itself, with the headers first."""

    async def bits() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    sent = _sent(StreamingResponse(bits(), media_type="text/event-stream"))

    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]
    assert [b"a", b"b"] == [message["body"] for message in sent[1:3]]
