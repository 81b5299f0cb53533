"""Takes a device out of the ledger, with all that is known of it, when a person has said so.

No request is read here, and nothing is removed that others have: the audit, alerts that were told,
figures of the control plane itself. It is one transaction, so that a device is there or is not.
"""

from __future__ import annotations

import msgspec

from sync.control_plane import fleet, tally
from sync.control_plane.dialect import Connection

_COUNTED = """
SELECT (SELECT COALESCE(SUM(count), 0) FROM segment WHERE device_id = :device_id),
       (SELECT COUNT(*) FROM execution WHERE device_id = :device_id),
       (SELECT COUNT(*) FROM device_order WHERE device_id = :device_id)
"""

_SHRINK_CAMPAIGNS = """
UPDATE campaign SET removed = removed + 1 WHERE campaign_id IN (
  SELECT campaign_id FROM campaign_member WHERE device_id = :device_id
)
"""

# It may have been known by this device alone, and have tokens and groups that are still to be seen.
_KEEP_TENANT = """
INSERT OR IGNORE INTO tenant (tenant, title, created_ms) VALUES (:tenant, '', :now_ms)
"""

_FORGET_UNREAD = """
DELETE FROM unread WHERE segment_id IN (SELECT segment_id FROM segment WHERE device_id = :device_id)
"""

# Those that lead to others stand before them.
_OF_DEVICE = (
    "evidence", "task", "execution", "device_hour", "fetched_part", "fetched", "fetch_removed",
    "shed", "clock", "gap", "cursor", "segment", "device_run", "device_place", "notice",
    "order_line", "campaign_member", "device_order", "device_group_member", "device_tag", "fleet",
    "device",
)  # fmt: skip
"""Every table with rows of one device."""


class Removed(msgspec.Struct, frozen=True):
    """A device that is gone, and what has gone with it."""

    device: str
    records: int
    """Of its history, that were stored."""
    executions: int
    orders: int
    """That it was ever given."""


class DeviceConnected(Exception):
    """A device that is connected cannot be removed: it would be there again, without its past.

    Args:
        device: its name.
    """

    def __init__(self, device: str) -> None:
        super().__init__(
            f"device: {device} is connected as far as is known, and would show up again at once, "
            "without its history; stop it, or take its rights at the broker, and remove it then"
        )


def remove(connection: Connection, tenant: str, device: str, *, now_ms: int) -> Removed | None:
    """Remove a device, with its history; it may be registered again, or show up anew.

    Its tenant stays, also where it was the last one.

    Returns:
        What has gone; None = there is no such device.

    Raises:
        DeviceConnected: nothing was changed.
    """
    row = connection.execute(
        "SELECT device_id, online FROM device WHERE tenant = ? AND device = ?", (tenant, device)
    ).fetchone()
    if row is None:
        return None
    if row[1]:
        raise DeviceConnected(device)
    keys = {"device_id": row[0]}
    records, executions, orders = connection.execute(_COUNTED, keys).fetchone()
    tally.leave_out(connection, row[0])
    fleet.leave_out(connection, row[0])
    connection.execute(_SHRINK_CAMPAIGNS, keys)
    connection.execute(_FORGET_UNREAD, keys)
    for table in _OF_DEVICE:
        connection.execute(f"DELETE FROM {table} WHERE device_id = :device_id", keys)
    connection.execute(_KEEP_TENANT, {"tenant": tenant, "now_ms": now_ms})
    return Removed(device, int(records), int(executions), int(orders))
