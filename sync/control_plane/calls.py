"""A request of the control plane's API as its endpoints see it: who asks, for whom, and what.

Nothing is decided here and nothing is asked of the ledger. What cannot be read is refused with the
name of the field and what it may be.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sync import topics
from sync.control_plane.access import ALL, Area, Caller, Role

T = TypeVar("T")

PAGE_LIMIT = 500
BODY_LIMIT_BYTES = 1_000_000
"""The largest definition that anybody pushes is far below it."""
TEXT_LIMIT = 200
"""Characters of a filter; nothing anyone types is longer."""
QUERY_LIMIT = 1_000

ID_PATTERN = r"^[A-Za-z0-9_-]+$"
TAG_PATTERN = r"^[^\s,\"]+$"
_PATTERNS = {
    ID_PATTERN: "of letters, digits, - and _",
    TAG_PATTERN: "without spaces, commas and quotes",
}
"""What the patterns of fields say, in words."""
_PATTERN = re.compile(r"matching regex (.*?)(?=$| - at)")
_NO_CHOICE = "Invalid enum value"
_TENANT_HEADER = "x-baton-tenant"
_OWN = "/api/v1/"


class Call:
    """One request that was let in.

    Args:
        request: of Starlette.
        caller: whose it is.
        default_tenant: whose devices are meant when nothing is said.
    """

    def __init__(self, request: Request, caller: Caller, default_tenant: str) -> None:
        self.request = request
        self.caller = caller
        self.default_tenant = default_tenant
        """Whose devices are meant when nothing is said."""

    @property
    def tenant(self) -> str:
        """Whose devices are meant.

        Raises:
            HTTPException: the token is another tenant's.
        """
        query = self.request.query_params.get("tenant", "")
        said = query or self.request.headers.get(_TENANT_HEADER, "")
        own = self.caller.tenant
        if said and own not in (ALL, said):
            raise HTTPException(403, f"tenant: this token is for the tenant {own}")
        if own != ALL:
            return own
        return checked_name("tenant", said) if said else self.default_tenant

    def part(self, name: str) -> str:
        """A part of the path."""
        text: str = self.request.path_params[name]
        return text

    def text(self, name: str, *, longest: int = TEXT_LIMIT) -> str | None:
        """A filter of the query; empty means that it does not apply."""
        value = self.request.query_params.get(name, "").strip()
        if len(value) > longest:
            raise HTTPException(400, f"{name} may have at most {longest} characters")
        return value or None

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """A number of the query."""
        text = self.request.query_params.get(name, "")
        if not text:
            return default
        if not re.fullmatch(r"-?[0-9]{1,16}", text) or not least <= int(text) <= most:
            raise HTTPException(400, f"{name} must be a number from {least} to {most}")
        return int(text)

    def flag(self, name: str) -> bool:
        """A yes or no of the query; it is no when nothing is said."""
        text = self.request.query_params.get(name, "")
        if text not in ("", "true", "false"):
            raise HTTPException(400, f"{name} must be true or false")
        return text == "true"

    def limit(self, default: int = 50) -> int:
        """How long a page shall be."""
        return self.number("limit", default=default, least=1, most=PAGE_LIMIT)

    async def raw(self) -> bytes:
        """The body, as far as it may reach."""
        found = bytearray()
        async for chunk in self.request.stream():
            found += chunk
            if len(found) > BODY_LIMIT_BYTES:
                raise HTTPException(413, f"the body may have at most {BODY_LIMIT_BYTES} bytes")
        return bytes(found)

    async def body(self, kind: type[T]) -> T:
        """The body as what is expected.

        Raises:
            HTTPException: it is something else; the message names the field.
        """
        content = await self.raw()
        try:
            return msgspec.json.decode(content or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise HTTPException(400, spoken(error, kind)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPException(400, f"the body is not valid JSON: {error}") from error


Endpoint = Callable[[Call], Awaitable[Response]]


class Operation(msgspec.Struct, frozen=True):
    """One line of the route table."""

    method: str
    path: str
    """As Starlette writes it: ``{name}`` and ``{name:path}``."""
    endpoint: Endpoint
    area: Area | None
    """None = nobody is asked for a token."""
    role: Role = Role.VIEWER
    query: tuple[str, ...] = ()
    """Names of the parameters of the query."""
    body: Any = None
    """Type of the body; None = there is none."""
    answer: Any = None
    """Type of the answer; None = it is described in words."""
    any_area: bool = False
    """Whether a token that is held to other areas may ask, too."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """All of its parameters; what is of one tenant can be asked of another's."""
        of_tenant = self.area not in (None, Area.ACCESS, Area.AUDIT)
        return (*self.query, "tenant") if of_tenant and "tenant" not in self.query else self.query


def refuse_unread(request: Request, operation: Operation) -> None:
    """Refuse parameters of the query that nobody reads: a filter that is misspelt would show all.

    Only in our own API: Conductor passes over those that it does not know, and so do probes.

    Raises:
        HTTPException: the message names the parameter.
    """
    if not operation.path.startswith(_OWN):
        return
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in operation.parameters:
            known = ", ".join(sorted(operation.parameters))
            raise HTTPException(
                400,
                f"{name[:50]}: there is no such parameter here; "
                f"{f'there is: {known}' if known else 'there is none'}",
            )
        if given.count(name) > 1:
            raise HTTPException(400, f"{name}: give it once; only one of them would be read")


def spoken(error: msgspec.ValidationError, kind: type[Any]) -> str:
    """What is wrong with a body that is no ``kind``, the field first."""
    text, _, place = _PATTERN.sub(_in_words, str(error)).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    if text.startswith(_NO_CHOICE):
        text += _choices(msgspec.inspect.type_info(kind), place)
    return f"{place or 'body'}: {text}"


def _choices(info: msgspec.inspect.Type, place: str) -> str:
    """What a field may be that has fixed choices, such as ``areas[...]``; "" where that is not found."""
    step, _, rest = place.partition(".")
    name, listed, _ = step.partition("[")
    match info:
        case msgspec.inspect.UnionType(types=types):
            return next(filter(None, (_choices(one, place) for one in types)), "")
        case msgspec.inspect.StructType(fields=fields) if name:
            inner = [one.type for one in fields if one.encode_name == name]
            return _choices(inner[0], (listed and "[.") + rest) if inner else ""
        case msgspec.inspect.ListType(item_type=item):
            return _choices(item, rest)
        case msgspec.inspect.EnumType(cls=cls):
            return f"; it is one of {', '.join(str(one.value) for one in cls)}"
        case msgspec.inspect.LiteralType(values=values):
            return f"; it is one of {', '.join(map(str, values))}"
        case _:
            return ""


def _in_words(found: re.Match[str]) -> str:
    """A pattern that was not matched, as a person would say it."""
    by_text = {repr(pattern): said for pattern, said in _PATTERNS.items()}
    return by_text.get(found[1], found[0])


def checked_name(field: str, text: str) -> str:
    """A name that can stand in a topic. Raises HTTPException when it cannot."""
    try:
        topics.address(text, text)
    except topics.BadName as error:
        raise HTTPException(400, f"{field}: {error}") from error
    return text
