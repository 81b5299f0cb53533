"""What an HTTP task's input asks for, read into one request that can be sent.

Nothing is sent from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from edge.decider.java_text import java_text
from edge.model.definitions import JsonObject

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"

_DEFAULT_TIMEOUT_MS = 3000
_MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000
"""A day; nobody waits longer for one answer."""

_MAX_HEDGES = 10
"""Requests of one task that are under way at once."""

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")

_URI = re.compile(
    r"(?P<head>https?://[^/?#]+)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.IGNORECASE
)
_SAFE = "-._~!$&'()*+,;=:@/"
"""What may stand unescaped in a path; a query may hold a question mark too."""

_FAMILY = re.compile(r"[1-5]xx", re.IGNORECASE)
_CODE = re.compile(r"[1-5]\d\d")


class BadRequest(Exception):
    """The input describes no request; the message names the field."""


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, ready to be sent."""

    method: str
    uri: str
    """Encoded already."""
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes | None
    connect_timeout_s: float
    read_timeout_s: float
    """Silence of the other side that is borne, not the time of the whole answer."""
    accepted: frozenset[str] = frozenset({"2xx"})
    """Statuses, such as ``404``, and families, such as ``2xx``, that count as success."""
    attempts: int = 1
    """Requests sent at once, of which the first success counts."""

    def accepts(self, status: int) -> bool:
        """Whether an answer with this status is a success."""
        return str(status) in self.accepted or f"{status // 100}xx" in self.accepted

    @property
    def shown_uri(self) -> str:
        """The address without its query and its user, which may hold what is not for all eyes."""
        scheme, _, rest = self.uri.partition("?")[0].partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def request_values(values: JsonObject) -> JsonObject:
    """The part of a task's input that describes the request: nested, or the whole of it."""
    nested = values.get("http_request")
    if nested is None:
        return values
    return nested if isinstance(nested, dict) else {}


def read_request(values: JsonObject) -> HttpRequest:
    """Read what ``request_values`` gave.

    Raises:
        BadRequest: a field is missing or cannot be used. The first two messages are Conductor's.
    """
    if not values.get("uri"):
        raise BadRequest(
            "Missing HTTP URI.  See documentation for HttpTask for required input parameters"
        )
    if not values.get("method"):
        raise BadRequest("No HTTP method specified")
    method = str(values["method"]).upper()
    if method not in _METHODS:
        raise BadRequest(f"method: {method[:80]} is none of {', '.join(_METHODS)}")
    content_type = str(values.get("contentType") or _JSON)
    return HttpRequest(
        method=method,
        uri=_uri(str(values["uri"]), encode=_flag(values, "encode", default=True)),
        headers=_headers(values, content_type),
        content=_content(values.get("body"), content_type),
        connect_timeout_s=_milliseconds(values, "connectionTimeOut") / 1000,
        read_timeout_s=_milliseconds(values, "readTimeOut") / 1000,
        accepted=_accepted(values.get("acceptedStatusCodes")),
        attempts=_attempts(values.get("hedgingConfig")),
    )


def _uri(uri: str, *, encode: bool) -> str:
    match = _URI.match(uri.strip())
    if match is None:
        # What comes behind it may be a password.
        raise BadRequest(
            f"uri: must begin with http:// or https://, not {uri.partition(':')[0][:80]}"
        )
    head, path, query = match["head"], match["path"], match["query"]
    if encode:
        # As Conductor does: a percent sign is a character like any other, so what is encoded
        # already must say ``"encode": false``.
        path = quote(path, safe=_SAFE)
        query = query and quote(query, safe=_SAFE + "?")
    return head + path + ("" if query is None else f"?{query}")


def _headers(values: JsonObject, content_type: str) -> tuple[tuple[bytes, bytes], ...]:
    accept = values.get("accept") or _JSON
    accepted = ", ".join(map(java_text, accept)) if isinstance(accept, list) else java_text(accept)
    headers = {"accept": ("Accept", accepted), "content-type": ("Content-Type", content_type)}
    posted = values.get("headers")
    if posted is not None and not isinstance(posted, dict):
        raise BadRequest(f"headers: a map of names and values is needed, not {str(posted)[:80]}")
    for name, value in (posted or {}).items():
        if value is not None:
            # The author's own header replaces the one that would have been sent.
            headers[name.lower()] = (name, java_text(value))
    return tuple((name.encode(), value.encode()) for name, value in headers.values())


def _content(body: Any, content_type: str) -> bytes | None:
    """The body as bytes: a text as it is, a map as a form where that is asked for, else JSON."""
    if body is None:
        return None
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict) and content_type.partition(";")[0].strip().lower() == _FORM:
        return urlencode(_form_fields(body)).encode()
    return msgspec.json.encode(body)


def _form_fields(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lists repeat their name, nulls are left out, maps go as JSON."""
    fields: list[tuple[str, str]] = []
    for name, value in body.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                is_json = isinstance(one, dict | list)
                text = msgspec.json.encode(one).decode() if is_json else java_text(one)
                fields.append((name, text))
    return fields


def _milliseconds(values: JsonObject, field: str) -> float:
    """A time-out; nothing, or nothing above zero, is the default."""
    value = values.get(field)
    if value is None:
        return _DEFAULT_TIMEOUT_MS
    number = whole_number(value)
    if number is None:
        raise BadRequest(f"{field}: {str(value)[:80]!r} is no number of milliseconds")
    return min(number, _MAX_TIMEOUT_MS) if number > 0 else _DEFAULT_TIMEOUT_MS


def _flag(values: JsonObject, field: str, *, default: bool) -> bool:
    value = values.get(field)
    if value is None:
        return default
    text = java_text(value).lower()
    if text not in ("true", "false"):
        raise BadRequest(f"{field}: {str(value)[:80]!r} is neither true nor false")
    return text == "true"


def _accepted(value: Any) -> frozenset[str]:
    if value is None or value == []:
        return frozenset({"2xx"})
    found = set()
    for one in value if isinstance(value, list) else [value]:
        text = java_text(one).strip().lower()
        if not _FAMILY.fullmatch(text) and not _CODE.fullmatch(text):
            raise BadRequest(
                f"acceptedStatusCodes: {text[:80]!r} is neither a status such as 404 nor a family "
                "such as 4xx"
            )
        found.add(text)
    return frozenset(found)


def _attempts(config: Any) -> int:
    value = config.get("maxAttempts") if isinstance(config, dict) else None
    if value is None:
        return 1
    number = whole_number(value)
    if number is None or not 1 <= number <= _MAX_HEDGES:
        raise BadRequest(f"hedgingConfig.maxAttempts: 1 to {_MAX_HEDGES}, not {str(value)[:80]!r}")
    return number


def whole_number(value: Any) -> int | None:
    """A whole number, also one that an expression has turned into a text; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,15}(\.0*)?\s*", value, re.ASCII):
        return int(float(value))
    return None
