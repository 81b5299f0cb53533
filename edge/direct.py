"""The busiest requests, answered in the server's protocol without a way through ASGI.

Which requests those are is said by the application; everything unusual goes the ordinary way. No
head of a request is parsed here: one that the server's parser has read before means the same when
it comes again, byte for byte, and a client on a kept connection sends the same heads for ever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from starlette.types import Receive, Scope, Send

from edge import imports
from edge.responses import Response
from edge.upgrades import PlainProtocol

with imports.bare("uvicorn"):
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Answers = Callable[[bytes, bytes, Callable[[], bool]], Awaitable[Response | None]]
"""Answers one kind of request: is given the query, the body, and what says whether the client has
gone; None = nobody is left to answer."""

_HEADS = 512
"""Heads that are known; a worker sends two or three. When there are more, all are forgotten and
those in use are learned again: each costs one request the ordinary way."""

_HEAD_BYTES = 2_048
"""Of a head that is learned."""

_HEADERS = 32
"""Of a head that is learned: each is kept as it was read, too, and that takes more than its bytes.
All heads together take a few megabytes at most, whoever sends them."""

_BODY_BYTES = 65_536
"""Of a body that is taken whole; the server reads longer ones in pieces as they are wanted."""

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,9})\r\n")
"""The part of a head that differs from request to request."""

_QUERY = re.compile(rb"[A-Z]+ [^?#\s]*\?([-\w.~%&=+,:;@/!*$'()?]*) HTTP/1\.1\r\n")
"""And the part that differs from worker to worker: thousands of them may poll. What is in it is read
by whoever answers; characters that a parser might take for its end are none of it."""

_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})
"""Headers that ask for more than an answer to a body of known length."""

_FAILED = (
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\nconnection: close\r\n\r\n"
    b"Internal Server Error"
)


@runtime_checkable
class DirectApp(Protocol):
    """An application some of whose requests need no ASGI."""

    def recognise(self, scope: Scope) -> Answers | None:
        """What answers a request and all others with this head; None = the ordinary way does."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request the ordinary way."""
        ...


class Heads:
    """The heads that are known, and what answers them. All connections of a server share them.

    Args:
        app: says which are worth knowing.
    """

    def __init__(self, app: DirectApp) -> None:
        self._app = app
        self._known: dict[bytes, Answers] = {}
        self.find = self._known.get
        """What answers a head without its query and the length of its body; None = it is unknown."""
        self.answered = 0
        """Requests that were answered directly."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The headers that every answer has, as they are sent; they change once a second."""
        if headers is not self._headers:
            self._headers = headers
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._lines

    def learn(self, key: bytes, cut: tuple[bytes, int], scope: Scope, url: bytes) -> None:
        """Know a head from now on, if it is of the kind that may be.

        Args:
            key: its bytes, but for what was cut out.
            cut: the query, empty when there is none, and the length of the body, 0 when none is
                told.
            scope: what the server's parser has read in it.
            url: likewise.
        """
        if len(key) > _HEAD_BYTES or len(scope["headers"]) > _HEADERS:
            return
        if not _says(key, cut, scope, url):
            return
        answers = self._app.recognise(scope)
        if answers is not None:
            if len(self._known) >= _HEADS:
                self._known.clear()
            self._known[key] = answers


def _says(key: bytes, cut: tuple[bytes, int], scope: Scope, url: bytes) -> bool:
    """Whether a head is plain, and says line by line what the parser has read in it."""
    first, *lines = key.split(b"\r\n")
    query, length = cut
    target = url.removesuffix(query) if b"?" in url else url
    if first != scope["method"].encode() + b" " + target + b" HTTP/1.1":
        return False
    if query != scope["query_string"] or lines[-2:] != [b"", b""]:
        return False
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(lines) - 2 != len(headers):
        return False
    for line, (name, value) in zip(lines, headers, strict=False):
        found, colon, text = line.partition(b":")
        if not colon or found.lower() != name or name in _UNUSUAL:
            return False
        if name == b"content-length":
            # Where the digits are still there, the length has a form that is not understood.
            if text != b" " or not value.isdigit() or int(value) != length:
                return False
        elif text.strip(b" \t") != value.strip(b" \t"):
            return False
        if name == b"connection" and value.lower() != b"keep-alive":
            return False
    return sum(name == b"content-length" for name, _ in headers) <= 1


def _cut(data: bytes, end: int) -> tuple[bytes, bytes, int]:
    """A head without its query and the length of its body; the query; the length.

    Args:
        data: begins with it.
        end: where it ends.
    """
    key, query, length = data[:end], b"", 0
    found = _LENGTH.search(key)
    if found is not None:
        first, last = found.span(1)
        key, length = key[:first] + key[last:], int(key[first:last])
    asked = _QUERY.match(key)
    if asked is not None:
        first, last = asked.span(1)
        key, query = key[:first] + key[last:], key[first:last]
    return key, query, length


class _Asked(NamedTuple):
    """A request whose body is still coming."""

    answers: Answers
    query: bytes
    body: bytearray
    """What has come of it."""
    length: int
    """Of all of it."""


