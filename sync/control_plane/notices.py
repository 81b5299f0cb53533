"""Notices: things about devices that a person should know, told by the protocol itself.

Who is told of them, and how, is not known here.
"""

from __future__ import annotations

from sync.control_plane.dialect import Connection
from sync.control_plane.views import NoticeView
from sync.receiver import Notice

_NOTE = """
INSERT INTO notice (device_id, kind, text, first_ms, last_ms, times)
VALUES (:device_id, :kind, :text, :now_ms, :now_ms, 1)
ON CONFLICT (device_id, kind, text) DO UPDATE SET
  last_ms = :now_ms, times = notice.times + 1
"""

_READ = """
SELECT n.notice_id, d.tenant, d.device, n.kind, n.text, n.first_ms, n.last_ms, n.times
FROM notice n JOIN device d ON d.device_id = n.device_id
WHERE d.tenant = :tenant AND n.last_ms > :after_ms AND n.last_ms <= (
  SELECT MAX(last_ms) FROM (
    SELECT notice.last_ms FROM notice JOIN device ON device.device_id = notice.device_id
    WHERE device.tenant = :tenant AND notice.last_ms > :after_ms
      AND (:device IS NULL OR device.device = :device)
    ORDER BY notice.last_ms
    LIMIT :limit
  ) AS page
) AND (:device IS NULL OR d.device = :device)
ORDER BY n.last_ms, n.notice_id
"""

_NEWEST = """
SELECT n.notice_id, d.tenant, d.device, n.kind, n.text, n.first_ms, n.last_ms, n.times
FROM notice n JOIN device d ON d.device_id = n.device_id
WHERE d.tenant = :tenant AND (:device IS NULL OR d.device = :device)
ORDER BY n.last_ms DESC, n.notice_id DESC
LIMIT :limit
"""


def note(connection: Connection, device_id: int, notice: Notice, *, now_ms: int) -> None:
    """Keep a notice; the same again is counted."""
    row = {"device_id": device_id, "kind": notice.kind, "text": notice.text, "now_ms": now_ms}
    connection.execute(_NOTE, row)


def newest(
    connection: Connection, *, tenant: str, limit: int, device: str | None = None
) -> list[NoticeView]:
    """The newest notices, of one device or with None of all, newest first."""
    keys = {"tenant": tenant, "limit": limit, "device": device}
    return [NoticeView(*row) for row in connection.execute(_NEWEST, keys).fetchall()]


def read(
    connection: Connection,
    *,
    tenant: str,
    after_ms: int,
    limit: int,
    device: str | None = None,
) -> list[NoticeView]:
    """Notices that came, or came again, after a moment; oldest first. Device None = of all.

    There are more than ``limit`` when the last ones came in one millisecond: whoever goes on from
    there would not get those that were left out.
    """
    keys = {"tenant": tenant, "after_ms": after_ms, "limit": limit, "device": device}
    rows = connection.execute(_READ, keys)
    return [NoticeView(*row) for row in rows.fetchall()]
