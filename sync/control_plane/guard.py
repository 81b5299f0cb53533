"""Stands before the operations of the API: who asks, and whether he may.

No token is made here and no operation is known by name; what each needs stands in the route table.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request

from sync.control_plane import access
from sync.control_plane.access import ANYBODY, Caller
from sync.control_plane.calls import Operation
from sync.control_plane.ledger import Ledger

COOKIE = "baton_token"
"""For what pages embed, which can send no header: the stream of changes, and kept files."""

_FRESH_MS = 1_000
"""A token that was good is not asked for again so soon; a revoked one is good for so much longer."""
_KNOWN_LIMIT = 10_000
_NONE_SENT = (
    "this control plane asks for a token: send it as X-Authorization, or as Authorization: Bearer; "
    "an administrator makes one at POST /api/v1/tokens"
)
_NOT_GOOD = (
    "the token is none of this control plane's, has expired or was revoked; an administrator makes "
    "another at POST /api/v1/tokens"
)
"""Which of them is not said: nobody learns from it whether a token was ever there."""
_LOOKING = frozenset({"GET", "HEAD"})


class Guard:
    """Admits requests.

    Args:
        ledger: holds the tokens.
        now_ms: the wall clock.
        enabled: whether anybody is asked.
    """

    def __init__(self, ledger: Ledger, *, now_ms: Callable[[], int], enabled: bool) -> None:
        self._ledger = ledger
        self._now_ms = now_ms
        self.enabled = enabled
        """Whether anybody is asked."""
        self._known: OrderedDict[str, tuple[int, Caller]] = OrderedDict()

    async def admit(self, request: Request, operation: Operation) -> Caller:
        """Who makes this request.

        Raises:
            HTTPException: 401 without a good token, 403 when it does not suffice.
        """
        _refuse_foreign_pages(request)
        if operation.area is None or not self.enabled:
            return ANYBODY
        caller = await self._caller(request)
        if caller is None:
            raise HTTPException(
                401,
                _NOT_GOOD if _token_of(request) else _NONE_SENT,
                headers={"www-authenticate": "Bearer"},
            )
        if not caller.may(operation.role, None if operation.any_area else operation.area):
            raise HTTPException(
                403,
                f"{caller.name} is {caller.role.value}"
                f"{' in ' + ', '.join(sorted(caller.areas)) if caller.areas else ''}; this needs "
                f"{operation.role.value} in {operation.area.value}",
            )
        return caller

    async def caller_of(self, token: str) -> Caller | None:
        """Whose token this is; None when it is not good."""
        now_ms = self._now_ms()
        known = self._known.get(token)
        if known is not None and 0 <= now_ms - known[0] < _FRESH_MS:
            return known[1]
        caller = await self._ledger.read(
            lambda connection: access.caller_of(connection, token, now_ms=now_ms)
        )
        self._known.pop(token, None)
        if caller is not None:
            self._known[token] = (now_ms, caller)
            while len(self._known) > _KNOWN_LIMIT:
                self._known.popitem(last=False)
        return caller

    async def still_good(self, request: Request) -> bool:
        """Whether the token of a request that goes on for long is still good."""
        return not self.enabled or await self._caller(request) is not None

    def forget(self) -> None:
        """Tokens have changed."""
        self._known.clear()

    async def _caller(self, request: Request) -> Caller | None:
        token = _token_of(request)
        return await self.caller_of(token) if token else None


def _token_of(request: Request) -> str:
    """The token that a request brings, in a header or in the cookie of the pages; "" = none."""
    token = request.headers.get("x-authorization", "")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not token and scheme.lower() == "bearer":
        token = given.strip()
    return token or request.cookies.get(COOKIE, "")


def _refuse_foreign_pages(request: Request) -> None:
    """A page of another site must not change anything through somebody's browser."""
    origin = request.headers.get("origin")
    if request.method in _LOOKING or origin is None:
        return
    if origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, f"a page of {origin[:100]} may not change anything here")
