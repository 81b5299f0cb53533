"""Clocks of devices: what the ledger knows of them, and what their times mean on ours.

Nothing that a device wrote is rewritten: its times are corrected when they are shown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from sync.control_plane.changes import take_changes
from sync.control_plane.dialect import Connection
from sync.records import ClockRecord

DRIFT_PPM = 200
"""A device's clock goes wrong by so much at most while nobody looks."""

_BELIEVED_MS = 400 * 86_400_000
"""A clock of which nothing is known is taken for right when it shows less than so long ago: a device
without a battery shows decades."""

LATEST_MS = 2**53
"""No record has a later time."""

PLACED_AT_ONCE = 5_000
"""Executions of a device that are put into another place at most when something is learned of its
clock, the newest of them; what is before stays where it was."""

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

_READ_OF_DEVICES = """
SELECT device_id, at_ms, offset_ms, error_ms, jumps FROM clock
WHERE device_id IN (VALUES {places}) ORDER BY device_id, at_ms
"""


# Those between the measurements around a new one, and those in jumps that it tells of.
_BEGAN = """
SELECT execution_id, created_ms, came_ms, began_ms, workflow_id FROM execution
WHERE device_id = :device_id AND created_ms BETWEEN :from_ms AND :to_ms AND came_ms > 0
ORDER BY created_ms DESC, execution_id DESC
LIMIT :limit
"""

_PUT_BEGAN = "UPDATE execution SET began_ms = :began_ms WHERE execution_id = :execution_id"


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
        self._times = [point.at_ms for point in self._points]
        self._jumps = {jump for point in points for jump in point.jumps}

    def at(self, device_ms: int) -> Corrected:
        """A time that the device wrote, corrected by what was measured nearest to it."""
        if not self._points:
            return Corrected(device_ms, -1)
        # The nearest is one of its two neighbours: whatever is left out, time only adds up.
        after = bisect_left(self._times, device_ms)
        near = self._points[bisect_left(self._times, self._times[max(0, after - 1)]) :][:1]
        near += self._points[after : after + 1]
        point = min(near, key=lambda one: self._distance(one, device_ms))
        moved = self._passed_over(device_ms) - self._passed_over(point.at_ms)
        drift_ms = self._distance(point, device_ms) * DRIFT_PPM // 1_000_000
        at_ms = device_ms + point.offset_ms + moved
        return Corrected(at_ms, point.error_ms + drift_ms)

    def began(self, created_ms: int, came_ms: int) -> int:
        """When something began, on our clock, as far as that is known.

        Where nothing is known of the device's clock its time is believed when it is neither after
        the record came nor longer before than histories wait; else the time counts at which it came.

        Args:
            created_ms: what the device says.
            came_ms: when it was heard of first.
        """
        if self._points:
            return max(0, min(self.at(created_ms).at_ms, came_ms))
        return created_ms if 0 <= came_ms - created_ms <= _BELIEVED_MS else came_ms

    def _passed_over(self, device_ms: int) -> int:
        """What jumps have put right that was wrong at a time."""
        return sum(
            to_ms - from_ms
            for from_ms, to_ms, since_ms in self._jumps
            if since_ms <= device_ms <= from_ms
        )

    def reach_of(self, told: Sequence[ClockRecord]) -> list[tuple[int, int]]:
        """Which times some of its points may have a say in, from and to, both included."""
        new = {point.at_ms for point in told}
        known = {jump for point in self._points if point.at_ms not in new for jump in point.jumps}
        found = []
        for point in told:
            before = bisect_left(self._times, point.at_ms)
            after = bisect_right(self._times, point.at_ms)
            low = self._times[before - 1] if before else 0
            high = self._times[after] if after < len(self._times) else LATEST_MS
            for from_ms, _, since_ms in {*point.jumps} - known:
                low, high = min(low, since_ms), max(high, from_ms)
            found.append((low, high))
        return found

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


def touch(connection: Connection, seen: Sequence[Seen]) -> None:
    """Have the list of devices show anew those that have told of their clocks."""
    devices = sorted({one.device_id for one in seen})
    change = take_changes(connection, len(devices))
    connection.executemany(
        "UPDATE device SET change = :change WHERE device_id = :device_id",
        [{"change": change + at, "device_id": one} for at, one in enumerate(devices)],
    )


def place(connection: Connection, seen: Sequence[Seen]) -> dict[tuple[int, str], int]:
    """Put executions where they belong by what is known now, after `note`.

    Returns:
        Of those that were put elsewhere, by device and workflow id, when they began before.
    """
    moved: dict[tuple[int, str], int] = {}
    for device_id in sorted({one.device_id for one in seen}):
        known = of_device(connection, device_id)
        told = [one.told for one in seen if one.device_id == device_id]
        for from_ms, to_ms in known.reach_of(told):
            keys = {"device_id": device_id, "from_ms": from_ms, "to_ms": to_ms}
            rows = connection.execute(_BEGAN, keys | {"limit": PLACED_AT_ONCE}).fetchall()
            placed = []
            for execution_id, created_ms, came_ms, before_ms, workflow_id in rows:
                began_ms = known.began(created_ms, came_ms)
                if began_ms != before_ms:
                    placed.append({"execution_id": execution_id, "began_ms": began_ms})
                    moved.setdefault((device_id, workflow_id), before_ms)
            connection.executemany(_PUT_BEGAN, placed)
    return moved


def read(connection: Connection, *, tenant: str, device: str) -> Correction:
    """What is known of a device's clock."""
    return _correction(connection.execute(_READ, {"tenant": tenant, "device": device}).fetchall())


def of_device(connection: Connection, device_id: int) -> Correction:
    """What is known of the clock of a device of this ledger."""
    return _correction(connection.execute(_READ_OF_DEVICE, {"device_id": device_id}).fetchall())


def of_devices(connection: Connection, device_ids: Sequence[int]) -> dict[int, Correction]:
    """What is known of the clocks of some devices of this ledger, at least one."""
    places = ", ".join(f"({int(one)})" for one in device_ids)
    found = connection.execute(_READ_OF_DEVICES.format(places=places)).fetchall()
    rows: dict[int, list[Any]] = {one: [] for one in device_ids}
    for device_id, *row in found:
        rows[device_id].append(row)
    return {one: _correction(points) for one, points in rows.items()}


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
