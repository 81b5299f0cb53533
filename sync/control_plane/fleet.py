"""The fleet in the ledger: the list of devices, its search, tags and groups.

No request is read here. The list is a projection of its own: `refresh` brings into it what has
changed around devices, so that a search over a hundred thousand of them reads one table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from sync.control_plane import clocks
from sync.control_plane.changes import take_changes
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.search_terms import Field, QueryError, Sort, Term, condition, folded, parse
from sync.control_plane.views import LAGGING_RECORDS, DeviceState

REFRESHED_AT_ONCE = 500
"""Devices that are brought into the list in one transaction."""
DEPTH_LIMIT = 4
"""Of groups whose query names groups."""
TAGS_LIMIT = 50
"""Of one device."""

_CHANGED = """
SELECT device.*,
       (SELECT COALESCE(SUM(MAX(cursor.newest - cursor.acked, 0)), 0) FROM cursor
        WHERE cursor.device_id = device.device_id AND cursor.epoch = device.live_epoch) AS backlog,
       (SELECT COALESCE(SUM(cursor.acked), 0) FROM cursor
        WHERE cursor.device_id = device.device_id AND cursor.epoch = device.live_epoch) AS records,
       (SELECT COALESCE(MAX(cursor.synced_ms), 0) FROM cursor
        WHERE cursor.device_id = device.device_id AND cursor.epoch = device.live_epoch) AS synced_ms,
       (SELECT COALESCE(SUM(gap.last_seq - gap.first_seq + 1), 0) FROM gap
        WHERE gap.device_id = device.device_id) AS missing
FROM device
WHERE device.change > (SELECT value FROM progress WHERE name = 'fleet')
ORDER BY device.change
LIMIT :limit
"""

_PENDING = """
SELECT EXISTS (
  SELECT 1 FROM device WHERE change > (SELECT value FROM progress WHERE name = 'fleet')
)
"""

_PUT = """
INSERT INTO fleet (tenant, device, device_id, state, first_seen_ms, last_seen_ms, synced_ms,
                   synced_at_ms, backlog, records, missing, epoch, boot, version)
VALUES (:tenant, :device, :device_id, :state, :first_seen_ms, :last_seen_ms, :synced_ms,
        :synced_at_ms, :backlog, :records, :missing, :epoch, :boot, :version)
ON CONFLICT (tenant, device) DO UPDATE SET
  state = :state, first_seen_ms = :first_seen_ms, last_seen_ms = :last_seen_ms,
  synced_ms = :synced_ms, synced_at_ms = :synced_at_ms, backlog = :backlog,
  records = :records, missing = :missing, epoch = :epoch, boot = :boot, version = :version
"""

_RECENT = """
SELECT device_id, SUM(executions) AS executions, SUM(failures) AS failures FROM device_hour
WHERE hour_ms >= :since_ms AND device_id IN (VALUES {places})
GROUP BY device_id
"""

_COUNTED = """
SELECT value, SUM(devices) FROM fleet_count
WHERE kind = :kind AND (:tenant IS NULL OR tenant = :tenant)
GROUP BY value
HAVING SUM(devices) > 0
ORDER BY value
LIMIT 200
"""

_ADD_COUNT = """
INSERT INTO fleet_count (tenant, kind, value, devices)
VALUES (:tenant, :kind, :value, :devices)
ON CONFLICT (tenant, kind, value) DO UPDATE SET devices = fleet_count.devices + :devices
"""

_COUNT_ALL = """
INSERT INTO fleet_count (tenant, kind, value, devices)
SELECT tenant, '{kind}', {kind}, COUNT(*) FROM fleet GROUP BY tenant, {kind}
"""

FIELDS = {
    "device": Field(Sort.TEXT, "fleet.device"),
    "name": Field(Sort.TEXT, "fleet.device"),
    "state": Field(Sort.WORD, "fleet.state", ("online", "lagging", "offline", "never")),
    "version": Field(Sort.TEXT, "fleet.version"),
    "backlog": Field(Sort.NUMBER, "fleet.backlog"),
    "records": Field(Sort.NUMBER, "fleet.records"),
    "gaps": Field(Sort.NUMBER, "fleet.missing"),
    "epoch": Field(Sort.NUMBER, "fleet.epoch"),
    "boot": Field(Sort.NUMBER, "fleet.boot"),
    "seen": Field(Sort.TIME, "fleet.last_seen_ms"),
    "firstSeen": Field(Sort.TIME, "fleet.first_seen_ms"),
    "synced": Field(Sort.TIME, "fleet.synced_at_ms"),
    "tag": Field(Sort.SET, ""),
    "group": Field(Sort.SET, ""),
}
"""What the search box knows of devices."""

ORDERS = {"device": ("device", "ASC"), "seen": ("last_seen_ms", "ASC"),
          "backlog": ("backlog", "DESC")}  # fmt: skip
"""Orders of the list: by name; the longest silent first; the furthest behind first."""


class FleetRow(msgspec.Struct, frozen=True, rename="camel"):
    """One device of the list."""

    tenant: str
    device: str
    state: DeviceState
    online: bool
    first_seen_ms: int
    """0 = it is registered, and was never heard of."""
    last_seen_ms: int
    """When anything at all last arrived from it."""
    synced_to_ms: int
    """When the newest record that is stored without a hole was written, on the control plane's clock;
    `last_seen_ms` where the device's clock cannot be right and was not measured yet. 0 = none yet."""
    synced_clock_ms: int
    """What the device's own clock showed then."""
    backlog: int
    """Records the device is known to hold that are not stored here yet."""
    records: int
    """Records acknowledged in the present epoch, all lanes."""
    missing: int
    """Records that the device had dropped before they were sent: the sum of all gaps."""
    epoch: int
    boot: int
    version: str
    tags: list[str]
    device_id: int
    """Of this ledger."""


