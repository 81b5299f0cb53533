"""Endpoints for tokens, tenants, sessions and the audit.

What a role may is said by `access`; where requests are judged stands in `guard`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync.control_plane import access, audit
from sync.control_plane.access import ALL, Area, Caller, NewToken, Role, Tenant, Token
from sync.control_plane.answers import json_answer
from sync.control_plane.audit import EntryPage, Verdict
from sync.control_plane.calls import Call, Operation, checked_name
from sync.control_plane.dialect import Connection
from sync.control_plane.guard import COOKIE, Guard
from sync.control_plane.ledger import Ledger

_SESSION_S = 12 * 3_600


class TokenList(msgspec.Struct, frozen=True):
    """All tokens, oldest first."""

    tokens: list[Token]


class MadeToken(msgspec.Struct, frozen=True):
    """A new token."""

    token: str
    """Shown this once, and kept nowhere."""
    made: Token


class TenantList(msgspec.Struct, frozen=True):
    """All tenants by name."""

    tenants: list[Tenant]


class TenantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a tenant."""

    title: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that a page wants to use."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Self(msgspec.Struct, frozen=True, rename="camel"):
    """Who the caller is."""

    name: str
    tenant: str
    """``*`` = all tenants."""
    role: Role
    areas: list[Area]
    """Empty = all areas."""
    token_id: str
    """Empty where nobody is asked for a token."""
    expires_ms: int
    """0 = never."""
    present_tenant: str
    """Whose devices this request means."""
    tenants: list[str]
    """That may be named in ``tenant``."""


