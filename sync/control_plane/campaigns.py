"""Orders to many devices: who was meant, how fast they are given, how far they have come.

No request is read here. Membership is frozen when a campaign is made; a step gives the orders of
those whose turn it is, in one transaction, under ids that follow from the campaign and the place, so
that a step that is done twice gives them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sync import orders as wire
from sync.control_plane import audit, fleet, orders
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.orders import NewOrder, OrderConflict
from sync.control_plane.search_terms import QueryError, Term
from sync.orders import Kind
from sync.topics import Address

GIVEN_AT_ONCE = 100
"""Orders in one transaction."""
MEMBERS_LIMIT = 200_000
_MINUTE_MS = 60_000

_ADD = """
INSERT INTO campaign (campaign_id, tenant, title, kind, body, condition, query, members, per_minute,
                      created_ms, created_by, expires_ms, state, given)
VALUES (:campaign_id, :tenant, :title, :kind, :body, :condition, :query, :members, :per_minute,
        :created_ms, :created_by, :expires_ms, 'running', 0)
"""

_COLUMNS = """
SELECT campaign_id, tenant, title, kind, body, condition, query, members, per_minute, created_ms,
       created_by, expires_ms, state, given, removed
FROM campaign
"""

_NEXT_MEMBERS = """
SELECT m.place, d.device FROM campaign_member m
JOIN device d ON d.device_id = m.device_id
WHERE m.campaign_id = :campaign_id AND m.place > :given
ORDER BY m.place
LIMIT :limit
"""

# A covering index gives them in this order: counted in a tenth of the time that it takes to look each
# order up by the id that its member has.
_STATES = """
SELECT campaign_id, ended, COUNT(*), SUM(iif(cseq > 0, 1, 0)) FROM device_order
WHERE campaign_id IN ({places})
GROUP BY campaign_id, ended
"""

_STATES_OF_MEMBERS = """
SELECT m.campaign_id, o.ended, COUNT(*), SUM(iif(o.cseq > 0, 1, 0)) FROM campaign_member m
JOIN device_order o ON o.order_id = m.order_id
WHERE m.campaign_id IN ({places})
GROUP BY m.campaign_id, o.ended
"""

_SHOWN_MEMBERS = """
SELECT m.place, d.device, m.order_id FROM campaign_member m
JOIN device d ON d.device_id = m.device_id
LEFT JOIN device_order o ON o.order_id = m.order_id
WHERE m.campaign_id = :campaign_id AND m.place > :after AND {condition}
ORDER BY m.place
LIMIT :limit
"""

STATES = {
    "waiting": "m.order_id IS NULL",
    "queued": "o.ended IS NULL AND o.cseq = 0",
    "sent": "o.ended IS NULL AND o.cseq > 0",
    "done": "o.ended = 'done'",
    "failed": "o.ended = 'failed'",
    "expired": "o.ended = 'expired'",
    "superseded": "o.ended = 'superseded'",
}
"""In which the order of a member can be, as `Progress` counts them, and how that is asked."""

# As with a single one, what a ledger that was lost may have sent is not taken back.
_WITHDRAW = """
UPDATE device_order SET ended = 'superseded', ended_ms = :now_ms, reason = 'the campaign was stopped'
WHERE cseq = 0 AND sent_ms = 0 AND ended IS NULL
  AND order_id IN (SELECT order_id FROM campaign_member WHERE campaign_id = :campaign_id)
"""


class Campaign(msgspec.Struct, frozen=True):
    """Orders to many devices."""

    campaign_id: str
    tenant: str
    title: str
    kind: str
    body: bytes
    condition: bytes
    query: str
    """That found the devices when it was made."""
    members: int
    """Devices; who they are does not change."""
    per_minute: int
    """Orders that are given in a minute at most."""
    created_ms: int
    created_by: str
    expires_ms: int
    """From then on no order is given or carried out."""
    state: str
    """``running``, ``stopped`` or ``finished``: whether orders are still to be given."""
    given: int
    """Places up to which orders were given."""
    removed: int = 0
    """Devices among the members that are removed since."""

    @property
    def devices(self) -> int:
        """Members that are still there."""
        return self.members - self.removed


class Progress(msgspec.Struct, frozen=True):
    """How far the orders of a campaign have come; together they are its members."""

    waiting: int
    """Not given yet, or never."""
    queued: int
    """Given; the device is not there, or others go before."""
    sent: int
    """Sent; what it came to is not known yet."""
    done: int
    failed: int
    expired: int
    superseded: int
    """Taken back, or a newer one has taken their place."""


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """One device of a campaign."""

    place: int
    device: str
    state: str
    """Of its order; ``waiting`` when it was not given yet."""
    reason: str | None
    order_id: str | None


class Preview(msgspec.Struct, frozen=True, rename="camel"):
    """Whom orders would hit."""

    devices: int
    states: dict[str, int]
    sample: list[str]
    """The first of them by name."""
    without_orders: int
    """Devices that have not said that they take orders of this control plane: theirs would wait."""
    unknown: list[str]
    """Names of the target that are no device's: orders to them are refused, with all others."""


