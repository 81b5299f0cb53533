"""The ledger's orders: given, put in line for each device, sent, and what they came to.

No signature and no MQTT stands here; what an order may be is said by `sync.orders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from sync import orders
from sync.control_plane.changes import take_changes
from sync.control_plane.dialect import Connection
from sync.control_plane.views import OrderPage, OrderView
from sync.orders import Kind, Order, Position, State
from sync.records import OrderRecord
from sync.topics import Address

UNDER_WAY = orders.MAX_ORDERS
"""Orders of one device that are sent and have not come to anything yet."""

FIRST_WAIT_MS = 5_000
LONGEST_WAIT_MS = 120_000
"""Until an order that has come to nothing is sent again; doubled each time."""

REPORT_WAIT_MS = 30_000
"""Until a device that has an order is asked again what it came to."""

ASKED_FOR_MS = 43_200_000
"""Beyond its time an order is asked for so long; a device remembers it for twice that."""

_DEVICES_AT_ONCE = 200
"""Devices that are served in one transaction."""

_MANY = 500
"""Devices of a tenant whose orders are looked up one by one."""

# Not of the device that is joined: SQLite would begin with all devices of the tenant.
_TENANT_OF_EACH = "(SELECT tenant FROM device WHERE device_id = o.device_id) = :tenant"
_MANY_DEVICES = "SELECT 1 FROM device WHERE tenant = ? LIMIT 1 OFFSET ?"

_FIND_DEVICE = "SELECT device_id FROM device WHERE tenant = :tenant AND device = :device"

_ADD = """
INSERT INTO device_order (order_id, device_id, kind, subject, body, condition, issued_ms, issued_by,
                          expires_ms, campaign_id)
VALUES (:order_id, :device_id, :kind, :subject, :body, :condition, :issued_ms, :issued_by,
        :expires_ms, :campaign_id)
"""

# Only what was never sent can be taken back: of the rest nobody knows whether it is done already.
_SUPERSEDE = """
UPDATE device_order SET ended = 'superseded', ended_ms = :now_ms, reason = :reason
WHERE device_id = :device_id AND subject = :subject AND cseq = 0 AND sent_ms = 0 AND ended IS NULL
"""

_WITHDRAW = """
UPDATE device_order SET ended = 'superseded', ended_ms = :now_ms, reason = :reason
WHERE order_id = :order_id AND cseq = 0 AND sent_ms = 0 AND ended IS NULL
RETURNING device_id
"""

# One that may have been sent by a ledger that was lost is the device's to call expired.
_EXPIRE = """
UPDATE device_order SET ended = 'expired', ended_ms = :now_ms,
  reason = 'it was not sent in time'
WHERE ended IS NULL AND cseq = 0 AND sent_ms = 0 AND expires_ms <= :now_ms
RETURNING device_id
"""

_COLUMNS = """
SELECT o.order_key, d.tenant, d.device, o.order_id, o.kind, o.body, o.condition, o.issued_ms,
       o.issued_by, o.expires_ms, o.epoch, o.cseq, o.sent_ms, o.sendings, o.ended, o.ended_ms,
       o.reason, o.output, l.epoch, l.cack, l.keys
FROM device_order o
JOIN device d ON d.device_id = o.device_id
LEFT JOIN order_line l ON l.device_id = o.device_id
"""

_LINE = "SELECT epoch, cack, next_cseq, keys FROM order_line WHERE device_id = ?"

_PUT_LINE = """
INSERT INTO order_line (device_id, epoch, cack, next_cseq, keys)
VALUES (:device_id, :epoch, :cack, :next_cseq, :keys)
ON CONFLICT (device_id) DO UPDATE SET
  epoch = :epoch, cack = :cack, next_cseq = :next_cseq, keys = :keys
"""

_AT_PLACE = """
SELECT order_id FROM device_order WHERE device_id = ? AND epoch = ? AND cseq = ? AND cseq > 0
"""

# Sent to a history that is no more: whether it was carried out there is not known, and carrying it
# out again would be twice.
_LOSE = """
UPDATE device_order SET ended = 'failed', ended_ms = :now_ms,
  reason = 'the device was put back or replaced before it told what this came to; '
        || 'look whether it was carried out, and give it again if not'