class FleetPage(msgspec.Struct, frozen=True):
    """A page of the list."""

    rows: list[FleetRow]
    next: str | None
    """Give this back as ``after`` for the following page; null at the end."""


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """Some devices of a tenant under one name."""

    name: str
    description: str
    query: str | None
    """A dynamic group is all that this finds; null = its members are listed."""
    created_ms: int
    group_id: int


class NoSuchGroup(QueryError):
    """There is no group of this name. Look for the name at /api/v1/groups."""


def pending(connection: Connection) -> bool:
    """Whether a device has changed that `refresh` would bring into the list."""
    return bool(connection.execute(_PENDING).fetchone()[0])


def refresh(connection: Connection, *, limit: int = REFRESHED_AT_ONCE) -> int:
    """Bring some devices that have changed into the list; how many those were."""
    rows = named_rows(connection, _CHANGED, {"limit": limit})
    if not rows:
        return 0
    places = ", ".join(f"({int(row['device_id'])})" for row in rows)
    before = connection.execute(
        f"SELECT tenant, state, version FROM fleet WHERE device_id IN (VALUES {places})"
    ).fetchall()
    after = [(row["tenant"], state_of(row), row["version"]) for row in rows]
    known = clocks.of_devices(connection, [row["device_id"] for row in rows])
    _count(connection, before, after)
    connection.executemany(
        _PUT,
        [
            {
                "tenant": row["tenant"], "device": row["device"], "device_id": row["device_id"],
                "state": state_of(row), "first_seen_ms": row["first_seen_ms"],
                "last_seen_ms": row["last_seen_ms"], "synced_ms": row["synced_ms"],
                "synced_at_ms": _synced_at(row, known[row["device_id"]]),
                "backlog": row["backlog"], "records": row["records"], "missing": row["missing"],
                "epoch": row["live_epoch"], "boot": row["boot"], "version": row["version"],
            }
            for row in rows
        ],
    )  # fmt: skip
    connection.execute(
        "UPDATE progress SET value = :value WHERE name = 'fleet'", {"value": rows[-1]["change"]}
    )
    return len(rows)


def _synced_at(row: dict[str, Any], clock: clocks.Correction) -> int:
    """What the clock of a device showed last, on ours: no later than it was heard of."""
    return clock.began(row["synced_ms"], row["last_seen_ms"]) if row["synced_ms"] else 0


def all_offline(connection: Connection) -> None:
    """Show every device as offline, at once."""
    connection.execute("UPDATE fleet SET state = 'offline' WHERE state IN ('online', 'lagging')")
    connection.execute("DELETE FROM fleet_count")
    for kind in ("state", "version"):
        connection.execute(_COUNT_ALL.format(kind=kind))


