"""Looks at stored segments again and again: storage flips bits, and nobody may read a row for years.

A frame carries a CRC-32 of its header and one of its body, which are kept as they came; what the
columns beside it say has to lie in the range of the header. A segment that is damaged is put into
quarantine with the reason, where it is counted and told by its range. Nothing is acknowledged here:
what a device has been told is safe, it may hold no longer.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import structlog

from sync import frames
from sync.control_plane.dialect import Connection

_PAGE = """
SELECT segment_id, tenant, device, epoch, lane, first_seq, count, payload
  FROM segment JOIN device USING (device_id)
 WHERE segment_id > :after AND quarantined IS NULL
 ORDER BY segment_id
 LIMIT :limit
"""
_ONE = """
SELECT segment_id, tenant, device, epoch, lane, first_seq, count, payload
  FROM segment JOIN device USING (device_id)
 WHERE segment_id = :segment_id AND quarantined IS NULL
"""
_QUARANTINE = """
UPDATE segment SET quarantined = :reason WHERE segment_id = :segment_id
"""

log = structlog.get_logger(__name__)


class Page(NamedTuple):
    """What a look at some segments has found."""

    last: int
    """Number of the last one that was looked at; 0 = there were none."""
    damaged: int


def look(connection: Connection, *, after: int, limit: int) -> Page:
    """Look at the segments behind a number; those that are damaged are put into quarantine."""
    rows = connection.execute(_PAGE, {"after": after, "limit": limit}).fetchall()
    damaged = sum(_judge(connection, row) for row in rows)
    return Page(rows[-1][0] if rows else 0, damaged)


def look_at(connection: Connection, segment_id: int) -> None:
    """Look at one segment, because it could not be read."""
    for row in connection.execute(_ONE, {"segment_id": segment_id}).fetchall():
        _judge(connection, row)


def _judge(connection: Connection, row: tuple[int, str, str, int, int, int, int, bytes]) -> bool:
    """Whether a segment is damaged; then it is in quarantine, and told."""
    segment_id, tenant, device, epoch, lane, first_seq, count, payload = row
    reason = _damage(epoch, lane, first_seq, count, bytes(payload))
    if not reason:
        return False
    log.error(
        "segment_damaged",
        tenant=tenant,
        device=device,
        epoch=epoch,
        lane=lane,
        first_seq=first_seq,
        last_seq=first_seq + count - 1,
        reason=reason,
    )
    quarantine(connection, segment_id, reason=f"damaged in the ledger: {reason}")
    return True


def quarantine(connection: Connection, segment_id: int, *, reason: str) -> None:
    """Put a segment into quarantine, where it is kept whole and counted."""
    connection.execute(_QUARANTINE, {"segment_id": segment_id, "reason": reason})


def _damage(epoch: int, lane: int, first_seq: int, count: int, payload: bytes) -> str:
    """What is wrong with a segment that could be read when it came; "" = nothing."""
    try:
        header, crc = frames.decode_header(payload)
    except frames.HeaderError as error:
        return str(error)
    if zlib.crc32(payload[frames.HEADER_BYTES :]) != crc:
        return "the body's checksum is wrong"
    # A frame that overlaps what was there already is stored in part.
    inside = header.first_seq <= first_seq and first_seq + count <= header.first_seq + header.count
    if (header.epoch, header.lane) != (epoch, lane) or not inside:
        return "its columns are not what its frame says"
    return ""