WHERE device_id = :device_id AND ended IS NULL AND cseq > 0 AND epoch < :epoch
"""

# The device knows their ids: those that it has carried out already it does not carry out again.
# What was not sent here may have been sent by the ledger that was lost, also what has expired here.
_FORGET_PLACES = """
UPDATE device_order SET cseq = 0, epoch = 0, due_ms = 0
WHERE device_id = :device_id AND epoch = :epoch AND cseq > 0 AND (ended IS NULL OR cseq > :cack)
"""
_ASK_OF_ALL = """
UPDATE device_order SET ended = NULL, ended_ms = 0, reason = NULL, due_ms = 0, sent_ms = :now_ms
WHERE device_id = :device_id AND sent_ms = 0 AND (ended IS NULL OR ended = 'expired')
  AND expires_ms > :now_ms - :asked_for_ms
"""

# What the device has need not be sent; its report is on its way up, behind this hello.
_DUE_AT_ONCE = """
UPDATE device_order SET due_ms = iif(cseq BETWEEN 1 AND :cack, :report_due_ms, 0)
WHERE device_id = :device_id AND ended IS NULL
"""

# The device may have forgotten them by now, and would call expired what it has done.
_GIVE_UP = """
UPDATE device_order SET ended = 'failed', ended_ms = :now_ms,
  reason = 'the device has it, and no report of it has come; look whether it was carried out'
WHERE device_id = :device_id AND ended IS NULL AND cseq BETWEEN 1 AND :cack
  AND expires_ms <= :now_ms - :asked_for_ms
"""

# Whether it is worth a transaction to look for what is due or too late.
_ANYTHING_TO_DO = """
SELECT EXISTS (
  SELECT 1 FROM device_order o
  JOIN device d ON d.device_id = o.device_id
  JOIN order_line l ON l.device_id = o.device_id
  WHERE o.ended IS NULL AND o.due_ms <= :now_ms AND d.online = 1 AND instr(l.keys, :key) > 0
) OR EXISTS (
  SELECT 1 FROM device_order
  WHERE ended IS NULL AND cseq = 0 AND sent_ms = 0 AND expires_ms <= :now_ms
)
"""

_IS_THERE = """
SELECT device_id FROM device WHERE tenant = :tenant AND device = :device AND online = 1
"""

# Devices that are there, take our orders, and have some that are due. The sign keeps SQLite from
# going through all orders in the order of their devices.
_WAITING_DEVICES = """
SELECT DISTINCT +o.device_id FROM device_order o
JOIN device d ON d.device_id = o.device_id
JOIN order_line l ON l.device_id = o.device_id
WHERE o.ended IS NULL AND o.due_ms <= :now_ms AND d.online = 1 AND instr(l.keys, :key) > 0
LIMIT :limit
"""

_OF_DEVICE = """
SELECT order_key, order_id, kind, body, condition, issued_ms, expires_ms, cseq, sendings, due_ms
FROM device_order
WHERE device_id = :device_id AND {which}
LIMIT :limit
"""

# What goes to a device, in this order. What has ended meanwhile keeps its place: without it the line
# would stop there.
_LINE_OF_DEVICE = [
    _OF_DEVICE.format(which=which)
    for which in (
        "epoch = :epoch AND cseq > :cack AND cseq > 0 ORDER BY cseq",
        "ended IS NULL AND cseq = 0 AND (expires_ms > :now_ms OR sent_ms > 0) ORDER BY order_key",
        "ended IS NULL AND cseq BETWEEN 1 AND :cack AND due_ms <= :now_ms ORDER BY cseq, order_key",
    )
]

_SENT = """
UPDATE device_order SET epoch = :epoch, cseq = :cseq, due_ms = :due_ms,
  sendings = sendings + 1, sent_ms = CASE WHEN sent_ms = 0 THEN :now_ms ELSE sent_ms END