def _count(
    connection: Connection,
    before: Iterable[tuple[str, str, str]],
    after: Iterable[tuple[str, str, str]],
) -> None:
    """Put the difference between two looks at the same devices into the counts."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for sign, devices in ((-1, before), (1, after)):
        for tenant, state, version in devices:
            counts[tenant, "state", state] += sign
            counts[tenant, "version", version] += sign
    connection.executemany(
        _ADD_COUNT,
        [
            {"tenant": tenant, "kind": kind, "value": value, "devices": many}
            for (tenant, kind, value), many in counts.items()
            if many
        ],
    )


def leave_out(connection: Connection, device_id: int) -> None:
    """Count a device no longer; it is about to go."""
    row = connection.execute(
        "SELECT tenant, state, version FROM fleet WHERE device_id = ?", (device_id,)
    ).fetchone()
    if row is not None:
        _count(connection, [row], [])


def forget(connection: Connection) -> None:
    """Throw the list away; `refresh` makes it again."""
    connection.execute("DELETE FROM fleet")
    connection.execute("DELETE FROM fleet_count")
    connection.execute("UPDATE progress SET value = -1 WHERE name = 'fleet'")


def state_of(row: dict[str, Any]) -> DeviceState:
    """The state of a device, from its row with its backlog."""
    if not row["last_seen_ms"]:
        return "never"
    if not row["online"]:
        return "offline"
    return "lagging" if row["backlog"] > LAGGING_RECORDS else "online"


def where(
    connection: Connection,
    tenant: str,
    terms: list[Term],
    values: dict[str, Any],
    *,
    now_ms: int,
    depth: int = 0,
) -> str:
    """What terms come to as a condition on ``fleet``; its values are put among the others.

    Raises:
        QueryError: a group is not there, or groups go round in a circle.
    """
    said = ["fleet.tenant = :tenant"]
    values["tenant"] = tenant
    for term in terms:
        name = f"v{len(values)}"
        if not term.field:
            values[name] = folded(term.texts[0])
            text = f"instr(lower(fleet.device), :{name}) > 0"
            said.append(f"NOT {text}" if term.negated else text)
        elif term.field in ("tag", "group"):
            said.append(_of_set(connection, tenant, term, values, now_ms=now_ms, depth=depth))
        else:
            said.append(condition(term, FIELDS[term.field], name, values))
    return " AND ".join(said)


def _of_set(
    connection: Connection,
    tenant: str,
    term: Term,
    values: dict[str, Any],
    *,
    now_ms: int,
    depth: int,
) -> str:
    alternatives = []
    for text in term.texts:
        name = f"v{len(values)}"
        if term.field == "tag":
            values[name] = text
            alternatives.append(
                f"fleet.device_id IN (SELECT device_id FROM device_tag WHERE tag = :{name})"
            )
            continue
        group = find_group(connection, tenant, text)
        if group is None:
            raise NoSuchGroup(f"q: there is no group {text!r}")
        if group.query is None:
            values[name] = group.group_id
            alternatives.append(
                "fleet.device_id IN (SELECT device_id FROM device_group_member"
                f" WHERE group_id = :{name})"
            )
            continue
        if depth >= DEPTH_LIMIT:
            raise QueryError(f"q: the group {text!r} names groups that go round in a circle")
        inner = parse(group.query, FIELDS, now_ms=now_ms)
        found = where(connection, tenant, inner, values, now_ms=now_ms, depth=depth + 1)
        alternatives.append(f"({found})")
    said = f"({' OR '.join(alternatives)})"
    return f"NOT {said}" if term.negated != (term.op.value == "ne") else said


def page(
    connection: Connection,
    *,
    tenant: str,
    terms: list[Term],
    now_ms: int,
    order: str = "device",
    after: str | None = None,
    limit: int = 50,
) -> FleetPage:
    """A page of the list.

    Args:
        connection: to the ledger.
        tenant: whose devices.
        terms: of the search; all must hold.
        now_ms: from which groups count back.
        order: one of `ORDERS`.
        after: ``next`` of the page before.
        limit: rows of the page.

    Raises:
        QueryError: a group is not there, or the mark of the page is none.
    """
    values: dict[str, Any] = {"limit": limit + 1}
    conditions = where(connection, tenant, terms, values, now_ms=now_ms)
    column, way = ORDERS[order]
    beyond = ">" if way == "ASC" else "<"
    if after is not None and column == "device":
        conditions += " AND fleet.device > :after"
        values["after"] = after
    elif after is not None:
        number, _, device = after.partition("~")
        if not number.isdecimal() or len(number) > 18:
            raise QueryError("after: give back what `next` of the page before was")
        conditions += (
            f" AND (fleet.{column} {beyond} :place"
            f" OR (fleet.{column} = :place AND fleet.device > :after))"
        )
        values |= {"place": int(number), "after": device}
    by = "fleet.device" if column == "device" else f"fleet.{column} {way}, fleet.device"
    rows = named_rows(
        connection, f"SELECT * FROM fleet WHERE {conditions} ORDER BY {by} LIMIT :limit", values
    )
    shown = rows[:limit]
    marks = tags_of(connection, [row["device_id"] for row in shown])
    last = None
    if len(rows) > limit:
        end = shown[-1]
        last = end["device"] if column == "device" else f"{end[column]}~{end['device']}"
    return FleetPage([_row(row, marks.get(row["device_id"], [])) for row in shown], last)


def find(connection: Connection, tenant: str, device: str) -> FleetRow | None:
    """One device of the list; None when it is not in it."""
    rows = named_rows(
        connection,
        "SELECT * FROM fleet WHERE tenant = :tenant AND device = :device",
        {"tenant": tenant, "device": device},
    )
    if not rows:
        return None
    return _row(rows[0], tags_of(connection, [rows[0]["device_id"]]).get(rows[0]["device_id"], []))


def takes_orders(connection: Connection, device_id: int) -> bool:
    """Whether a device has said that it takes orders of a control plane."""
    row = connection.execute(
        "SELECT keys FROM order_line WHERE device_id = ?", (device_id,)
    ).fetchone()
    return row is not None and row[0] != ""


def count(connection: Connection, *, tenant: str, terms: list[Term], now_ms: int) -> int:
    """How many devices terms find. Raises QueryError."""
    values: dict[str, Any] = {}
    conditions = where(connection, tenant, terms, values, now_ms=now_ms)
    found = connection.execute(f"SELECT COUNT(*) FROM fleet WHERE {conditions}", values).fetchone()
    return int(found[0])


def states(connection: Connection, tenant: str | None) -> dict[str, int]:
    """How many devices are in each state; tenant None = of all tenants."""
    found = dict(connection.execute(_COUNTED, {"tenant": tenant, "kind": "state"}).fetchall())
    return {state: int(found.get(state, 0)) for state in FIELDS["state"].words}


def versions(connection: Connection, tenant: str) -> dict[str, int]:
    """How many devices run each release."""
    found = connection.execute(_COUNTED, {"tenant": tenant, "kind": "version"}).fetchall()
    return {str(version): int(many) for version, many in found}


def recent(
    connection: Connection, devices: list[int], *, since_ms: int
) -> dict[int, tuple[int, int]]:
    """Executions and failures of devices since a moment's hour."""
    if not devices:
        return {}
    statement = _RECENT.format(places=", ".join(f"({int(one)})" for one in devices))
    rows = connection.execute(statement, {"since_ms": since_ms}).fetchall()
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