class AccessApi:
    """Tokens, tenants, sessions and the audit."""

    def __init__(self, ledger: Ledger, guard: Guard, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._guard = guard
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        one, admin = "/api/v1/tokens/{token}", Role.ADMIN
        access_, audit_ = Area.ACCESS, Area.AUDIT
        page = ("after", "limit", "tenant")
        return [
            Operation("GET", "/api/v1/self", self.self, access_, query=("tenant",), answer=Self,
                      any_area=True),
            Operation("POST", "/api/v1/session", self.open_session, None, body=SessionBody,
                      answer=Self),
            Operation("DELETE", "/api/v1/session", self.end_session, None),
            Operation("GET", "/api/v1/tokens", self.tokens, access_, admin, answer=TokenList),
            Operation("POST", "/api/v1/tokens", self.make_token, access_, admin, body=NewToken,
                      answer=MadeToken),
            Operation("DELETE", one, self.revoke, access_, admin, answer=Token),
            Operation("GET", "/api/v1/tenants", self.tenants, access_, admin, answer=TenantList),
            Operation("PUT", "/api/v1/tenants/{tenant}", self.put_tenant, access_, admin,
                      body=TenantBody, answer=TenantList),
            Operation("DELETE", "/api/v1/tenants/{tenant}", self.remove_tenant, access_, admin,
                      answer=TenantList),
            Operation("GET", "/api/v1/audit", self.audit, audit_, admin, page, answer=EntryPage),
            Operation("GET", "/api/v1/audit/verification", self.verify, audit_, admin,
                      answer=Verdict),
        ]  # fmt: skip

    async def self(self, call: Call) -> Response:
        """Who the caller is: the name of the token, its tenants, its role."""
        return json_answer(await self._self(call, call.caller))

    async def open_session(self, call: Call) -> Response:
        """Keep a token in a cookie for this site's own pages, which no script can read.

        It is for browsers: the stream of changes and kept files are embedded without a header.
        """
        token = (await call.body(SessionBody)).token
        caller = await self._guard.caller_of(token)
        if caller is None:
            raise HTTPException(401, "token: it is none, it has expired, or it was revoked")
        answer = json_answer(
            await self._self(Call(call.request, caller, call.default_tenant), caller)
        )
        secure = call.request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, token, max_age=_SESSION_S, path="/", httponly=True, samesite="strict",
            secure=secure,
        )  # fmt: skip
        return answer

    async def _self(self, call: Call, caller: Caller) -> Self:
        known = [caller.tenant]
        if caller.tenant == ALL:
            # The one that is meant where nothing is said is there before its first device.
            named = await self._ledger.read(access.tenant_names)
            known = sorted({call.default_tenant, *named})
        return Self(
            caller.name, caller.tenant, caller.role, sorted(caller.areas), caller.token_id,
            caller.expires_ms, call.tenant, known,
        )  # fmt: skip

    async def end_session(self, _: Call) -> Response:
        """Forget the cookie."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def tokens(self, call: Call) -> Response:
        """All tokens, without what they are kept as."""
        own = _own(call.caller)
        found = await self._ledger.read(lambda c: access.tokens(c, tenant=own))
        return json_answer(TokenList(found))

    async def make_token(self, call: Call) -> Response:
        """Make a token, and show it this once."""
        new, caller, now_ms = await call.body(NewToken), call.caller, self._now_ms()
        tenant = new.tenant or caller.tenant
        if tenant != ALL:
            checked_name("tenant", tenant)
        if caller.tenant not in (ALL, tenant):
            raise HTTPException(403, f"tenant: {caller.name} is of the tenant {caller.tenant}")
        if caller.areas and not (new.areas and caller.areas.issuperset(new.areas)):
            held = ", ".join(sorted(caller.areas))
            raise HTTPException(403, f"areas: {caller.name} may give no more than {held}")
        if new.expires_ms and new.expires_ms <= now_ms:
            raise HTTPException(400, f"expiresMs: {new.expires_ms} is over already; it is {now_ms}")
        ends_ms = caller.expires_ms
        if ends_ms and not 0 < new.expires_ms <= ends_ms:
            raise HTTPException(
                403, f"expiresMs: {caller.name} ends at {ends_ms}, and no token of its can do later"
            )

        def make(connection: Connection) -> tuple[Token, str]:
            made, text = access.make_token(
                connection, new, tenant=tenant, created_by=caller.name, now_ms=now_ms
            )
            note(connection, call, "token.create", made.token_id, made, at_ms=now_ms, tenant=tenant)
            return made, text

        made, text = await self._ledger.write(make)
        return json_answer(MadeToken(text, made), status=201)

    async def revoke(self, call: Call) -> Response:
        """Make a token void, from the next second on."""
        token_id, now_ms = call.part("token"), self._now_ms()

        def revoke(connection: Connection) -> Token | None:
            found = access.revoke(connection, token_id, tenant=_own(call.caller), now_ms=now_ms)
            if found is not None:
                note(connection, call, "token.revoke", token_id, at_ms=now_ms, tenant=found.tenant)
            return found

        found = await self._ledger.write(revoke)
        if found is None:
            raise HTTPException(404, f"there is no token {token_id[:50]}")
        self._guard.forget()
        return json_answer(found)

    async def tenants(self, call: Call) -> Response:
        """All tenants, with how many devices each has."""
        own = _own(call.caller)
        found = await self._ledger.read(access.tenants)
        return json_answer(TenantList([one for one in found if own in (None, one.tenant)]))

    async def put_tenant(self, call: Call) -> Response:
        """Make a tenant, or give one that is there another title."""
        tenant = checked_name("tenant", call.part("tenant"))
        if _own(call.caller) is not None:
            raise HTTPException(403, "tenants are made by an administrator of all of them")
        body, now_ms = await call.body(TenantBody), self._now_ms()

        def put(connection: Connection) -> list[Tenant]:
            access.put_tenant(connection, tenant, body.title, now_ms=now_ms)
            note(connection, call, "tenant.put", tenant, body, at_ms=now_ms, tenant=tenant)
            return access.tenants(connection)

        return json_answer(TenantList(await self._ledger.write(put)))

    async def remove_tenant(self, call: Call) -> Response:
        """Remove a tenant without devices, and all that was made for it; its tokens become void."""
        tenant, now_ms = call.part("tenant"), self._now_ms()
        if _own(call.caller) is not None:
            raise HTTPException(403, "tenants are removed by an administrator of all of them")

        def remove(connection: Connection) -> list[Tenant]:
            removed = access.remove_tenant(connection, tenant, now_ms=now_ms)
            if removed is None:
                raise HTTPException(404, f"there is no tenant {tenant[:100]}")
            note(connection, call, "tenant.remove", tenant, removed, at_ms=now_ms, tenant=tenant)
            return access.tenants(connection)

        try:
            left = await self._ledger.write(remove)
        except access.TenantHasDevices as error:
            raise HTTPException(409, str(error)) from error
        self._guard.forget()
        return json_answer(TenantList(left))

    async def audit(self, call: Call) -> Response:
        """Every change that somebody made, newest first."""
        after = call.number("after", default=0, least=1, most=2**53)
        tenant = call.tenant if call.text("tenant") else _own(call.caller)
        found = await self._ledger.read(
            lambda c: audit.page(c, tenant=tenant, after=after or None, limit=call.limit())
        )
        return json_answer(found)

    async def verify(self, _: Call) -> Response:
        """Whether the audit's chain is whole; write the last digest down elsewhere."""
        return json_answer(await verify(self._ledger))


async def verify(ledger: Ledger) -> Verdict:
    """Look at the whole chain of the audit, some entries at a time."""
    place: int | None = 0
    verdict, seen = Verdict(whole=True, entries=0, last_digest=audit.START.hex()), 0
    while place is not None:
        after = place
        verdict, place = await ledger.read(lambda c, after=after: audit.verify_some(c, after=after))  # type: ignore[misc]
        seen += verdict.entries
    return msgspec.structs.replace(verdict, entries=seen)


def note(
    connection: Connection,
    call: Call,
    action: str,
    target: str,
    detail: object = None,
    *,
    at_ms: int,
    tenant: str | None = None,
) -> None:
    """Write into the audit what a caller does, in the transaction that does it."""
    audit.append(
        connection,
        at_ms=at_ms,
        tenant=call.tenant if tenant is None else tenant,
        actor=call.caller.name,
        action=action,
        target=target,
        detail=detail,
    )


def _own(caller: Caller) -> str | None:
    """The tenant that a caller is held to; None = to none."""
    return None if caller.tenant == ALL else caller.tenant