def preview(
    connection: Connection, *, tenant: str, terms: list[Term], names: list[str], now_ms: int
) -> Preview:
    """Whom orders to what terms find, or to devices of these names, would hit. Raises QueryError."""
    values: dict[str, Any] = {}
    where = fleet.where(connection, tenant, terms, values, now_ms=now_ms)
    states = dict(
        connection.execute(
            f"SELECT state, COUNT(*) FROM fleet WHERE {where} GROUP BY state", values
        ).fetchall()
    )
    sample = connection.execute(
        f"SELECT device FROM fleet WHERE {where} ORDER BY device LIMIT 20", values
    ).fetchall()
    deaf = connection.execute(
        f"SELECT COUNT(*) FROM fleet WHERE {where} AND NOT EXISTS (SELECT 1 FROM order_line l"
        " WHERE l.device_id = fleet.device_id AND l.keys <> '')",
        values,
    ).fetchone()
    total = sum(int(many) for many in states.values())
    there = fleet.ids_of(connection, tenant, names)
    unknown = [name for name in names if name not in there]
    return Preview(total, states, [row[0] for row in sample], int(deaf[0]), unknown)


def make(
    connection: Connection,
    *,
    campaign_id: str,
    tenant: str,
    title: str,
    kind: Kind,
    body: bytes,
    condition: bytes,
    query: str,
    terms: list[Term],
    per_minute: int,
    expires_ms: int,
    created_by: str,
    now_ms: int,
) -> Campaign:
    """Make a campaign for the devices that terms find now; the same id again is the same campaign.

    Raises:
        QueryError: a group is not there.
        OrderConflict: the id is that of another tenant's campaign.
    """
    there = find(connection, tenant, campaign_id)
    if there is not None:
        return there
    taken = "SELECT 1 FROM campaign WHERE campaign_id = ?"
    if connection.execute(taken, (campaign_id,)).fetchone() is not None:
        raise OrderConflict(f"id: another campaign has the id {campaign_id}")
    values: dict[str, Any] = {}
    where = fleet.where(connection, tenant, terms, values, now_ms=now_ms)
    found = connection.execute(
        f"SELECT device_id FROM fleet WHERE {where} ORDER BY device LIMIT :most",
        values | {"most": MEMBERS_LIMIT},
    ).fetchall()
    row = {
        "campaign_id": campaign_id, "tenant": tenant, "title": title, "kind": kind.value,
        "body": body, "condition": condition, "query": query, "members": len(found),
        "per_minute": per_minute, "created_ms": now_ms, "created_by": created_by,
        "expires_ms": expires_ms,
    }  # fmt: skip
    connection.execute(_ADD, row)
    connection.executemany(
        "INSERT INTO campaign_member (campaign_id, place, device_id)"
        " VALUES (:campaign_id, :place, :device_id)",
        [
            {"campaign_id": campaign_id, "place": place, "device_id": device_id}
            for place, (device_id,) in enumerate(found, start=1)
        ],
    )
    made = find(connection, tenant, campaign_id)
    assert made is not None, "it has just been written"
    return made


def step(connection: Connection, *, now_ms: int) -> int:
    """Give the orders whose turn it is; how many those were."""
    given = 0
    for row in named_rows(connection, f"{_COLUMNS} WHERE state = 'running' ORDER BY created_ms"):
        campaign = Campaign(**row)
        if given < GIVEN_AT_ONCE:
            given += _step(connection, campaign, GIVEN_AT_ONCE - given, now_ms)
    return given


def _step(connection: Connection, campaign: Campaign, most: int, now_ms: int) -> int:
    keys = {"campaign_id": campaign.campaign_id}
    if campaign.given >= campaign.members or now_ms >= campaign.expires_ms:
        connection.execute(
            "UPDATE campaign SET state = 'finished' WHERE campaign_id = :campaign_id", keys
        )
        return 0
    # The first goes at once, and then one after the other at the pace that was asked for.
    turn = 1 + max(0, now_ms - campaign.created_ms) * campaign.per_minute // _MINUTE_MS
    wanted = min(most, turn - campaign.given)
    if wanted <= 0:
        return 0
    members = connection.execute(
        _NEXT_MEMBERS, keys | {"given": campaign.given, "limit": wanted}
    ).fetchall()
    kind = wire.kind_of(campaign.kind)
    subject = wire.subject_of(kind, wire.parse_body(kind, bytes(campaign.body)))
    last = campaign.given if members else campaign.members
    for place, device in members:
        order_id = f"{campaign.campaign_id}.{place}"
        new = NewOrder(
            order_id, Address(campaign.tenant, device), kind, subject, bytes(campaign.body),
            bytes(campaign.condition), campaign.created_by, campaign.expires_ms,
            campaign.campaign_id,
        )  # fmt: skip
        try:
            orders.give(connection, new, now_ms=now_ms)
        except OrderConflict as error:
            _give_up(connection, campaign, str(error), now_ms)
            break
        connection.execute(
            "UPDATE campaign_member SET order_id = :order_id"
            " WHERE campaign_id = :campaign_id AND place = :place",
            keys | {"order_id": order_id, "place": place},
        )
        last = place
    connection.execute(
        "UPDATE campaign SET given = :given WHERE campaign_id = :campaign_id",
        keys | {"given": last},
    )
    return last - campaign.given if members else 0