# Tags.


def tags_of(connection: Connection, devices: list[int]) -> dict[int, list[str]]:
    """The tags of devices."""
    if not devices:
        return {}
    places = ", ".join(f"({int(one)})" for one in devices)
    found: dict[int, list[str]] = {}
    for device_id, tag in connection.execute(
        f"SELECT device_id, tag FROM device_tag WHERE device_id IN (VALUES {places}) ORDER BY tag"
    ):
        found.setdefault(device_id, []).append(tag)
    return found


def put_tags(connection: Connection, device_id: int, tags: list[str]) -> None:
    """Put tags in the place of those that a device has."""
    connection.execute("DELETE FROM device_tag WHERE device_id = ?", (device_id,))
    for tag in dict.fromkeys(tags):
        connection.execute(
            "INSERT INTO device_tag (device_id, tag) VALUES (?, ?)", (device_id, tag)
        )


def all_tags(connection: Connection, tenant: str) -> dict[str, int]:
    """All tags of a tenant's devices, with how many have each."""
    found = connection.execute(
        "SELECT device_tag.tag, COUNT(*) FROM device_tag"
        " JOIN device ON device.device_id = device_tag.device_id"
        " WHERE device.tenant = :tenant GROUP BY device_tag.tag ORDER BY 1 LIMIT 1000",
        {"tenant": tenant},
    ).fetchall()
    return {str(tag): int(many) for tag, many in found}