class DirectProtocol(PlainProtocol):
    """One connection. It has at most one request that is answered directly, or uvicorn has it.

    Args:
        heads: shared with the other connections.
        more: what uvicorn gives its protocols.
    """

    def __init__(self, *, heads: Heads, **more: Any) -> None:
        super().__init__(**more)
        self._heads = heads
        self._between = True
        """Whether the parser stands between two requests."""
        self._begun = 0
        """Requests that the parser has seen the beginning of."""
        self._task: asyncio.Task[None] | None = None
        """The request that is being answered directly."""
        self._asked: _Asked | None = None
        """One whose body has not come whole."""
        self._rest = b""
        """What has come behind a request that is being answered; nothing is read meanwhile."""
        self._is_last = False
        self._is_full = False
        """Whether the client does not fetch its answers: it gets no more before it does."""
        self._quiet_since_s = 0.0
        self._quiet: asyncio.TimerHandle | None = None

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        """Take a request that is known; let the server have all else."""
        if self._task is not None or self._is_full:
            self._rest += data
            self.flow.pause_reading()
        elif self._asked is not None:
            self._take_more(data)
        elif self._is_ordinary():
            super().data_received(data)
        else:
            self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has hung up."""
        super().connection_lost(exc)
        self._asked, self._rest = None, b""
        if self._quiet is not None:
            self._quiet.cancel()

    def resume_writing(self) -> None:
        """The client has fetched what was waiting for it."""
        super().resume_writing()
        if self._is_full:
            self._is_full = False
            self._go_on()

    def shutdown(self) -> None:
        """Answer what has been asked, then hang up."""
        if self._task is not None or self._asked is not None:
            self._is_last = True
        else:
            super().shutdown()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._between = False
        self._begun += 1
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._between = True
        super().on_message_complete()

    # A request.

    def _is_ordinary(self) -> bool:
        """Whether a request is under way that uvicorn has."""
        # There is none before the first of them, whatever its type says.
        cycle: RequestResponseCycle | None = self.cycle
        return not self._between or (cycle is not None and not cycle.response_complete)

    def _take(self, data: bytes) -> None:
        """The first bytes of a request, mostly the whole of it."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            super().data_received(data)
            return
        key, query, length = _cut(data, end)
        answers = self._heads.find(key)
        if answers is None or length > _BODY_BYTES:
            begun = self._begun
            super().data_received(data)
            if answers is None and self._begun == begun + 1 and "path" in self.scope:
                self._heads.learn(key, (query, length), cast(Scope, self.scope), self.url)
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        missing = length - (len(data) - end)
        if not missing:
            self._begin(answers, query, data[end:])
        elif missing > 0:
            self._asked = _Asked(answers, query, bytearray(data[end:]), length)
            self._expect_more()
        else:
            self._rest = data[end + length :]
            self.flow.pause_reading()
            self._begin(answers, query, data[end : end + length])

    def _take_more(self, data: bytes) -> None:
        """More of a body. Clients send head and body with two writes more often than with one."""
        assert self._asked is not None
        answers, query, body, length = self._asked
        body += data
        self._unset_keepalive_if_required()
        if len(body) < length:
            self._expect_more()
            return
        self._asked = None
        if len(body) > length:
            self._rest = bytes(body[length:])
            self.flow.pause_reading()
        self._begin(answers, query, bytes(body[:length]))

    def _begin(self, answers: Answers, query: bytes, body: bytes) -> None:
        # It is among the server's tasks, which it ends when it is told to stop.
        self._task = self.loop.create_task(
            self._answer(answers(query, body, self.transport.is_closing))
        )
        self.tasks.add(self._task)

    async def _answer(self, answer: Awaitable[Response | None]) -> None:
        try:
            response = await answer
            self._heads.answered += 1
            if response is not None:
                self._write(response)
        except asyncio.CancelledError:
            # The application answers for its own faults: this is the end of the daemon.
            if not self.transport.is_closing():
                self.transport.write(
                    STATUS_LINE[500]
                    + self._heads.lines(self.server_state.default_headers)
                    + _FAILED
                )
                self.transport.close()
            raise
        finally:
            if self._task is not None:
                self.tasks.discard(self._task)
            self._task = None
        self.server_state.total_requests += 1
        self._go_on()

    def _write(self, response: Response) -> None:
        """An answer in one piece; its head is what the server would have made of it."""
        if self.transport.is_closing():
            return
        lines = self._heads.lines(self.server_state.default_headers)
        head, closes = [STATUS_LINE[response.status_code], lines], False
        for name, value in response.raw_headers:
            head += (name, b": ", value, b"\r\n")
            closes = closes or (name == b"connection" and value == b"close")
        if self._is_last and not closes:
            head.append(b"connection: close\r\n")
        head.append(b"\r\n")
        self.transport.write(b"".join(head) + response.body)
        if closes or self._is_last:
            self.transport.close()

    def _go_on(self) -> None:
        """The request is answered: what comes next on this connection."""
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._is_full = True
            self.flow.pause_reading()
            return
        self.flow.resume_reading()
        if self._rest:
            rest, self._rest = self._rest, b""
            self.data_received(rest)
            return
        self._quiet_since_s = self.loop.time()
        if self._quiet is None:
            self._quiet = self.loop.call_later(self.timeout_keep_alive, self._look)

    def _look(self) -> None:
        """Hang up on a client that has been silent for long: one timer, not one for each request."""
        self._quiet = None
        busy = self._task is not None or self._asked is not None or self._is_ordinary()
        # Who has answers left to fetch is not silent.
        busy = busy or self._is_full
        if busy or self.timeout_keep_alive_task is not None or self.transport.is_closing():
            # Whoever is busy looks again afterwards, and uvicorn has a timer of its own.
            return
        left_s = self._quiet_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._quiet = self.loop.call_later(left_s, self._look)
        else:
            self.transport.close()
