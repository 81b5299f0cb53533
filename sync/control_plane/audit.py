"""The audit: every change that somebody made, in a chain that shows when a link was touched.

Entries are written in the transaction of the change they tell of, and never changed or removed here.
Each has a digest over its own content and the digest before it: whoever changes, removes or slips in
an entry would have to write all that follow anew, and the last digest, which is shown, would differ
from the one that was written down elsewhere.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from sync.control_plane.dialect import Connection, named_rows

PAGE_LIMIT = 500
VERIFIED_AT_ONCE = 2_000
"""Entries that are read in one snapshot when the chain is looked at."""
_DETAIL_LIMIT = 20_000
"""Characters; a definition that was pushed is told by its digest when it is larger."""
START = bytes(32)
"""The digest before the first."""

_LAST = "SELECT entry, digest FROM audit ORDER BY entry DESC LIMIT 1"

_ADD = """
INSERT INTO audit (entry, at_ms, tenant, actor, action, target, detail, digest)
VALUES (:entry, :at_ms, :tenant, :actor, :action, :target, :detail, :digest)
"""

_COLUMNS = "SELECT entry, at_ms, tenant, actor, action, target, detail, digest FROM audit"

_BEFORE = "SELECT digest FROM audit WHERE entry < :entry ORDER BY entry DESC LIMIT 1"


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One change that somebody made."""

    entry: int
    """Its number, from 1 without holes."""
    at_ms: int
    tenant: str
    actor: str
    """The name of the token, ``anonymous`` where nobody is asked, or a part of Baton itself."""
    action: str
    """Such as ``token.create``."""
    target: str
    """What was changed."""
    detail: Any
    """What was asked for; where something was there before, that too."""
    digest: str
    """SHA-256 in hexadecimal."""


class EntryPage(msgspec.Struct, frozen=True):
    """Entries, newest first."""

    entries: list[Entry]
    next: int | None
    """Give this back as ``after`` for the following page; null at the end."""


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """Whether the chain is whole."""

    whole: bool
    entries: int
    """That were looked at."""
    last_digest: str
    """Write it down elsewhere: a chain that was cut off at its end is whole, too, but shorter."""
    broken_at: int | None = None
    """The first entry that is not what was written, or that is missing."""


def append(
    connection: Connection,
    *,
    at_ms: int,
    tenant: str,
    actor: str,
    action: str,
    target: str,
    detail: Any = None,
) -> None:
    """Write an entry, in the transaction of what it tells of."""
    last = connection.execute(_LAST).fetchone()
    number, before = (0, START) if last is None else (int(last[0]), bytes(last[1]))
    text = msgspec.json.encode(detail, order="sorted").decode()
    if len(text) > _DETAIL_LIMIT:
        digest = hashlib.sha256(text.encode()).hexdigest()
        text = msgspec.json.encode({"sha256": digest, "characters": len(text)}).decode()
    row = {
        "entry": number + 1, "at_ms": at_ms, "tenant": tenant, "actor": actor, "action": action,
        "target": target, "detail": text,
    }  # fmt: skip
    connection.execute(_ADD, row | {"digest": _digest(before, row)})


def page(connection: Connection, *, tenant: str | None, after: int | None, limit: int) -> EntryPage:
    """Entries, newest first.

    Args:
        connection: to the ledger.
        tenant: only this one's; None = all.
        after: ``next`` of the page before.
        limit: 1 to 500.
    """
    conditions, values = ["1 = 1"], {"tenant": tenant, "after": after}
    if tenant is not None:
        conditions.append("tenant = :tenant")
    if after is not None:
        conditions.append("entry < :after")
    limit = max(1, min(limit, PAGE_LIMIT))
    where = f"{_COLUMNS} WHERE {' AND '.join(conditions)} ORDER BY entry DESC LIMIT :limit"
    found = named_rows(connection, where, values | {"limit": limit + 1})
    shown = found[:limit]
    return EntryPage(
        [_entry(row) for row in shown], shown[-1]["entry"] if len(found) > limit else None
    )


def verify_some(connection: Connection, *, after: int) -> tuple[Verdict, int | None]:
    """Look at some entries of the chain.

    Args:
        connection: to the ledger.
        after: the number of the last entry that was looked at; 0 = none.

    Returns:
        What was found, and where to go on; None = there is no more.
    """
    before = START
    if after:
        found = connection.execute(_BEFORE, {"entry": after + 1}).fetchone()
        before = START if found is None else bytes(found[0])
    rows = named_rows(
        connection,
        f"{_COLUMNS} WHERE entry > :after ORDER BY entry LIMIT :limit",
        {"after": after, "limit": VERIFIED_AT_ONCE},
    )
    number = after
    for row in rows:
        number += 1
        if row["entry"] != number or bytes(row["digest"]) != _digest(before, row):
            looked_at = number - 1 - after
            return _verdict(looked_at, before, broken_at=number), None
        before = bytes(row["digest"])
    more = number if len(rows) == VERIFIED_AT_ONCE else None
    return _verdict(len(rows), before), more


def _verdict(entries: int, digest: bytes, *, broken_at: int | None = None) -> Verdict:
    return Verdict(
        whole=broken_at is None, entries=entries, last_digest=digest.hex(), broken_at=broken_at
    )


def _digest(before: bytes, row: dict[str, Any]) -> bytes:
    names = ("entry", "at_ms", "tenant", "actor", "action", "target", "detail")
    return hashlib.sha256(before + msgspec.json.encode([row[name] for name in names])).digest()


def _entry(row: dict[str, Any]) -> Entry:
    digest = bytes(row["digest"]).hex()
    return Entry(**(row | {"detail": msgspec.json.decode(row["detail"]), "digest": digest}))
