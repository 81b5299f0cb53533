"""What was ordered to be fetched from devices: how far it has come, its content, and its end.

Orders are given elsewhere. Content lies in the segments, as it came; when it is removed its bytes are
taken out of them, and the records stay: no sequence is ever missing for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from sync import frames
from sync.codecs import Codec
from sync.control_plane import orders
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.orders import OrderNotWithdrawn, tenant_of
from sync.control_plane.views import OrderView
from sync.orders import FETCHES, OPEN, State
from sync.records import FetchedRecord, PartRecord, Record, RecordError, decode_body, encode_body

# As the schema lists them: SQLite takes an index of some rows for the very same words only.
_KINDS = "'fetch-journal', 'fetch-task-logs', 'fetch-file', 'fetch-execution'"
assert {one.value for one in FETCHES} == set(_KINDS.replace("'", "").split(", "))

# Told once; after an epoch was begun the same may come again.
_PUT = """
INSERT INTO fetched (device_id, order_id, epoch, state, reason, name, media_type, size_bytes,
                     sha256, count, first_seq, cut, ver)
VALUES (:device_id, :order_id, :epoch, :state, :reason, :name, :media_type, :size_bytes, :sha256,
        :count, :first_seq, :cut, :ver)
ON CONFLICT (device_id, order_id) DO UPDATE SET
  epoch = :epoch, state = :state, reason = :reason, name = :name, media_type = :media_type,
  size_bytes = :size_bytes, sha256 = :sha256, count = :count, first_seq = :first_seq, cut = :cut,
  ver = :ver
WHERE :ver > fetched.ver
"""

# A chunk that was there once is better than the news that it is gone now.
_PUT_PART = """
INSERT INTO fetched_part (device_id, order_id, part, missing, segment_id, seq, size_bytes, ver)
VALUES (:device_id, :order_id, :part, :missing, :segment_id, :seq, :size_bytes, :ver)
ON CONFLICT (device_id, order_id, part) DO UPDATE SET
  missing = :missing, segment_id = :segment_id, seq = :seq, size_bytes = :size_bytes, ver = :ver
WHERE (1 - :missing, :ver) > (1 - fetched_part.missing, fetched_part.ver)
"""

_ONE = """
SELECT o.order_id, f.state, f.reason, f.name, f.media_type, f.size_bytes, f.sha256, f.count,
       f.first_seq, f.cut, f.epoch,
       (SELECT COUNT(*) FROM fetched_part p
         WHERE p.device_id = o.device_id AND p.order_id = o.order_id AND p.missing = 0) AS held,
       (SELECT COALESCE(SUM(p.size_bytes), 0) FROM fetched_part p
         WHERE p.device_id = o.device_id AND p.order_id = o.order_id AND p.missing = 0) AS bytes,
       (SELECT MAX(c.acked) FROM cursor c
         WHERE c.device_id = o.device_id AND c.lane = 3 AND c.epoch >= f.epoch) AS acked
FROM device_order o
LEFT JOIN fetched f ON f.device_id = o.device_id AND f.order_id = o.order_id
WHERE o.order_id = :order_id
"""

_REMOVED = "SELECT 1 FROM fetch_removed WHERE order_id = ?"

_PARTS = """
SELECT p.part, p.seq, s.payload
FROM fetched_part p
JOIN device_order o ON o.device_id = p.device_id AND o.order_id = p.order_id
JOIN segment s ON s.segment_id = p.segment_id
WHERE o.order_id = :order_id AND p.missing = 0 AND p.part >= :first AND p.part < :until
ORDER BY p.part
"""

_REMOVE = """
INSERT INTO fetch_removed (order_id, device_id, removed_ms)
SELECT order_id, device_id, :now_ms FROM device_order WHERE order_id = :order_id
ON CONFLICT (order_id) DO NOTHING
"""

_OLD = f"""
SELECT order_id FROM device_order
WHERE kind IN ({_KINDS}) AND issued_ms < :before_ms
  AND order_id NOT IN (SELECT order_id FROM fetch_removed)
