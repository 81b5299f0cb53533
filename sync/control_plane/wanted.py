"""What devices are wanted to have: definitions and configuration, in versions, and who differs.

No request is read here. A version is pushed by a campaign; what a device has is the newest version
whose order it has reported as done.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sync.control_plane.dialect import Connection, named_rows
from sync.orders import Kind

_COLUMNS = """
SELECT revision, kind, name, body, created_ms, created_by, campaign_id, rollback_to FROM wanted
"""

_BARE_COLUMNS = """
SELECT revision, kind, name, created_ms, created_by, campaign_id, rollback_to FROM wanted
"""

# The newest version of each thing, where this device is among those that it is meant for.
_MEANT_FOR = """
SELECT w.kind, w.name, w.subject, w.revision, m.place FROM wanted w
JOIN device d ON d.tenant = w.tenant AND d.device = :device
JOIN campaign_member m ON m.campaign_id = w.campaign_id AND m.device_id = d.device_id
WHERE w.tenant = :tenant AND w.revision = (
  SELECT MAX(n.revision) FROM wanted n WHERE n.tenant = w.tenant AND n.subject = w.subject
)
ORDER BY w.kind, w.name
LIMIT 200
"""

_ADD = """
INSERT INTO wanted (tenant, subject, revision, kind, name, body, created_ms, created_by,
                    campaign_id, rollback_to)
VALUES (:tenant, :subject, :revision, :kind, :name, :body, :created_ms, :created_by, :campaign_id,
        :rollback_to)
"""

# Orders that were given to one device, and the first one of each campaign: all of a campaign have the
# same content. Their ids end in their places, and no other id has a dot.
_GIVEN = """
SELECT DISTINCT o.body FROM device_order o
JOIN device d ON d.device_id = o.device_id
WHERE d.tenant = :tenant AND o.subject = :subject AND o.subject <> ''
  AND (instr(o.order_id, '.') = 0 OR o.order_id LIKE '%.1')
"""

# The newest order of this subject that the device has done, and the newest one that is open.
_DRIFT = """
SELECT d.device, m.place,
  (SELECT 1 FROM campaign c
   WHERE c.campaign_id = m.campaign_id AND c.state = 'running' AND m.order_id IS NULL) AS waiting,
  (SELECT o.body FROM device_order o
   WHERE o.device_id = m.device_id AND o.subject = :subject AND o.subject <> ''
     AND o.ended = 'done'
   ORDER BY o.order_key DESC LIMIT 1) AS done,
  (SELECT o.order_id FROM device_order o
   WHERE o.device_id = m.device_id AND o.subject = :subject AND o.subject <> ''
     AND o.ended IS NULL
   ORDER BY o.order_key DESC LIMIT 1) AS pending,
  (SELECT o.reason FROM device_order o
   WHERE o.device_id = m.device_id AND o.subject = :subject AND o.subject <> ''
     AND o.ended IN ('failed', 'expired')
   ORDER BY o.order_key DESC LIMIT 1) AS reason
