"""The rim around each request: security headers, and failures that are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from sync.control_plane.answers import Rim, error_answer
from sync.web.pages import SECURITY_HEADERS

App = Callable[[Any, Any, Any], Awaitable[None]]


def pass_through(app: App, kind: str = "http") -> list[dict[str, Any]]:
    """The messages that leave the rim for one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": kind, "method": "GET", "path": "/x", "headers": []}
    asyncio.run(Rim(app)(scope, receive, send))
    return sent


def test_an_error_is_a_status_and_a_message() -> None:
    """Status and body say the same."""
    answer = error_answer(404, "not here")

    assert 404 == answer.status_code
    assert {"status": 404, "message": "not here"} == msgspec.json.decode(answer.body)


def test_headers_that_are_there_are_kept() -> None:
    """What an endpoint says for itself is stricter and wins; the rest is added."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        own = [(b"Content-Security-Policy", b"default-src 'none'")]
        await send({"type": "http.response.start", "status": 200, "headers": own})

    headers = pass_through(app)[0]["headers"]

    assert [b"default-src 'none'"] == [
        value for name, value in headers if name.lower() == b"content-security-policy"
    ]
    assert len(SECURITY_HEADERS) == len(headers)


def test_a_failure_is_answered() -> None:
    """An endpoint that raises becomes a 500 with the usual body."""

    async def app(*_: Any) -> None:
        raise ValueError("secret detail")

    sent = pass_through(app)

    assert 500 == sent[0]["status"]
    assert b"secret" not in sent[1]["body"]


def test_an_answer_that_has_begun_is_cut_short() -> None:
    """No second answer is put behind the first part of one."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError

    assert ["http.response.start"] == [message["type"] for message in pass_through(app)]


def test_other_protocols_pass_untouched() -> None:
    """What is not a request has no headers to guard."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    assert [{"type": "lifespan.startup.complete"}] == pass_through(app, kind="lifespan")
