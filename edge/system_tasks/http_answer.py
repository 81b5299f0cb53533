"""What came back over HTTP: read under a limit, and typed as Conductor types it.

No connection is opened here.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from edge.model.definitions import JsonObject

ANSWER_LIMIT_BYTES = 10 * 1024 * 1024
"""A larger body fits no task's output; Conductor's hard limit of one is the same."""

_IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""Bodies of all requests under way together; what goes beyond is tried again later."""

_MAX_NESTING = 100
"""Maps and lists inside each other; a body that goes deeper stays text, because whoever follows a
value through the engine steps down with it."""

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]+)", re.IGNORECASE)
_NEWLINE = re.compile(r"[\r\n]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class HttpFailed(Exception):
    """No answer that counts as a success; the message is what Conductor's exception says.

    Tree: HttpFailed <- AnswerTooLarge.
    """


class AnswerTooLarge(HttpFailed):
    """The body is larger than a task's output can be; to ask again would not make it smaller."""


class Room:
    """Memory for the bodies that are being read, shared by all requests."""

    def __init__(self, limit_bytes: int = _IN_FLIGHT_BYTES) -> None:
        self._left = limit_bytes

    def take(self, size: int) -> None:
        """Take so many bytes. Raises HttpFailed when there are no more."""
        self._left -= size
        if self._left < 0:
            raise HttpFailed("too many large answers are being read at once; try again later")

    def give(self, size: int) -> None:
        """Give back what was taken, also by a ``take`` that raised."""
        self._left += size


async def read_body(chunks: AsyncIterator[bytes], encoding: str, room: Room) -> bytes:
    """A whole body.

    Args:
        chunks: as they came over the wire.
        encoding: the Content-Encoding header.
        room: what is read counts against it while it is being read.

    Raises:
        AnswerTooLarge: there is more than the limit; the rest is not read.
        HttpFailed: it is not compressed as it says, or memory is short.
    """
    unpack = _Unpacking(encoding)
    content, taken = bytearray(), 0
    try:
        async for chunk in chunks:
            part = unpack(chunk, ANSWER_LIMIT_BYTES + 1 - len(content))
            taken += len(part)
            room.take(len(part))
            content += part
            if len(content) > ANSWER_LIMIT_BYTES:
                raise AnswerTooLarge(f"the answer is larger than {ANSWER_LIMIT_BYTES} bytes")
        unpack.end()
        return bytes(content)
    finally:
        room.give(taken)


class _Unpacking:
    """Undoes gzip, never making more than was asked for out of a small packet."""

    def __init__(self, encoding: str) -> None:
        packed = encoding.strip().lower() in ("gzip", "x-gzip")
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed else None
        self._begun = False

    def __call__(self, chunk: bytes, most: int) -> bytes:
        """The part of the body that a packet holds, at most so many bytes of it."""
        if self._gzip is None:
            return chunk
        self._begun = True
        if self._gzip.eof:
            # As browsers and httpx do it: the first member is the body. What is behind it would
            # be kept by zlib, beyond every limit.
            return b""
        try:
            return self._gzip.decompress(chunk, most)
        except zlib.error as error:
            raise HttpFailed(f"the answer is not compressed as it says: {error}") from error

    def end(self) -> None:
        """Nothing more comes. Raises HttpFailed when something is missing."""
        if self._gzip is not None and self._begun and not self._gzip.eof:
            raise HttpFailed("the compressed answer was cut short")


def header_map(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """Headers by name, each with all its values; names as they were sent, the first spelling."""
    spelled: dict[str, str] = {}
    headers: dict[str, list[str]] = {}
    for name_bytes, value in raw:
        name = name_bytes.decode("latin-1")
        name = spelled.setdefault(name.lower(), name)
        headers.setdefault(name, []).append(value.decode("latin-1"))
    return headers


def phrase_of(status: int, sent: str) -> str:
    """The phrase of a status; the sent one only where the standard has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return sent


def text_of(content: bytes, content_type: str) -> str:
    """A body as text: by its charset, else UTF-8, else byte by byte, so that nothing is lost."""
    match = _CHARSET.search(content_type)
    if match is not None:
        try:
            return content.decode(codecs.lookup(match[1]).name, errors="replace")
        except (LookupError, UnicodeError):
            # An unknown charset, or a codec that is none of texts.
            pass
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def typed(text: str) -> Any:
    """A body's value: objects and lists as such, numbers as doubles, all else as text."""
    if not text:
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        return text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _double(value, text)
    if value is None or isinstance(value, bool) or _too_deep(value):
        return text.strip()
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_NESTING):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _double(value: float, text: str) -> float | str:
    try:
        return float(value)
    except OverflowError:
        return text


def response(
    status: int, phrase: str, headers: dict[str, list[str]], content: bytes, content_type: str
) -> JsonObject:
    """An answer as the output of a task shows it."""
    return {
        "body": typed(text_of(content, content_type)),
        "headers": headers,
        "statusCode": status,
        "reasonPhrase": phrase,
    }


def refusal(status: int, phrase: str, request: str, text: str) -> str:
    """What is said of a status that is no success, in the words of Spring, which clients match on.

    Args:
        status, phrase: of the answer.
        request: method and address, as ``about`` says it.
        text: the body.
    """
    body = f'"{_one_line(text)}"' if text else "[no body]"
    return f"{status} {phrase} on {request}: {body}"


def about(method: str, uri: str) -> str:
    """A request by its method and address."""
    return f'{method} request for "{uri}"'


def _one_line(text: str) -> str:
    return _CONTROL.sub("?", _NEWLINE.sub("<EOL>", text))
