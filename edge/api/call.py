"""One request as endpoints see it: path and query texts, the body under its limit, the way back.

No endpoint and no answer is built here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from edge.api.guard import Guard
from edge.api.house import House
from edge.model.access import Caller
from edge.model.errors import InvalidInput, PayloadTooLarge
from edge.model.validation import decoded

_MAX_PARAMETERS = 2_000
"""Query parameters of one request; more are refused. A list of 1,000 task types still fits."""

_PLAIN_PARAMETERS = 20
"""A query with no more, and with nothing encoded, is read without the long way round."""

_SHORT_QUERY = 160
"""Bytes of a query of a hot route that is remembered as it was read."""

_MAX_PATH_DIGITS = 9
"""Of a number in a path: those are versions."""

_LARGEST_INT = 2**53
"""Whole numbers in a query are times or small counts; this is what JavaScript can hold."""


class Call:
    """A request on its way through an endpoint."""

    __slots__ = ("_admitted", "_query", "house", "params", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, house: House) -> None:
        self.scope = scope
        self.receive = receive
        self.house = house
        self.params: dict[str, str] = {}
        self._query: dict[str, list[str]] | None = None
        self._admitted: tuple[Caller, str] | None = None

    # Who asks.

    def admit(self, admitted: tuple[Caller, str] | None) -> None:
        """The guard has let the request pass, made by this caller with this key."""
        self._admitted = admitted

    @property
    def guard(self) -> Guard:
        """Where callers are asked for a token."""
        assert self.house.guard is not None, "this operation exists only where there is a guard"
        return self.house.guard

    @property
    def caller(self) -> Caller:
        """Who makes the request."""
        assert self._admitted is not None, "this operation is never asked without a token"
        return self._admitted[0]

    @property
    def key_id(self) -> str:
        """The access key that the caller's token was given for."""
        assert self._admitted is not None, "this operation is never asked without a token"
        return self._admitted[1]

    @property
    def author(self) -> str | None:
        """Who makes the request, where that is asked."""
        return None if self._admitted is None else self._admitted[0].id

    # The path.

    def path_number(self, name: str) -> int:
        """One whole number of the path.

        Raises:
            InvalidInput: it is something else, or larger than any number that is meant.
        """
        text = self.params[name]
        # To Python, "²" is a digit as well, and of no number.
        if not text.isascii() or not text.isdigit() or len(text) > _MAX_PATH_DIGITS:
            raise InvalidInput(f"{name}: {text[:80]!r} is not a whole number")
        return int(text)

    # The query. Empty values count as absent and unknown names are ignored, as in Conductor.

    @property
    def query(self) -> dict[str, list[str]]:
        """All query values by name, without the empty ones."""
        if self._query is None:
            self._query = _read_query(self.scope["query_string"])
        return self._query

    def text(self, name: str, default: str | None = None) -> str | None:
        """One text of the query."""
        values = self.query.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        """A list of the query: the name may be repeated, and a value may hold commas."""
        return [part for value in self.query.get(name, ()) for part in value.split(",") if part]

    def required(self, name: str) -> str:
        """One text that must be there.

        Raises:
            InvalidInput: it is missing.
        """
        value = self.text(name)
        if value is None:
            raise InvalidInput(f"Required request parameter '{name}' is not present")
        return value

    def number(self, name: str, default: int) -> int:
        """One whole number of the query.

        Raises:
            InvalidInput: it is something else, or larger than any number that is meant.
        """
        value = self.optional_number(name)
        return default if value is None else value

    def optional_number(self, name: str) -> int | None:
        """One whole number of the query, None when absent.

        Raises:
            InvalidInput: it is something else, or larger than any number that is meant.
        """
        value = self.text(name)
        if value is None:
            return None
        try:
            # Python refuses to read more than 4,300 digits by itself.
            number = int(value)
        except ValueError as error:
            raise InvalidInput(f"{name}: {value[:80]!r} is not a whole number") from error
        if abs(number) > _LARGEST_INT:
            raise InvalidInput(f"{name}: {value[:80]!r} is out of range")
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        """One truth value of the query; Python clients write ``True``, others ``true``.

        Raises:
            InvalidInput: it is neither true nor false.
        """
        value = self.text(name)
        if value is None:
            return default
        lowered = value.lower()
        if lowered in ("true", "false"):
            return lowered == "true"
        raise InvalidInput(f"{name}: {value[:80]!r} is neither true nor false")

    def header(self, name: bytes) -> str | None:
        """One header by its lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text
        return None

    # The body.

    async def body(self) -> bytes:
        """The whole body, however it is framed.

        Raises:
            PayloadTooLarge: it is larger than the limit; the rest of it is not read.
            ClientGone: the client went away before it was complete.
        """
        limit = self.house.body_limit_bytes
        announced = self.header(b"content-length")
        if announced is not None and announced.isdecimal() and int(announced) > limit:
            raise _too_large(limit)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            # Nothing at all has come: that is no empty body, which many operations take.
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise _too_large(limit)
            return body
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await self.receive()
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        if message["type"] == "http.disconnect":
            raise ClientGone
        return b"".join(parts)

    async def parts(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it arrives, for those who do not want it whole in memory.

        Args:
            limit: bytes that it may have.

        Raises:
            PayloadTooLarge: it has more; the rest of it is not read.
            ClientGone: the client went away before it was complete.
        """
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            yield part

    async def document(self, default: Any = None) -> Any:
        """The body as JSON.

        Args:
            default: what no body at all stands for.

        Raises:
            InvalidInput: it is no JSON; the message names the position.
            PayloadTooLarge: it is larger than the limit.
        """
        body = await self.body()
        if not body.strip():
            return default
        return decode(body)

    async def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; no body and ``null`` are the empty one.

        Raises:
            InvalidInput: it is something else.
            PayloadTooLarge: it is larger than the limit.
        """
        document = await self.document()
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise InvalidInput(f"Expected a JSON object, got {_kind(document)}")
        return document

    async def json_list(self) -> list[Any]:
        """The body as a JSON list.

        Raises:
            InvalidInput: it is something else.
            PayloadTooLarge: it is larger than the limit.
        """
        document = await self.document()
        if not isinstance(document, list):
            raise InvalidInput(f"Expected a JSON list, got {_kind(document)}")
        return document

    # The way back.

    def gone(self) -> bool:
        """Whether the client has closed its connection by now; asks without waiting.

        The receiving coroutine is moved on by hand for one step: when it would have to wait, the
        client is still there. A task and a timeout for that question would cost more than the rest
        of a poll.
        """
        for _ in range(2):
            # The first message may still be the end of an empty body.
            waiting = self.receive().__await__()
            try:
                next(waiting)
            except StopIteration as stop:
                if stop.value["type"] == "http.disconnect":
                    return True
            else:
                waiting.close()
                return False
        return False


class Known:
    """The head of requests that come again and again; nothing in it depends on the body.

    Args:
        scope: of the first of them.
    """

    def __init__(self, scope: Scope) -> None:
        self.headers: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            # Of several the first counts, as everywhere.
            self.headers.setdefault(name, value.decode("latin-1"))
        kept = ("type", "method", "path", "raw_path", "headers")
        self.scope: Scope = {name: scope[name] for name in kept}


class DirectCall(Call):
    """A request whose head is known and whose body is there: nothing is waited for.

    Args:
        known: the head.
        query: as it was sent.
        body: whole, and shorter than the limit of any device.
        gone: says whether the client has hung up.
        house: the rooms around the API.
    """

    __slots__ = ("_body", "_gone", "_headers", "_raw_query")

    def __init__(
        self, known: Known, query: bytes, body: bytes, *, gone: Callable[[], bool], house: House
    ) -> None:
        # Not that of Call, on which as much would be spent again: each request comes by here.
        self.scope = known.scope
        self.house = house
        self.params = {}
        self._query = None
        self._admitted = None
        self._headers = known.headers
        self._raw_query = query
        self._body = body
        self._gone = gone

    @property
    def query(self) -> dict[str, list[str]]:
        """All query values by name, without the empty ones."""
        if self._query is None:
            raw = self._raw_query
            self._query = _known_query(raw) if len(raw) <= _SHORT_QUERY else _read_query(raw)
        return self._query

    def header(self, name: bytes) -> str | None:
        """One header by its lower-case name."""
        return self._headers.get(name)

    async def body(self) -> bytes:
        """The whole body. Raises PayloadTooLarge when it is larger than the limit."""
        if len(self._body) > self.house.body_limit_bytes:
            raise _too_large(self.house.body_limit_bytes)
        return self._body

    def gone(self) -> bool:
        """Whether the client has closed its connection by now."""
        return self._gone()


class ClientGone(Exception):
    """The client went away before its body was complete; nobody is left to answer."""


def _read_query(raw: bytes) -> dict[str, list[str]]:
    """All values by name, without the empty ones. Raises InvalidInput when there are too many."""
    query: dict[str, list[str]] = {}
    if b"%" not in raw and b"+" not in raw and raw.count(b"&") < _PLAIN_PARAMETERS:
        # As below, in a tenth of its time: every poll comes by here.
        for part in raw.decode("latin-1").split("&"):
            name, _, value = part.partition("=")
            if value:
                query.setdefault(name, []).append(value)
        return query
    try:
        pairs = parse_qsl(raw.decode("latin-1"), max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise InvalidInput(f"Cannot read the query: {error}") from error
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


@lru_cache(maxsize=2_048)
def _known_query(raw: bytes) -> dict[str, list[str]]:
    """The same, kept, for a worker's polls are all alike. Whoever is given it must not change it."""
    return _read_query(raw)


def decode(body: bytes) -> Any:
    """JSON text as Python values.

    Raises:
        InvalidInput: it is no JSON, or nested too deeply; the message names the position.
    """
    try:
        return decoded(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        text = malformed(error)
        where = "" if "(byte " in text or "position" in text else f" (byte {len(body)})"
        raise InvalidInput(text + where) from error
    except RecursionError as error:
        raise InvalidInput("JSON is nested too deeply") from error


def malformed(error: Exception) -> str:
    """The message for a body that is no JSON."""
    text = str(error)
    if isinstance(error, UnicodeError):
        return f"JSON is malformed: {text}"
    return text if text.startswith("JSON is malformed") else f"JSON is malformed: {text}"


def _kind(document: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return names.get(type(document), "null" if document is None else "a number")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than the limit of {limit} bytes")