def _give_up(connection: Connection, campaign: Campaign, reason: str, now_ms: int) -> None:
    """Stop a campaign that cannot go on; the audit says why, and the others go on."""
    connection.execute(
        "UPDATE campaign SET state = 'stopped' WHERE campaign_id = :campaign_id",
        {"campaign_id": campaign.campaign_id},
    )
    audit.append(
        connection, at_ms=now_ms, tenant=campaign.tenant, actor="control plane",
        action="campaign.stop", target=campaign.campaign_id, detail={"reason": reason},
    )  # fmt: skip


def stop(connection: Connection, tenant: str, campaign_id: str, *, now_ms: int) -> Campaign | None:
    """Give no more orders, and take back what was not sent; None when there is no such campaign."""
    keys = {"campaign_id": campaign_id, "tenant": tenant, "now_ms": now_ms}
    connection.execute(
        "UPDATE campaign SET state = 'stopped' WHERE campaign_id = :campaign_id"
        " AND tenant = :tenant AND state <> 'stopped'",
        keys,
    )
    found = find(connection, tenant, campaign_id)
    if found is not None:
        connection.execute(_WITHDRAW, keys)
    return found


def find(connection: Connection, tenant: str, campaign_id: str) -> Campaign | None:
    """One campaign; None when there is none of this id in the tenant."""
    rows = named_rows(
        connection,
        f"{_COLUMNS} WHERE campaign_id = :campaign_id AND tenant = :tenant",
        {"campaign_id": campaign_id, "tenant": tenant},
    )
    return Campaign(**rows[0]) if rows else None


def newest(
    connection: Connection, tenant: str, *, limit: int, after: str | None = None
) -> tuple[list[Campaign], str | None]:
    """Campaigns of a tenant, newest first, and the mark that leads on; None = at the end.

    Raises:
        QueryError: the mark is none.
    """
    keys: dict[str, Any] = {"tenant": tenant, "limit": limit + 1}
    where = "tenant = :tenant"
    if after is not None:
        created, _, campaign_id = after.partition("~")
        if not created.isdecimal() or len(created) > 16:
            raise QueryError("after: give back what `next` of the page before was")
        where += " AND (created_ms, campaign_id) < (:created_ms, :campaign_id)"
        keys |= {"created_ms": int(created), "campaign_id": campaign_id}
    rows = named_rows(
        connection,
        f"{_COLUMNS} WHERE {where} ORDER BY created_ms DESC, campaign_id DESC LIMIT :limit",
        keys,
    )
    found = [Campaign(**row) for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    return found, f"{found[-1].created_ms}~{found[-1].campaign_id}"


def progress(connection: Connection, of: Sequence[Campaign]) -> list[Progress]:
    """How far the orders of each of some campaigns have come."""
    counted = _counted(connection, _STATES, of)
    # Some were given by an older release, which notes no campaign, or by themselves before.
    short = [one for one in of if sum(counted[one.campaign_id].values()) != one.given]
    counted |= _counted(connection, _STATES_OF_MEMBERS, short)
    return [
        Progress(waiting=one.devices - sum(found.values()), **found)
        for one in of
        for found in (counted[one.campaign_id],)
    ]


def _counted(
    connection: Connection, statement: str, of: Sequence[Campaign]
) -> dict[str, dict[str, int]]:
    """How many orders of each campaign are in which state."""
    states = [name for name in Progress.__struct_fields__ if name != "waiting"]
    counted = {one.campaign_id: dict.fromkeys(states, 0) for one in of}
    if not counted:
        return counted
    asked = statement.format(places=", ".join("?" * len(counted)))
    for campaign_id, ended, many, sent in connection.execute(asked, tuple(counted)):
        found = counted[campaign_id]
        if ended is not None:
            found[ended] = int(many)
        else:
            found["sent"], found["queued"] = int(sent), int(many) - int(sent)
    return counted


def members(
    connection: Connection,
    campaign: Campaign,
    *,
    after: int,
    limit: int,
    state: str | None = None,
) -> list[Member]:
    """Some devices of a campaign, in the order of their turns; state None = in any."""
    condition = "1 = 1" if state is None else STATES[state]
    rows = connection.execute(
        _SHOWN_MEMBERS.format(condition=condition),
        {"campaign_id": campaign.campaign_id, "after": after, "limit": limit},
    ).fetchall()
    found = []
    for place, device, order_id in rows:
        order = orders.find(connection, order_id) if order_id else None
        state = order.state if order else "waiting"
        found.append(Member(place, device, state, order.reason if order else None, order_id))
    return found
