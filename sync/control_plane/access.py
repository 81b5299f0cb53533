"""Who may use the control plane: tenants, roles, areas, and the tokens that carry them.

No request is read here. A token is 256 random bits, so a plain digest is kept of it: there is
nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from sync.control_plane.dialect import Connection, named_rows

ALL = "*"
"""The tenant of a token that is good for all of them."""

_TOKEN = re.compile(r"baton_([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")
_ID_BYTES = 8
_SECRET_BYTES = 32

_ADD = """
INSERT INTO api_token (token_id, tenant, name, role, areas, digest, created_ms, created_by,
                       expires_ms)
VALUES (:token_id, :tenant, :name, :role, :areas, :digest, :created_ms, :created_by, :expires_ms)
"""

_TOKENS = """
SELECT token_id, tenant, name, role, areas, created_ms, created_by, expires_ms, revoked_ms
FROM api_token
"""

_PUT_TENANT = """
INSERT INTO tenant (tenant, title, created_ms) VALUES (:tenant, :title, :created_ms)
ON CONFLICT (tenant) DO UPDATE SET title = :title
"""

_TENANTS = """
SELECT known.tenant, COALESCE(tenant.title, '') AS title,
       (SELECT COUNT(*) FROM device WHERE device.tenant = known.tenant) AS devices
FROM (SELECT tenant FROM tenant UNION SELECT tenant FROM device) AS known
LEFT JOIN tenant ON tenant.tenant = known.tenant
ORDER BY known.tenant
"""


# What was made for a tenant, without which nothing of a tenant that has no device is left. A version
# names its campaign, and members of a list their group.
_REMOVE = {
    "wanted": "DELETE FROM wanted WHERE tenant = :tenant",
    "campaigns": "DELETE FROM campaign WHERE tenant = :tenant",
    "groups": "DELETE FROM device_group WHERE tenant = :tenant",
    "alertRules": "DELETE FROM alert_rule WHERE tenant = :tenant",
    "alertChannels": "DELETE FROM alert_channel WHERE tenant = :tenant",
    "alertDeliveries": "DELETE FROM alert_delivery WHERE tenant = :tenant",
    "alerts": "DELETE FROM alert WHERE tenant = :tenant",
    "tokens": """
UPDATE api_token SET revoked_ms = :now_ms WHERE tenant = :tenant AND revoked_ms = 0
""",
    "tenant": "DELETE FROM tenant WHERE tenant = :tenant",
}


class Role(StrEnum):
    """What a token may do; each may what the one before it may."""

    VIEWER = "viewer"
    """Look."""
    OPERATOR = "operator"
    """Give orders, steer executions, tag devices, silence alerts."""
    ADMIN = "admin"
    """Make tokens and tenants, change rules, read the audit."""

    def covers(self, other: Role) -> bool:
        """Whether this role may what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Area(StrEnum):
    """A part of the API that a token can be held to."""

    DEVICES = "devices"
    EXECUTIONS = "executions"
    ORDERS = "orders"
    LOGS = "logs"
    """What is fetched from devices: their logs, files and payloads."""
    ALERTS = "alerts"
    ACCESS = "access"
    AUDIT = "audit"


class Token(msgspec.Struct, frozen=True, rename="camel"):
    """A token as it is shown: never the token itself."""

    token_id: str
    tenant: str
    """``*`` = all tenants."""
    name: str
    role: Role
    areas: list[Area]
    """Empty = all areas."""
    created_ms: int
    created_by: str
    expires_ms: int
    """0 = never."""
    revoked_ms: int
    """0 = it is not revoked."""


class NewToken(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A token that is asked for."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """For people."""
    role: Role
    tenant: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """null = the caller's own; ``*`` = all tenants."""
    areas: Annotated[list[Area], msgspec.Meta(max_length=10)] = []
    """Empty = all areas."""
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """Milliseconds since 1970; 0 = never."""


class Tenant(msgspec.Struct, frozen=True):
    """One tenant."""

    tenant: str
    title: str
    devices: int
    """That have ever been heard of."""


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request."""

    name: str
    tenant: str
    role: Role
    areas: frozenset[Area] = frozenset()
    """Empty = all areas."""
    token_id: str = ""
    expires_ms: int = 0
    """0 = never."""

    def may(self, role: Role, area: Area | None) -> bool:
        """Whether a request that needs this role in this area, or in any, is the caller's to make."""
        return self.role.covers(role) and (area is None or not self.areas or area in self.areas)


class TenantHasDevices(Exception):
    """A tenant cannot be removed while devices are in it: their history is kept.

    Args:
        tenant: whose they are.
        devices: how many.
    """

    def __init__(self, tenant: str, devices: int) -> None:
        many = "1 device, whose" if devices == 1 else f"{devices} devices, whose"
        super().__init__(
            f"tenant: {tenant} has {many} history is kept; only one without devices can be removed. "
            "Remove them first; to shut people out, revoke its tokens"
        )


ANYBODY = Caller("anonymous", ALL, Role.ADMIN)
"""Who asks where nobody is asked for a token."""


def make_token(
    connection: Connection, new: NewToken, *, tenant: str, created_by: str, now_ms: int
) -> tuple[Token, str]:
    """Keep a new token; what is kept of it, and the token itself, which is shown this once."""
    token_id = os.urandom(_ID_BYTES).hex()
    secret = base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).rstrip(b"=").decode()
    token = Token(
        token_id, tenant, new.name, new.role, list(dict.fromkeys(new.areas)), now_ms, created_by,
        new.expires_ms, 0,
    )  # fmt: skip
    row = msgspec.structs.asdict(token) | {
        "role": token.role.value,
        "areas": msgspec.json.encode(token.areas).decode(),
        "digest": _digest(secret),
    }
    connection.execute(_ADD, row)
    return token, f"baton_{token_id}.{secret}"