WHERE order_key = :order_key
"""

# What a device says of an order counts more than what was thought of it here.
_END = """
UPDATE device_order SET ended = :state, ended_ms = :recorded_ms, reason = :reason,
  output = :output
WHERE order_id = :order_id AND device_id = :device_id
"""

_COME_SO_FAR = """
UPDATE order_line SET cack = MAX(cack, :cseq) WHERE device_id = :device_id AND epoch = :epoch
"""

_ENDS = frozenset(state.value for state in State if state not in orders.OPEN)

_COUNT = "SELECT COALESCE(MAX(order_key), 0) FROM device_order"

_TOUCH = "UPDATE device SET change = ? WHERE device_id = ?"

_ADDRESS = "SELECT tenant, device FROM device WHERE device_id = ?"


class Outbound(msgspec.Struct, frozen=True):
    """Orders to be signed and sent to one device, in this order."""

    address: Address
    epoch: int
    orders: list[Order]


class NewOrder(msgspec.Struct, frozen=True):
    """An order that is checked and about to be given."""

    order_id: str | None
    """None = it is given one."""
    address: Address
    kind: Kind
    subject: str
    body: bytes
    condition: bytes
    issued_by: str
    expires_ms: int
    campaign_id: str | None = None
    """None = it is given by itself."""


class Result(msgspec.Struct, frozen=True):
    """What a device says of an order."""

    device_id: int
    epoch: int
    recorded_ms: int
    told: OrderRecord


class OrderRefused(Exception):
    """Head of what stands against an order.

    OrderRefused
    ├── DeviceUnknown
    ├── OrderConflict
    └── OrderNotWithdrawn
    """


class DeviceUnknown(OrderRefused):
    """No device of this name has ever been heard of. Look for the name in the list of devices."""


class OrderConflict(OrderRefused):
    """Another order has this id. Give it another one, or the same content."""


class OrderNotWithdrawn(OrderRefused):
    """The order has been sent, or has ended. Give another that undoes what it does."""


def give(connection: Connection, new: NewOrder, *, now_ms: int) -> OrderView:
    """Put an order in line. The same again is the same order.

    Raises:
        DeviceUnknown: there is no such device.
        OrderConflict: the id is another order's.
    """
    device_id = _device(connection, new.address)
    order_id = new.order_id or _new_id(connection, new, now_ms)
    there = find(connection, order_id)
    if there is not None:
        same = (there.tenant, there.device, there.kind, there.body, there.condition)
        if same != (new.address.tenant, new.address.device, new.kind, new.body, new.condition):
            raise OrderConflict(f"id: another order has the id {order_id}")
        return there
    if new.subject:
        keys = {"device_id": device_id, "subject": new.subject, "now_ms": now_ms}
        reason = f"order {order_id} puts something newer"
        connection.execute(_SUPERSEDE, keys | {"reason": reason})
    row = {
        "order_id": order_id, "device_id": device_id, "kind": new.kind.value,
        "subject": new.subject, "body": new.body, "condition": new.condition,
        "issued_ms": now_ms, "issued_by": new.issued_by, "expires_ms": new.expires_ms,
        "campaign_id": new.campaign_id,
    }  # fmt: skip
    connection.execute(_ADD, row)
    _touch(connection, [device_id])
    given = find(connection, order_id)
    assert given is not None, "what was written can be read"
    return given


def _new_id(connection: Connection, new: NewOrder, now_ms: int) -> str:
    """An id that no order has had: also none that a copy of this ledger gave at another time."""
    count = connection.execute(_COUNT).fetchone()[0]
    said = f"{new.address.tenant}/{new.address.device} {new.kind} {new.expires_ms} {count} "
    digest = hashlib.sha256(said.encode() + new.body + new.condition).hexdigest()
    return f"{now_ms:012x}{digest[:20]}"


def withdraw(
    connection: Connection, order_id: str, *, now_ms: int, reason: str
) -> OrderView | None:
    """Take an order back that was not sent yet; None when there is none of this id.

    Raises:
        OrderNotWithdrawn: it has been sent, or has ended.
    """
    keys = {"order_id": order_id, "now_ms": now_ms, "reason": reason}
    taken = [row[0] for row in connection.execute(_WITHDRAW, keys).fetchall()]
    _touch(connection, taken)
    found = find(connection, order_id)
    if found is not None and not taken:
        raise OrderNotWithdrawn(f"order {order_id} is {found.state} and cannot be taken back")
    return found


def find(connection: Connection, order_id: str) -> OrderView | None:
    """An order; None when there is none of this id."""
    row = connection.execute(f"{_COLUMNS} WHERE o.order_id = ?", (order_id,)).fetchone()
    return None if row is None else _view(row)


def page(
    connection: Connection,
    *,
    tenant: str | None,
    device: str | None,
    open_only: bool,
    after: int | None,
    limit: int,
    kind: str | None = None,
    ended: str | None = None,
) -> OrderPage:
    """Orders, newest first.

    Args:
        connection: to the ledger.
        tenant, device: None = of all.
        open_only: only those that have come to nothing yet.
        kind: only those; None = of all kinds.
        ended: only those that have ended so; None = all.
        after: `next` of the page before.
        limit: of the page.
    """
    wanted = [
        (tenant_of(connection, tenant, device), tenant is not None),
        ("d.device = :device", device is not None),
        ("o.ended IS NULL", open_only),
        ("o.kind = :kind", kind is not None),
        # As the indexes have it.
        ("o.kind <> 'start'", kind not in (None, Kind.START)),
        ("o.ended = :ended", ended is not None),
        ("o.ended IN ('failed', 'expired', 'superseded')", ended not in (None, State.DONE)),
        ("o.order_key < :after", after is not None),
    ]
    where = " AND ".join(text for text, given in wanted if given) or "1 = 1"
    rows = connection.execute(
        f"{_COLUMNS} WHERE {where} ORDER BY o.order_key DESC LIMIT :limit",
        {
            "tenant": tenant,
            "device": device,
            "after": after,
            "limit": limit + 1,
            "kind": kind,
            "ended": ended,
        },
    ).fetchall()
    more = len(rows) > limit
    shown = rows[:limit]
    return OrderPage(rows=[_view(row) for row in shown], next=shown[-1][0] if more else None)


def tenant_of(connection: Connection, tenant: str | None, device: str | None) -> str:
    """The condition that finds a tenant's orders, newest first.

    Of a tenant with few devices these are looked up one by one. Of one with many that would be all
    of its orders: the newest orders are looked at then, each for its tenant.
    """
    if device is None and tenant is not None:
        many = connection.execute(_MANY_DEVICES, (tenant, _MANY)).fetchone()
        return _TENANT_OF_EACH if many is not None else "d.tenant = :tenant"
    return "d.tenant = :tenant"


def note_position(
    connection: Connection,
    device_id: int,
    *,
    epoch: int,
    position: Position | None,
    now_ms: int,
) -> None:
    """Take what a hello says of orders; what is open is due at once."""
    position = position or Position()
    keys = " ".join(sorted(one.hex() for one in position.keys))
    # Where no line is known, nothing was ever given: a device that has a place knows another ledger.
    line = connection.execute(_LINE, (device_id,)).fetchone() or (epoch, 0, 1)
    cack, next_cseq = position.cseq, position.cseq + 1
    if line[0] == epoch:
        if _went_back(connection, device_id, epoch, position, line[2]):
            everything = {"device_id": device_id, "cack": 2**53, "now_ms": now_ms}
            connection.execute(_GIVE_UP, everything | {"asked_for_ms": ASKED_FOR_MS})
            connection.execute(_ASK_OF_ALL, everything | {"asked_for_ms": ASKED_FOR_MS})
            places = {"device_id": device_id, "epoch": epoch, "cack": position.cseq}
            connection.execute(_FORGET_PLACES, places)
        else:
            # A hello may be older than what is known by now.
            cack, next_cseq = max(cack, line[1]), max(next_cseq, line[2])
    elif line[0] > epoch:
        return
    lost = {"device_id": device_id, "epoch": epoch, "now_ms": now_ms}
    connection.execute(_LOSE, lost)
    row = {
        "device_id": device_id, "epoch": epoch, "cack": cack, "next_cseq": next_cseq, "keys": keys
    }  # fmt: skip
    connection.execute(_PUT_LINE, row)
    report_due_ms = now_ms + REPORT_WAIT_MS
    place = {"device_id": device_id, "cack": cack, "report_due_ms": report_due_ms}
    connection.execute(_DUE_AT_ONCE, place)


def _went_back(
    connection: Connection, device_id: int, epoch: int, position: Position, next_cseq: int
) -> bool:
    """Whether the device has orders that this ledger does not know: it was put back to a copy."""
    if position.cseq >= next_cseq:
        return True
    row = connection.execute(_AT_PLACE, (device_id, epoch, position.cseq)).fetchone()
    return row is not None and row[0] != position.id


def expire(connection: Connection, *, now_ms: int) -> int:
    """End what was never sent and is too late now; how many those were."""
    devices = [row[0] for row in connection.execute(_EXPIRE, {"now_ms": now_ms}).fetchall()]
    _touch(connection, devices)
    return len(devices)


def anything_to_do(connection: Connection, *, key_id: bytes, now_ms: int) -> bool:
    """Whether `due` or `expire` would find something, or would if a line had room."""
    keys = {"now_ms": now_ms, "key": key_id.hex()}
    return bool(connection.execute(_ANYTHING_TO_DO, keys).fetchone()[0])


def due_to(
    connection: Connection, address: Address, *, key_id: bytes, now_ms: int
) -> Outbound | None:
    """What is to be sent to one device now, with its places given; None = nothing, or it is away.

    Args:
        connection: to the ledger, in a transaction.
        address: of the device.
        key_id: of the key that will sign.
        now_ms: the control plane's clock.
    """
    row = connection.execute(_IS_THERE, _names(address)).fetchone()
    return None if row is None else _due_of(connection, row[0], key_id.hex(), now_ms=now_ms)


def due(
    connection: Connection,
    *,
    key_id: bytes,
    greeted: Collection[Address],
    now_ms: int,
) -> list[Outbound]:
    """What is to be sent now, with its places given.

    Args:
        connection: to the ledger, in a transaction.
        key_id: of the key that will sign.
        greeted: devices that have just said hello: they are there, whatever is known of them.
        now_ms: the control plane's clock.
    """
    key = key_id.hex()
    rows = connection.execute(
        _WAITING_DEVICES, {"now_ms": now_ms, "key": key, "limit": _DEVICES_AT_ONCE}
    )
    devices = {row[0] for row in rows.fetchall()}
    for address in greeted:
        row = connection.execute(_FIND_DEVICE, _names(address)).fetchone()
        if row is not None:
            devices.add(row[0])
    found = []
    for device_id in sorted(devices):
        outbound = _due_of(connection, device_id, key, now_ms=now_ms)
        if outbound is not None:
            found.append(outbound)
            _touch(connection, [device_id])
    return found


def _due_of(connection: Connection, device_id: int, key: str, *, now_ms: int) -> Outbound | None:
    line = connection.execute(_LINE, (device_id,)).fetchone()
    if line is None or key not in line[3].split():
        return None
    epoch, cack, next_cseq = line[0], line[1], line[2]
    given_up = {"device_id": device_id, "cack": cack, "now_ms": now_ms}
    connection.execute(_GIVE_UP, given_up | {"asked_for_ms": ASKED_FOR_MS})
    keys = {"device_id": device_id, "epoch": epoch, "cack": cack, "now_ms": now_ms}
    rows: list[Sequence[Any]] = []
    for statement in _LINE_OF_DEVICE:
        room = UNDER_WAY - len(rows)
        rows += connection.execute(statement, keys | {"limit": room}).fetchall()
    going: list[Order] = []
    for order_key, order_id, kind, body, condition, issued, expires, cseq, sendings, due_ms in rows:
        # From the first that is due on, all are sent: the device takes them in line only.
        if not going and due_ms > now_ms:
            continue
        # What the device has and does not report goes to it again, under another place: it knows
        # the id, and reports once more what it came to.
        place = cseq if cseq > cack else next_cseq
        next_cseq = max(next_cseq, place + 1)
        going.append(Order(place, order_id, kind, body, issued, expires, condition))
        wait_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(sendings, 10))
        connection.execute(
            _SENT,
            {
                "order_key": order_key, "epoch": epoch, "cseq": place, "now_ms": now_ms,
                "due_ms": now_ms + wait_ms,
            },
        )  # fmt: skip
    if not going:
        return None
    row = {
        "device_id": device_id, "epoch": epoch, "cack": cack, "next_cseq": next_cseq,
        "keys": line[3],
    }  # fmt: skip
    connection.execute(_PUT_LINE, row)
    tenant, device = connection.execute(_ADDRESS, (device_id,)).fetchone()
    return Outbound(Address(tenant, device), epoch, going)


def end(connection: Connection, results: Sequence[Result]) -> None:
    """Take what devices say of their orders."""
    for result in results:
        told = result.told
        state = told.state if told.state in _ENDS else State.FAILED.value
        connection.execute(
            _END,
            {
                "device_id": result.device_id, "order_id": told.id, "state": state,
                "recorded_ms": result.recorded_ms, "reason": told.reason, "output": told.output,
            },
        )  # fmt: skip
        place = {"device_id": result.device_id, "epoch": result.epoch, "cseq": told.cseq}
        connection.execute(_COME_SO_FAR, place)
    _touch(connection, [result.device_id for result in results])


def _touch(connection: Connection, devices: Sequence[int]) -> None:
    """Tell the pages that something has changed around these devices."""
    if not devices:
        return
    change = take_changes(connection, len(devices))
    connection.executemany(
        _TOUCH, [(change + offset, device_id) for offset, device_id in enumerate(devices)]
    )


def _device(connection: Connection, address: Address) -> int:
    row = connection.execute(_FIND_DEVICE, _names(address)).fetchone()
    if row is None:
        raise DeviceUnknown(f"device: no {address.device!r} has ever been heard of")
    return int(row[0])


def _names(address: Address) -> dict[str, str]:
    return {"tenant": address.tenant, "device": address.device}


def _view(row: Sequence[object]) -> OrderView:
    columns: Iterator[object] = iter(row)
    shown = dict(zip(_FIELDS, columns, strict=True))
    state, waits_for = _state(shown)
    line = ("line_epoch", "line_cack", "line_keys", "order_key")
    fields = {name: value for name, value in shown.items() if name not in line}
    fields["ended"] = shown["ended"] is not None
    return msgspec.convert(fields | {"state": state, "waits_for": waits_for}, OrderView)


_FIELDS = (
    "order_key", "tenant", "device", "order_id", "kind", "body", "condition", "issued_ms",
    "issued_by", "expires_ms", "epoch", "cseq", "sent_ms", "sendings", "ended", "ended_ms",
    "reason", "output", "line_epoch", "line_cack", "line_keys",
)  # fmt: skip


def _state(shown: dict[str, object]) -> tuple[str, str]:
    """Where an order stands, and what it waits for."""
    ended, cseq, cack = shown["ended"], shown["cseq"], shown["line_cack"]
    if ended is not None:
        return str(ended), ""
    if not cseq:
        if shown["line_epoch"] is None:
            return State.QUEUED.value, "the device has not said yet that it takes orders"
        if not shown["line_keys"]:
            return State.QUEUED.value, "the device takes no orders: set its sync.order_keys"
        return State.QUEUED.value, "the device, or orders that go before"
    assert isinstance(cseq, int)
    if shown["epoch"] == shown["line_epoch"] and isinstance(cack, int) and cseq <= cack:
        return State.RECEIVED.value, "the device's report"
    return State.SENT.value, "the device"
