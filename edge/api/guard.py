"""The guard: gives tokens for keys, and says who makes a request and whether they may.

Which permission an operation needs stands in ``rights``; nothing is stored here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from edge import tokens
from edge.api.rights import Need, need_of
from edge.clock import new_request_id
from edge.engine import Engine
from edge.model.access import (
    Application,
    Caller,
    Credentials,
    Permission,
    application_user,
    permissions_of,
)
from edge.model.errors import (
    AccessDenied,
    Overloaded,
    TokenInvalid,
    WrongCredentials,
)
from edge.store import access
from edge.store.access import Directory, KeyRecord
from edge.tokens import Claims, Tokens

log = structlog.get_logger(__name__)

_MAX_FAILURES = 10
_MAX_FAILURES_OF_ADDRESS = 50
_FAILURE_WINDOW_MS = 60_000
"""After so many wrong secrets for a key within a minute, or for any key, an address is not listened
to for the rest of it. Counting by address keeps others from locking out the owner of a key; a
client that is configured wrongly asks once in a while, with growing pauses."""

_MAX_WATCHED = 2_000
"""Addresses and keys whose failures are counted; the ones that failed longest ago are forgotten."""

_HASHING_AT_ONCE = 2
"""Hashes being computed: each takes 16 MiB and a processor for some 80 ms."""

_VIEW_TTL_S = 3_600

_Watched = tuple[tuple[str, int], tuple[str, int]]
"""Whose failures are counted, each with how many are borne."""

_NOBODY = KeyRecord("", bytes(16), bytes(32), active=False)
"""What an unknown key is compared with, so that it takes as long as a known one."""


class Guard:
    """Stands before the operations of one device.

    Args:
        engine: holds the keys; its clock counts.
        signer: signs and checks tokens.
        ttl_s: seconds that a token is good for.
    """

    def __init__(self, engine: Engine, signer: Tokens, *, ttl_s: int) -> None:
        self._engine = engine
        self._signer = signer
        self._ttl_s = ttl_s
        self._known: Directory | None = None
        self._changes = 0
        self._inner = Directory({}, {}, {}, {})
        self._needs: dict[tuple[str, str], Permission | Need] = {}
        self._failures: OrderedDict[str, list[int]] = OrderedDict()
        self._hashing = asyncio.Semaphore(_HASHING_AT_ONCE)

    # Tokens.

    async def token_for(self, posted: Credentials, address: str) -> tuple[str, Caller]:
        """A token for a key and its secret.

        Args:
            posted: key id and secret.
            address: of the client; failures are counted by it and by the key.

        Raises:
            WrongCredentials: they do not belong together, or the key is not active.
            Overloaded: there have been too many failures of late.
        """
        watched = (
            (address, _MAX_FAILURES_OF_ADDRESS),
            (f"{address} {posted.key_id[:100]}", _MAX_FAILURES),
        )
        self._refuse_hammering(watched)
        known = await self.directory()
        record = known.keys.get(posted.key_id, _NOBODY)
        async with self._hashing:
            # Those that were sent together have all been let in by now; most have failed meanwhile.
            self._refuse_hammering(watched)
            right = await asyncio.to_thread(
                tokens.matches, posted.key_secret, record.salt, record.hash
            )
        if not right or not record.active:
            self._note_failure(watched)
            # Never the secret, and no more of the key than its id.
            log.warning("token_refused", key=posted.key_id[:100], address=address)
            raise WrongCredentials("Key id and secret do not belong together, or the key is off.")
        self._failures.pop(watched[1][0], None)
        return self._sign(posted.key_id, record.application, "api", self._ttl_s), _caller(
            known, record.application
        )

    def view_token(self, key_id: str, caller: Caller) -> str:
        """A token that only looks at what the pages embed: pictures, clips, the stream."""
        return self._sign(key_id, caller.application, "view", _VIEW_TTL_S)

    def inner_key(self, name: str, roles: list[str]) -> Credentials:
        """A key for a part of this device that speaks to its API from a process of its own.

        It is kept nowhere and ends with the daemon, and no list shows it.
        """
        key, secret = new_request_id(), tokens.new_secret()
        salt, digest = tokens.hashed(secret)
        self._inner.keys[key] = KeyRecord(name, salt, digest, active=True)
        self._inner.applications[name] = Application(name, name)
        self._inner.roles[name] = roles
        self.forget()
        return Credentials(key, secret)

    def _sign(self, key_id: str, application: str, use: str, ttl_s: int) -> str:
        now_s = self._engine.clock.now_ms() // 1000
        user = application_user(application)
        return self._signer.sign(Claims(user, key_id, now_s, now_s + ttl_s, use))

    # Requests.

    async def admit(
        self, method: str, pattern: str, token: str | None, view_token: str | None
    ) -> tuple[Caller, str] | None:
        """Who makes a request, and by which key; None where nobody is asked.

        Args:
            method, pattern: of the operation, as the route table has them.
            token: of the header.
            view_token: of the pages' cookie; good for looking at ``/api/v1`` only.

        Raises:
            Unauthenticated: there is no good token.
            AccessDenied: the caller may not do this.
        """
        need = self._need(method, pattern)
        if need is Need.NOTHING:
            return None
        embedded = method == "GET" and pattern.startswith("/api/v1/")
        if token is None and embedded:
            token = view_token
        if not token:
            raise TokenInvalid("This device asks for a token: send one as X-Authorization.")
        claims = self._signer.check(token, self._engine.clock.now_ms())
        if claims.use != "api" and not (claims.use == "view" and embedded):
            raise TokenInvalid("This token is for looking only.")
        known = await self.directory()
        record = known.keys.get(claims.key)
        if record is None or not record.active:
            raise TokenInvalid("The access key of this token is gone or inactive.")
        caller = _caller(known, record.application)
        if isinstance(need, Permission) and need not in caller.permissions:
            raise AccessDenied(
                f"{caller.name} may not {method} {pattern}: none of its roles "
                f"({', '.join(caller.roles) or 'it has none'}) allows {need.value}"
            )
        return caller, claims.key

    def _need(self, method: str, pattern: str) -> Permission | Need:
        """Looked up once for each line of the route table."""
        key = (method, pattern)
        if key not in self._needs:
            self._needs[key] = need_of(method, pattern)
        return self._needs[key]

    async def directory(self) -> Directory:
        """Keys and roles as of the last change."""
        while self._known is None:
            change = self._changes
            known = await self._engine.database.read(access.read_directory)
            # What was read before a change must not stand after it.
            if change == self._changes:
                self._known = Directory(
                    keys={**known.keys, **self._inner.keys},
                    applications={**known.applications, **self._inner.applications},
                    roles={**known.roles, **self._inner.roles},
                    custom=known.custom,
                )
        return self._known

    def forget(self) -> None:
        """Keys or roles have changed: read them again before the next request is judged."""
        self._changes += 1
        self._known = None

    # Failures.

    def _refuse_hammering(self, watched: _Watched) -> None:
        now_ms = self._engine.clock.monotonic_ms()
        for one, most in watched:
            lately = [at for at in self._failures.get(one, ()) if now_ms - at < _FAILURE_WINDOW_MS]
            if len(lately) >= most:
                raise Overloaded(
                    "Too many wrong secrets; wait a minute, then check the key.",
                    later_s=_FAILURE_WINDOW_MS // 1000,
                )

    def _note_failure(self, watched: _Watched) -> None:
        now_ms = self._engine.clock.monotonic_ms()
        for one, most in watched:
            self._failures[one] = [*self._failures.get(one, ())[-most:], now_ms]
            self._failures.move_to_end(one)
        while len(self._failures) > _MAX_WATCHED:
            self._failures.popitem(last=False)


def _caller(known: Directory, application: str) -> Caller:
    one = known.applications.get(application)
    if one is None:
        raise TokenInvalid("The application of this token is gone.")
    roles = known.roles[application]
    return Caller(
        id=application_user(application),
        application=application,
        name=one.name,
        roles=roles,
        permissions=permissions_of(roles, known.custom),
    )