FROM campaign_member m
JOIN device d ON d.device_id = m.device_id
WHERE m.campaign_id = :campaign_id AND m.place > :after
ORDER BY m.place
LIMIT :limit
"""


_LOOKS = 20
"""That one page of devices in a state takes through all of them: at most 10,000 devices."""

STATES = ("in-step", "pending", "drifted")


class Version(msgspec.Struct, frozen=True):
    """One version of something that devices are wanted to have."""

    revision: int
    """Counted from 1; a device never takes a lower one unless that is a rollback."""
    kind: str
    name: str
    body: bytes
    """Of the order; empty where it was not asked for."""
    created_ms: int
    created_by: str
    campaign_id: str
    rollback_to: int
    """The revision whose content this is again; 0 = it is new."""


class Drift(msgspec.Struct, frozen=True, rename="camel"):
    """What one device has, held against what it is wanted to have."""

    device: str
    wanted: int
    """Revision."""
    reported: int
    """Revision of the newest version that the device has reported as done; 0 = none."""
    state: str
    """``in-step``, ``pending`` (its order is under way, or its turn has not come) or ``drifted``."""
    reason: str | None
    """Why the last order that failed did."""


class DeviceDrift(msgspec.Struct, frozen=True):
    """One thing that a device is wanted to have, and what it has of it."""

    kind: str
    name: str
    wanted: int
    """Revision."""
    reported: int
    """Revision that the device has reported as done; 0 = none."""
    state: str
    """As of `Drift`."""
    reason: str | None


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """Something that devices are wanted to have."""

    kind: str
    name: str
    revision: int
    created_ms: int


class _Revision(msgspec.Struct, frozen=True):
    revision: int = 0


def listed(connection: Connection, tenant: str) -> list[Listed]:
    """Everything that devices of a tenant are wanted to have, with its newest version."""
    rows = named_rows(
        connection,
        "SELECT kind, name, MAX(revision) AS revision, MAX(created_ms) AS created_ms FROM wanted"
        " WHERE tenant = :tenant GROUP BY subject, kind, name ORDER BY kind, name LIMIT 1000",
        {"tenant": tenant},
    )
    return [Listed(**row) for row in rows]


def versions(connection: Connection, tenant: str, subject: str) -> list[Version]:
    """The versions of one thing, newest first; only the newest brings its body."""
    rows = named_rows(
        connection,
        f"{_BARE_COLUMNS} WHERE tenant = :tenant AND subject = :subject"
        " ORDER BY revision DESC LIMIT 500",
        {"tenant": tenant, "subject": subject},
    )
    first = newest(connection, tenant, subject)
    return [first, *(Version(**(row | {"body": b""})) for row in rows[1:])] if first else []


def newest(connection: Connection, tenant: str, subject: str) -> Version | None:
    """The newest version of one thing; None = there is none."""
    rows = named_rows(
        connection,
        f"{_COLUMNS} WHERE tenant = :tenant AND subject = :subject ORDER BY revision DESC LIMIT 1",
        {"tenant": tenant, "subject": subject},
    )
    return _version(rows)


def find_version(
    connection: Connection, tenant: str, subject: str, revision: int
) -> Version | None:
    """One version with its body; None = there is none of this number."""
    rows = named_rows(
        connection,
        f"{_COLUMNS} WHERE tenant = :tenant AND subject = :subject AND revision = :revision",
        {"tenant": tenant, "subject": subject, "revision": revision},
    )
    return _version(rows)


def _version(rows: list[dict[str, Any]]) -> Version | None:
    """The one that was found, if one was."""
    return Version(**(rows[0] | {"body": bytes(rows[0]["body"])})) if rows else None


def of_device(connection: Connection, tenant: str, device: str) -> list[DeviceDrift]:
    """Everything that one device is meant to have, and what it has reported; at most 200."""
    rows = connection.execute(_MEANT_FOR, {"tenant": tenant, "device": device}).fetchall()
    found = []
    for kind, name, subject, revision, place in rows:
        version = find_version(connection, tenant, subject, revision)
        assert version is not None, "it has just been found"
        (one,), _ = drift(connection, subject, version, after=place - 1, limit=1)
        found.append(DeviceDrift(kind, name, one.wanted, one.reported, one.state, one.reason))
    return found


def next_revision(connection: Connection, tenant: str, subject: str) -> int:
    """The number of the next version, above any that this tenant's devices were ever given."""
    keys = {"tenant": tenant, "subject": subject}
    pushed = connection.execute(
        "SELECT COALESCE(MAX(revision), 0) FROM wanted WHERE tenant = :tenant AND subject = :subject",
        keys,
    ).fetchone()
    given = [
        msgspec.json.decode(bytes(row[0]), type=_Revision).revision
        for row in connection.execute(_GIVEN, keys).fetchall()
    ]
    return max([int(pushed[0]), *given]) + 1


def add(
    connection: Connection,
    *,
    tenant: str,
    subject: str,
    kind: Kind,
    name: str,
    revision: int,
    body: bytes,
    campaign_id: str,
    rollback_to: int,
    created_by: str,
    now_ms: int,
) -> None:
    """Keep a version."""
    row = {
        "tenant": tenant, "subject": subject, "revision": revision, "kind": kind.value,
        "name": name, "body": body, "created_ms": now_ms, "created_by": created_by,
        "campaign_id": campaign_id, "rollback_to": rollback_to,
    }  # fmt: skip
    connection.execute(_ADD, row)


def drift(
    connection: Connection, subject: str, newest: Version, *, after: int, limit: int
) -> tuple[list[Drift], int | None]:
    """Devices that the newest version was meant for, and where to go on; None = at the end."""
    keys: dict[str, Any] = {
        "subject": subject, "campaign_id": newest.campaign_id, "after": after, "limit": limit + 1
    }  # fmt: skip
    rows = named_rows(connection, _DRIFT, keys)
    found = []
    for row in rows[:limit]:
        reported = 0
        if row["done"] is not None:
            reported = msgspec.json.decode(bytes(row["done"]), type=_Revision).revision
        state = "in-step" if reported == newest.revision else "drifted"
        if state == "drifted" and (row["pending"] or row["waiting"]):
            state = "pending"
        reason = row["reason"] if state == "drifted" else None
        found.append(Drift(row["device"], newest.revision, reported, state, reason))
    return found, rows[limit - 1]["place"] if len(rows) > limit else None


def drift_in(
    connection: Connection, subject: str, newest: Version, *, state: str, after: int, limit: int
) -> tuple[list[Drift], int | None]:
    """Devices in one state of `Drift`, and where to go on; a page looks at so many, and no more.

    It may hold fewer than ``limit``, or none, and lead on all the same.
    """
    found: list[Drift] = []
    place: int | None = after
    for _ in range(_LOOKS):
        assert place is not None, "the loop ends with the places"
        page, place = drift(
            connection, subject, newest, after=place, limit=max(1, limit - len(found))
        )
        found += [one for one in page if one.state == state]
        if place is None or len(found) >= limit:
            break
    return found, place


def find_subject(connection: Connection, tenant: str, kind: Kind, name: str) -> str | None:
    """What a name stands for: of a workflow the version that was pushed last; None = nothing."""
    found = connection.execute(
        "SELECT subject FROM wanted WHERE tenant = :tenant AND kind = :kind AND name = :name"
        " ORDER BY created_ms DESC, revision DESC LIMIT 1",
        {"tenant": tenant, "kind": kind.value, "name": name},
    ).fetchone()
    return None if found is None else str(found[0])