ORDER BY order_key LIMIT :limit
"""

_TO_EMPTY = """
SELECT DISTINCT p.segment_id FROM fetched_part p
JOIN fetch_removed r ON r.order_id = p.order_id AND r.device_id = p.device_id
WHERE p.missing = 0
LIMIT :limit
"""

_ORDERS_IN = """
SELECT DISTINCT p.order_id FROM fetched_part p
JOIN fetch_removed r ON r.order_id = p.order_id AND r.device_id = p.device_id
WHERE p.segment_id = :segment_id AND p.missing = 0
"""

_SEGMENT = "SELECT payload FROM segment WHERE segment_id = ?"
_PUT_SEGMENT = "UPDATE segment SET payload = :payload WHERE segment_id = :segment_id"
_EMPTIED = """
UPDATE fetched_part SET missing = 1, size_bytes = 0
WHERE segment_id = :segment_id AND order_id = :order_id
"""

_OLD_AT_ONCE = 100


class Told(NamedTuple):
    """What a device says that it has found."""

    device_id: int
    epoch: int
    ver: bytes
    """Sorts by recency."""
    told: FetchedRecord


class Part(NamedTuple):
    """A chunk that has arrived."""

    device_id: int
    ver: bytes
    segment_id: int
    seq: int
    body: PartRecord


class FetchView(msgspec.Struct, frozen=True):
    """One thing that was ordered to be fetched."""

    order: OrderView
    state: str
    """``waiting``: the device has not taken it on; ``looking``; ``arriving``; ``complete``;
    ``incomplete``: some of it was dropped or removed before it was sent; ``gone``: the device does
    not have it; ``refused``: it is more than may be sent; ``failed``: the order has failed."""
    reason: str
    """For people; empty when nothing is in the way."""
    name: str
    media_type: str
    """Empty where the answer is an execution's history."""
    size_bytes: int
    sha256: str
    parts: int
    arrived: int
    """Parts of a file, or records of an execution, that are here."""
    arrived_bytes: int
    cut: bool


class FetchPage(NamedTuple):
    """Some of them, newest first."""

    rows: list[FetchView]
    next: int | None


def note(connection: Connection, told: Sequence[Told], parts: Sequence[Part]) -> None:
    """Bring into view what devices have told and sent."""
    connection.executemany(
        _PUT,
        [
            msgspec.structs.asdict(one.told)
            | {
                "device_id": one.device_id,
                "epoch": one.epoch,
                "ver": one.ver,
                "cut": int(one.told.cut),
            }
            for one in told
        ],
    )
    connection.executemany(
        _PUT_PART,
        [
            {
                "device_id": one.device_id,
                "order_id": one.body.order_id,
                "part": one.body.index,
                "missing": int(_is_missing(one.body)),
                "ver": one.ver,
                "segment_id": one.segment_id,
                "seq": one.seq,
                "size_bytes": len(one.body.content),
            }
            for one in parts
        ],
    )


def _is_missing(part: PartRecord) -> bool:
    return part.missing or hashlib.sha256(part.content).digest() != part.sha256


def find(connection: Connection, order_id: str) -> FetchView | None:
    """How far one has come; None = there is none of this id, or it was removed."""
    order = orders.find(connection, order_id)
    if order is None or order.kind not in FETCHES:
        return None
    if connection.execute(_REMOVED, (order_id,)).fetchone() is not None:
        return None
    return _view(order, named_rows(connection, _ONE, {"order_id": order_id})[0])


def page(
    connection: Connection, *, tenant: str, device: str | None, after: int | None, limit: int
) -> FetchPage:
    """Those of a tenant, newest first; `after` = `next` of the page before."""
    wanted = [
        (f"o.kind IN ({_KINDS})", True),
        ("o.order_id NOT IN (SELECT order_id FROM fetch_removed)", True),
        (tenant_of(connection, tenant, device), True),
        ("d.device = :device", device is not None),
        ("o.order_key < :after", after is not None),
    ]
    where = " AND ".join(text for text, given in wanted if given)
    rows = connection.execute(
        "SELECT o.order_key, o.order_id FROM device_order o "
        f"JOIN device d ON d.device_id = o.device_id WHERE {where} "
        "ORDER BY o.order_key DESC LIMIT :limit",
        {"tenant": tenant, "device": device, "after": after, "limit": limit + 1},
    ).fetchall()
    more, shown = len(rows) > limit, rows[:limit]
    found = [find(connection, row[1]) for row in shown]
    views = [one for one in found if one is not None]
    return FetchPage(views, shown[-1][0] if more else None)


def _view(order: OrderView, row: dict[str, Any]) -> FetchView:
    state, reason = _state(order, row)
    is_file = bool(row["media_type"])
    count, acked = row["count"] or 0, row["acked"] or 0
    come = row["held"] if is_file else max(0, min(count, acked - (row["first_seq"] or 0) + 1))
    return FetchView(
        order=order,
        state=state,
        reason=reason,
        name=row["name"] or "",
        media_type=row["media_type"] or "",
        size_bytes=row["size_bytes"] or 0,
        sha256=row["sha256"] or "",
        parts=count,
        arrived=come,
        arrived_bytes=int(row["bytes"]),
        cut=bool(row["cut"]),
    )


