"""The ledger's gaps: ranges that will not come, and what devices have told of them.

That a range is a gap is decided by the receiver; here it is shown, with its reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from sync.control_plane.dialect import Connection
from sync.control_plane.views import GapView
from sync.records import GapRecord

_PUT = """
INSERT INTO shed (device_id, epoch, lane, first_seq, last_seq, reason, size_bytes, kinds,
                  recorded_ms)
VALUES (:device_id, :epoch, :lane, :first_seq, :last_seq, :reason, :size_bytes, :kinds,
        :recorded_ms)
ON CONFLICT (device_id, epoch, lane, first_seq) DO UPDATE SET
  last_seq = :last_seq, reason = :reason, size_bytes = :size_bytes, kinds = :kinds,
  recorded_ms = :recorded_ms
"""

_GAPS = """
SELECT g.device_id, g.epoch, g.lane, g.first_seq, g.last_seq, g.noted_ms
FROM gap g JOIN device d ON d.device_id = g.device_id
WHERE d.tenant = :tenant AND d.device = :device
ORDER BY g.epoch DESC, g.lane, g.first_seq
LIMIT 1000
"""

_SHED = """
SELECT first_seq, last_seq, reason, kinds FROM shed
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane
  AND first_seq <= :last_seq AND last_seq >= :first_seq
ORDER BY first_seq
"""


class Shed(msgspec.Struct, frozen=True):
    """What a device says that it has given up."""

    device_id: int
    epoch: int
    recorded_ms: int
    told: GapRecord


def note(connection: Connection, shed: Sequence[Shed]) -> None:
    """Keep what devices say of their gaps; the same again changes nothing."""
    connection.executemany(
        _PUT,
        [
            {
                "device_id": one.device_id,
                "epoch": one.epoch,
                "lane": int(one.told.lane),
                "first_seq": one.told.first_seq,
                "last_seq": one.told.last_seq,
                "reason": one.told.reason,
                "size_bytes": one.told.size_bytes,
                "kinds": msgspec.json.encode(one.told.kinds),
                "recorded_ms": one.recorded_ms,
            }
            for one in shed
        ],
    )


def read(connection: Connection, *, tenant: str, device: str) -> list[GapView]:
    """The gaps of a device, newest epoch first, at most 1,000."""
    found = []
    rows = connection.execute(_GAPS, {"tenant": tenant, "device": device}).fetchall()
    for device_id, epoch, lane, first, last, noted_ms in rows:
        place = {
            "device_id": device_id, "epoch": epoch, "lane": lane,
            "first_seq": first, "last_seq": last,
        }  # fmt: skip
        shed, reasons, kinds = 0, set(), Counter[str]()
        for from_seq, to_seq, reason, counts in connection.execute(_SHED, place).fetchall():
            shed += min(to_seq, last) - max(from_seq, first) + 1
            reasons.add(reason)
            kinds.update(msgspec.json.decode(bytes(counts), type=dict[str, int]))
        view = GapView(epoch, lane, first, last, noted_ms, shed, sorted(reasons), dict(kinds))
        found.append(view)
    return found