def caller_of(connection: Connection, text: str, *, now_ms: int) -> Caller | None:
    """Whose token this is; None when it is none, or is not good any more."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    found = named_rows(
        connection, "SELECT * FROM api_token WHERE token_id = :token_id", {"token_id": match[1]}
    )
    # Compared in constant time: nothing is learnt from how long a wrong one takes.
    if not found or not hmac.compare_digest(bytes(found[0]["digest"]), _digest(match[2])):
        return None
    row = found[0]
    if row["revoked_ms"] or (row["expires_ms"] and row["expires_ms"] <= now_ms):
        return None
    areas = frozenset(map(Area, msgspec.json.decode(row["areas"])))
    return Caller(
        row["name"], row["tenant"], Role(row["role"]), areas, row["token_id"], row["expires_ms"]
    )


def tokens(connection: Connection, *, tenant: str | None) -> list[Token]:
    """All tokens of a tenant, or with None of all, oldest first."""
    where = "" if tenant is None else "WHERE tenant = :tenant "
    found = named_rows(
        connection, f"{_TOKENS}{where}ORDER BY created_ms, token_id", {"tenant": tenant}
    )
    return [_token(row) for row in found]


def revoke(
    connection: Connection, token_id: str, *, tenant: str | None, now_ms: int
) -> Token | None:
    """Make a token void; None when there is none of this id in the tenant."""
    keys = {"token_id": token_id, "tenant": tenant, "now_ms": now_ms}
    where = "" if tenant is None else " AND tenant = :tenant"
    connection.execute(
        "UPDATE api_token SET revoked_ms = :now_ms WHERE token_id = :token_id AND revoked_ms = 0"
        + where,
        keys,
    )
    found = named_rows(connection, f"{_TOKENS}WHERE token_id = :token_id{where}", keys)
    return _token(found[0]) if found else None


def put_tenant(connection: Connection, tenant: str, title: str, *, now_ms: int) -> None:
    """Make a tenant, or give one that is there another title."""
    connection.execute(_PUT_TENANT, {"tenant": tenant, "title": title, "created_ms": now_ms})


def remove_tenant(connection: Connection, tenant: str, *, now_ms: int) -> dict[str, int] | None:
    """Remove a tenant that has no device, with all that was made for it; its tokens become void.

    What the audit says of it stays. A device that speaks under its name later brings it back, bare.

    Returns:
        How many were removed of each kind that there was any of; None = there is no such tenant.

    Raises:
        TenantHasDevices: nothing was changed.
    """
    keys = {"tenant": tenant, "now_ms": now_ms}
    found = [one for one in tenants(connection) if one.tenant == tenant]
    if not found:
        return None
    if found[0].devices:
        raise TenantHasDevices(tenant, found[0].devices)
    removed = {
        name: connection.execute(statement, keys).rowcount for name, statement in _REMOVE.items()
    }
    return {name: many for name, many in removed.items() if many > 0 and name != "tenant"}


def tenants(connection: Connection) -> list[Tenant]:
    """All tenants: those that were made, and those that devices have spoken of."""
    return [Tenant(**row) for row in named_rows(connection, _TENANTS)]


def tenant_names(connection: Connection) -> list[str]:
    """The names of all tenants, at most 1,000, without counting their devices."""
    rows = connection.execute(
        "SELECT tenant FROM tenant UNION SELECT tenant FROM device ORDER BY tenant LIMIT 1000"
    ).fetchall()
    return [str(row[0]) for row in rows]


def _token(row: dict[str, Any]) -> Token:
    areas = [Area(one) for one in msgspec.json.decode(row["areas"])]
    return Token(**(row | {"role": Role(row["role"]), "areas": areas}))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