def _state(order: OrderView, row: dict[str, Any]) -> tuple[str, str]:
    """How far it has come, and why no further."""
    if row["state"] is None:
        if order.state in OPEN:
            return "waiting", order.waits_for
        if order.state != State.DONE:
            return "failed", order.reason or f"the order has {order.state}"
        return "looking", ""
    if row["state"] != "found":
        return row["state"], row["reason"] or ""
    over = (row["acked"] or 0) >= row["first_seq"] + row["count"] - 1
    if not row["media_type"]:
        return ("complete" if over else "arriving"), ""
    if row["held"] == row["count"]:
        return "complete", ""
    if over:
        lost = row["count"] - row["held"]
        return "incomplete", f"{lost} of {row['count']} parts were dropped or had been removed"
    return "arriving", ""


def content(connection: Connection, order_id: str, first: int, count: int) -> list[bytes]:
    """Some parts of a file that is complete, in order; fewer when one cannot be read."""
    keys = {"order_id": order_id, "first": first, "until": first + count}
    found: list[bytes] = []
    for part, seq, payload in connection.execute(_PARTS, keys).fetchall():
        chunk = _chunk(bytes(payload), seq)
        if chunk is None or part != first + len(found):
            break
        found.append(chunk)
    return found


def _chunk(payload: bytes, seq: int) -> bytes | None:
    """The bytes of one part; None when the segment is damaged."""
    try:
        frame = frames.decode(payload)
        record = frame.records[seq - frame.header.first_seq]
        body = decode_body(record.kind, record.body)
    except (frames.FrameError, RecordError):
        return None
    if isinstance(body, PartRecord) and not _is_missing(body):
        return body.content
    return None


# Removal.


def remove(connection: Connection, order_id: str, *, now_ms: int, reason: str) -> None:
    """Show it no more, and take back the order if it was not sent; `empty` does the rest."""
    connection.execute(_REMOVE, {"order_id": order_id, "now_ms": now_ms})
    try:
        orders.withdraw(connection, order_id, now_ms=now_ms, reason=reason)
    except OrderNotWithdrawn:
        # What the device sends of it yet is emptied when it has come.
        return


def remove_old(connection: Connection, *, before_ms: int, now_ms: int) -> int:
    """Remove some of those that were ordered before; how many."""
    keys = {"before_ms": before_ms, "limit": _OLD_AT_ONCE}
    old = [row[0] for row in connection.execute(_OLD, keys).fetchall()]
    for order_id in old:
        remove(connection, order_id, now_ms=now_ms, reason="it has become too old")
    return len(old)


def empty(connection: Connection, *, limit: int) -> int:
    """Take the content of what was removed out of some segments; how many of them had any."""
    segments = [row[0] for row in connection.execute(_TO_EMPTY, {"limit": limit}).fetchall()]
    for segment_id in segments:
        rows = connection.execute(_ORDERS_IN, {"segment_id": segment_id}).fetchall()
        gone = {row[0] for row in rows}
        payload = bytes(connection.execute(_SEGMENT, (segment_id,)).fetchone()[0])
        emptied = _without(payload, gone)
        if emptied is not None:
            connection.execute(_PUT_SEGMENT, {"payload": emptied, "segment_id": segment_id})
        connection.executemany(
            _EMPTIED, [{"segment_id": segment_id, "order_id": one} for one in sorted(gone)]
        )
    return len(segments)


def _without(payload: bytes, gone: set[str]) -> bytes | None:
    """A frame of the same records without the content of some; None when it cannot be read."""
    try:
        frame = frames.decode(payload)
    except frames.FrameError:
        return None
    header = frame.header
    return frames.encode(
        list(_emptied(frame.records, gone)),
        epoch=header.epoch,
        oldest_seq=header.oldest_seq,
        codec=Codec(header.codec),
    )


def _emptied(records: Sequence[Record], gone: set[str]) -> Iterator[Record]:
    for record in records:
        try:
            body = decode_body(record.kind, record.body)
        except RecordError:
            yield record
            continue
        if isinstance(body, PartRecord) and body.order_id in gone:
            body = msgspec.structs.replace(body, content=b"", missing=True)
            yield msgspec.structs.replace(record, body=encode_body(body))
        else:
            yield record