def register(connection: Connection, tenant: str, device: str) -> bool:
    """Make a device known before it has ever been heard of; False when it is known already."""
    keys: dict[str, Any] = {"tenant": tenant, "device": device}
    known = "SELECT 1 FROM device WHERE tenant = :tenant AND device = :device"
    if connection.execute(known, keys).fetchone():
        return False
    connection.execute(
        "INSERT INTO device (tenant, device, first_seen_ms, last_seen_ms, change)"
        " VALUES (:tenant, :device, 0, 0, :change)",
        keys | {"change": take_changes(connection, 1)},
    )
    return True


# Groups.


def groups(connection: Connection, tenant: str) -> list[Group]:
    """All groups of a tenant by name."""
    rows = named_rows(
        connection,
        "SELECT name, description, query, created_ms, group_id FROM device_group"
        " WHERE tenant = :tenant ORDER BY name",
        {"tenant": tenant},
    )
    return [Group(**row) for row in rows]


def find_group(connection: Connection, tenant: str, name: str) -> Group | None:
    """One group; None when there is none of this name."""
    rows = named_rows(
        connection,
        "SELECT name, description, query, created_ms, group_id FROM device_group"
        " WHERE tenant = :tenant AND name = :name",
        {"tenant": tenant, "name": name},
    )
    return Group(**rows[0]) if rows else None


def put_group(
    connection: Connection,
    tenant: str,
    name: str,
    *,
    description: str,
    query: str | None,
    now_ms: int,
) -> Group:
    """Make a group, or change one that is there; a dynamic one has no members of its own."""
    row = {
        "tenant": tenant, "name": name, "description": description, "query": query,
        "created_ms": now_ms,
    }  # fmt: skip
    connection.execute(
        "INSERT INTO device_group (tenant, name, description, query, created_ms)"
        " VALUES (:tenant, :name, :description, :query, :created_ms)"
        " ON CONFLICT (tenant, name) DO UPDATE SET description = :description, query = :query",
        row,
    )
    group = find_group(connection, tenant, name)
    assert group is not None, "it has just been written"
    if query is not None:
        connection.execute("DELETE FROM device_group_member WHERE group_id = ?", (group.group_id,))
    return group


def remove_group(connection: Connection, group: Group) -> None:
    """Take a group away."""
    connection.execute("DELETE FROM device_group_member WHERE group_id = ?", (group.group_id,))
    connection.execute("DELETE FROM device_group WHERE group_id = ?", (group.group_id,))


def members(connection: Connection, group: Group) -> set[int]:
    """The ids of the devices that are listed in a static group."""
    rows = connection.execute(
        "SELECT device_id FROM device_group_member WHERE group_id = ?", (group.group_id,)
    ).fetchall()
    return {int(row[0]) for row in rows}


def change_members(
    connection: Connection, group: Group, *, add: list[int], remove: list[int]
) -> None:
    """Put devices into a static group and take others out."""
    for device_id in add:
        connection.execute(
            "INSERT OR IGNORE INTO device_group_member (group_id, device_id) VALUES (?, ?)",
            (group.group_id, device_id),
        )
    for device_id in remove:
        connection.execute(
            "DELETE FROM device_group_member WHERE group_id = ? AND device_id = ?",
            (group.group_id, device_id),
        )


def ids_of(connection: Connection, tenant: str, devices: list[str]) -> dict[str, int]:
    """The ids of devices by name; a name that is not known is not among them."""
    found = {}
    for device in devices:
        row = connection.execute(
            "SELECT device_id FROM device WHERE tenant = ? AND device = ?", (tenant, device)
        ).fetchone()
        if row is not None:
            found[device] = int(row[0])
    return found


def _row(row: dict[str, Any], tags: list[str]) -> FleetRow:
    state = row["state"]
    return FleetRow(
        tenant=row["tenant"],
        device=row["device"],
        state=state,
        online=state in ("online", "lagging"),
        first_seen_ms=row["first_seen_ms"],
        last_seen_ms=row["last_seen_ms"],
        synced_to_ms=row["synced_at_ms"],
        synced_clock_ms=row["synced_ms"],
        backlog=row["backlog"],
        records=row["records"],
        missing=row["missing"],
        epoch=row["epoch"],
        boot=row["boot"],
        version=row["version"],
        tags=tags,
        device_id=row["device_id"],
    )
