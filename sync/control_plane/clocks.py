"""Clocks of devices: what the ledger knows of them, and what their times mean on ours.

Nothing that a device wrote is rewritten: its times are corrected when they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sync.control_plane.dialect import Connection
from sync.records import ClockRecord

DRIFT_PPM = 200
"""A device's clock goes wrong by so much at most while nobody looks."""

_PUT = """
INSERT INTO clock (device_id, epoch, at_ms, offset_ms, error_ms, jumps)
VALUES (:device_id, :epoch, :at_ms, :offset_ms, :error_ms, :jumps)
ON CONFLICT (device_id, epoch, at_ms) DO UPDATE SET
  offset_ms = :offset_ms, error_ms = :error_ms, jumps = :jumps
"""

_READ = """
SELECT c.at_ms, c.offset_ms, c.error_ms, c.jumps
FROM clock c JOIN device d ON d.device_id = c.device_id
WHERE d.tenant = :tenant AND d.device = :device
ORDER BY c.at_ms
"""


_READ_OF_DEVICE = """
SELECT at_ms, offset_ms, error_ms, jumps FROM clock WHERE device_id = :device_id ORDER BY at_ms
"""


class Seen(msgspec.Struct, frozen=True):
    """What a device says of its clock."""

    device_id: int
    epoch: int
    told: ClockRecord


class Corrected(msgspec.Struct, frozen=True):
    """A device's time on our clock."""

    at_ms: int
    error_ms: int
    """How far it may be wrong; -1 = nothing is known of that clock."""


class Correction:
    """What a device's times mean on our clock.

    Args:
        points: what is known of its clock.
    """

    def __init__(self, points: Sequence[ClockRecord]) -> None:
        self._points = sorted(points, key=_at)
        self._jumps = {jump for point in points for jump in point.jumps}

    def at(self, device_ms: int) -> Corrected:
        """A time that the device wrote, corrected by what was measured nearest to it."""
        if not self._points:
            return Corrected(device_ms, -1)
        point = min(self._points, key=lambda one: self._distance(one, device_ms))
        moved = self._passed_over(device_ms) - self._passed_over(point.at_ms)
        drift_ms = self._distance(point, device_ms) * DRIFT_PPM // 1_000_000
        at_ms = device_ms + point.offset_ms + moved
        return Corrected(at_ms, point.error_ms + drift_ms)

    def _passed_over(self, device_ms: int) -> int:
        """What jumps have put right that was wrong at a time."""
        return sum(
            to_ms - from_ms
            for from_ms, to_ms, since_ms in self._jumps
            if since_ms <= device_ms <= from_ms
        )

    def _distance(self, point: ClockRecord, device_ms: int) -> int:
        """How much time lies between a measurement and a time, jumps left out."""
        low, high = sorted((point.at_ms, device_ms))
        skipped = sum(
            to_ms - from_ms for from_ms, to_ms, _ in self._jumps if low <= from_ms and to_ms <= high
        )
        return high - low - skipped


def _at(point: ClockRecord) -> int:
    return point.at_ms


def note(connection: Connection, seen: Sequence[Seen]) -> None:
    """Keep what devices say of their clocks; the same again changes nothing."""
    connection.executemany(
        _PUT,
        [
            {
                "device_id": one.device_id,
                "epoch": one.epoch,
                "at_ms": one.told.at_ms,
                "offset_ms": one.told.offset_ms,
                "error_ms": one.told.error_ms,
                "jumps": msgspec.json.encode(one.told.jumps),
            }
            for one in seen
        ],
    )


def read(connection: Connection, *, tenant: str, device: str) -> Correction:
    """What is known of a device's clock."""
    return _correction(connection.execute(_READ, {"tenant": tenant, "device": device}).fetchall())


def of_device(connection: Connection, device_id: int) -> Correction:
    """What is known of the clock of a device of this ledger."""
    return _correction(connection.execute(_READ_OF_DEVICE, {"device_id": device_id}).fetchall())


def _correction(rows: Sequence[Any]) -> Correction:
    return Correction(
        [
            ClockRecord(
                at_ms,
                offset_ms,
                error_ms,
                msgspec.json.decode(bytes(jumps), type=list[tuple[int, int, int]]),
            )
            for at_ms, offset_ms, error_ms, jumps in rows
        ]
    )
