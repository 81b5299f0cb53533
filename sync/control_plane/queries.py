"""What the pages ask of the ledger: read-only statements and the rows they become.

Nothing is written here.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from sync import frames
from sync.control_plane import tally
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.execution_search import execution_row, mark, read_mark
from sync.control_plane.fleet import state_of
from sync.control_plane.search_terms import folded
from sync.control_plane.views import (
    Change,
    DeviceView,
    EvidenceContent,
    EvidenceView,
    ExecutionPage,
    ExecutionView,
    LagReport,
    Summary,
    TaskView,
)
from sync.records import EvidenceRecord, RecordError, decode_body

PAGE_LIMIT = 500
CHANGES_LIMIT = 1_000
# The largest file that is put together in memory for a page.
CONTENT_LIMIT_BYTES = 64 * 1024 * 1024
LAG_BUCKET_GROWTH = 1.05

_DEVICES = """
SELECT device.*,
       COALESCE(SUM(MAX(cursor.newest - cursor.acked, 0)), 0) AS backlog,
       COALESCE(SUM(cursor.acked), 0) AS records,
       COALESCE(MAX(cursor.synced_ms), 0) AS synced_ms
FROM device
LEFT JOIN cursor ON cursor.device_id = device.device_id AND cursor.epoch = device.live_epoch
WHERE (:tenant IS NULL OR device.tenant = :tenant)
  AND (:device IS NULL OR device.device = :device)
GROUP BY device.device_id
ORDER BY device.tenant, device.device
LIMIT :limit
"""

_ROW = """
SELECT execution.*, device.tenant, device.device
FROM execution
JOIN device ON device.device_id = execution.device_id
"""

# One that began before is the likelier one to have begun with the same.
_DEFINITION = """
SELECT definition FROM execution
WHERE device_id = :device_id AND name = :name AND version = :version AND definition IS NOT NULL
ORDER BY created_ms <= :created_ms DESC, ABS(created_ms - :created_ms), execution_id DESC
LIMIT 1
"""

_EPOCH_BYTES = 4
"""A version begins with its epoch."""

_TASKS = """
SELECT * FROM task
WHERE device_id = :device_id AND workflow_id = :workflow_id
ORDER BY seq, attempt, scheduled_ms, task_id
"""

_EVIDENCE = """
SELECT task_id, key, sha256, missing, MAX(media_type) AS media_type,
       MAX(size_bytes) AS size_bytes, MAX(chunks) AS chunks, COUNT(*) AS held
FROM evidence
WHERE device_id = :device_id AND workflow_id = :workflow_id
GROUP BY task_id, key, sha256, missing
ORDER BY task_id, key
"""

_CHUNKS = """
SELECT evidence.chunk, evidence.chunks, evidence.sha256, evidence.size_bytes, evidence.media_type,
       evidence.missing, evidence.seq, segment.payload
FROM evidence
JOIN segment ON segment.segment_id = evidence.segment_id
WHERE evidence.device_id = :device_id AND evidence.workflow_id = :workflow_id
  AND evidence.task_id = :task_id AND evidence.key = :key
ORDER BY evidence.chunk
"""

_CHANGED_EXECUTIONS = """
SELECT execution.change, device.tenant, device.device, execution.workflow_id
FROM execution
JOIN device ON device.device_id = execution.device_id
WHERE execution.change > :after
ORDER BY execution.change
LIMIT :limit
"""

_CHANGED_DEVICES = """
SELECT change, tenant, device FROM device
WHERE change > :after
ORDER BY change
LIMIT :limit
"""

_LAG = """
SELECT bucket, SUM(records) FROM lag
WHERE hour_ms >= :since_ms - 3600000
GROUP BY bucket
ORDER BY bucket
"""

_TOTALS = """
SELECT
  (SELECT COALESCE(SUM(devices), 0) FROM fleet_count WHERE kind = 'state') AS devices,
  (SELECT COALESCE(SUM(devices), 0) FROM fleet_count
   WHERE kind = 'state' AND value IN ('online', 'lagging')) AS online,
  (SELECT COALESCE(SUM(count), 0) FROM segment) AS records,
  (SELECT COUNT(*) FROM segment WHERE quarantined IS NOT NULL) AS quarantined,
  (SELECT COUNT(*) FROM unread) AS unread,
  (SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM gap) AS missing,
  (SELECT COUNT(*) FROM segment
   WHERE segment_id > (SELECT value FROM counter WHERE name = 'projected') AND lane >= 2)
  + (SELECT COUNT(*) FROM segment
     WHERE segment_id > (SELECT value FROM progress WHERE name = 'pressing') AND lane < 2)
    AS projection_lag,
  (SELECT COALESCE(SUM(backlog), 0) FROM fleet) AS backlog
"""

_TOTALS_OF_TENANT = """
SELECT COUNT(*) AS devices,
       COALESCE(SUM(CASE WHEN state IN ('online', 'lagging') THEN 1 ELSE 0 END), 0) AS online,
       COALESCE(SUM(records), 0) AS records,
       0 AS quarantined,
       0 AS unread,
       COALESCE(SUM(missing), 0) AS missing,
       0 AS projection_lag,
       COALESCE(SUM(backlog), 0) AS backlog
FROM fleet
WHERE tenant = :tenant
"""


def devices(
    connection: Connection, *, tenant: str | None, device: str | None, limit: int
) -> list[DeviceView]:
    """Devices in the order of their names."""
    found = named_rows(connection, _DEVICES, {"tenant": tenant, "device": device, "limit": limit})
    return [_device_view(row) for row in found]


def _device_view(row: dict[str, Any]) -> DeviceView:
    online = bool(row["online"])
    return DeviceView(
        tenant=row["tenant"],
        device=row["device"],
        state=state_of(row),
        online=online,
        first_seen_ms=row["first_seen_ms"],
        last_seen_ms=row["last_seen_ms"],
        synced_to_ms=row["synced_ms"],
        backlog=row["backlog"],
        records=row["records"],
        epoch=row["live_epoch"],
        boot=row["boot"],
        version=row["version"],
    )


def executions(
    connection: Connection,
    *,
    tenant: str | None,
    device: str | None,
    status: str | None,
    name: str | None,
    text: str | None,
    after: str | None,
    limit: int,
) -> ExecutionPage:
    """One page of executions, newest first; conditions that are None do not apply."""
    conditions = []
    values: dict[str, Any] = {}
    if tenant is not None or device is not None:
        # Resolved first, so that the index by device serves the page.
        conditions.append(
            "execution.device_id IN (SELECT device_id FROM device"
            " WHERE (:tenant IS NULL OR tenant = :tenant)"
            " AND (:device IS NULL OR device = :device))"
        )
        values |= {"tenant": tenant, "device": device}
    if status is not None:
        conditions.append("execution.status = :status")
        values["status"] = status
    if name is not None:
        conditions.append("execution.name = :name")
        values["name"] = name
    if text:
        conditions.append(
            "(instr(lower(execution.name), :text) > 0"
            " OR instr(lower(execution.workflow_id), :text) > 0"
            " OR instr(lower(COALESCE(execution.correlation_id, '')), :text) > 0"
            " OR instr(lower(COALESCE(execution.reason, '')), :text) > 0"
            " OR instr(lower(device.device), :text) > 0)"
        )
        values["text"] = folded(text)
    # A mark that is not ours begins at the newest.
    place = read_mark(after)
    if place is not None:
        conditions.append("(execution.began_ms, execution.execution_id) < (:began, :id)")
        values |= {"began": place[0], "id": place[1]}
    where = f"WHERE {' AND '.join(conditions)}\n" if conditions else ""
    limit = max(1, min(limit, PAGE_LIMIT))
    order = "ORDER BY execution.began_ms DESC, execution.execution_id DESC LIMIT :limit"
    found = named_rows(connection, _ROW + where + order, values | {"limit": limit + 1})
    shown = found[:limit]
    more = len(found) > limit
    return ExecutionPage(
        rows=[execution_row(row) for row in shown],
        next=mark(shown[-1]) if more else None,
    )


def execution(
    connection: Connection, *, tenant: str, device: str, workflow_id: str
) -> ExecutionView | None:
    """One execution with its tasks and evidence; None when it has not arrived."""
    where = (
        "WHERE device.tenant = :tenant AND device.device = :device"
        " AND execution.workflow_id = :workflow_id"
    )
    keys = {"tenant": tenant, "device": device, "workflow_id": workflow_id}
    found = named_rows(connection, _ROW + where, keys)
    if not found:
        return None
    row = found[0]
    inside = {"device_id": row["device_id"], "workflow_id": workflow_id}
    definition = row["definition"]
    if definition is None:
        like = {name: row[name] for name in ("device_id", "name", "version", "created_ms")}
        told = connection.execute(_DEFINITION, like).fetchone()
        definition = None if told is None else told[0]
    return ExecutionView(
        row=execution_row(row),
        input=_json(row["input"]),
        output=_json(row["output"]),
        definition=_json(definition),
        tasks=[_task_view(task) for task in _steps(row, named_rows(connection, _TASKS, inside))],
        evidence=[_evidence_view(file) for file in named_rows(connection, _EVIDENCE, inside)],
    )


def _steps(execution: dict[str, Any], tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks of an execution without those that only a branch has told of which is no more.

    Which it has was told when the epoch began. For as long as no later epoch has told of it, what it
    has got since is of this epoch: what is of an earlier one and was not there then is no more.
    """
    if execution["steps"] is None:
        return tasks
    epoch = bytes(execution["steps_ver"])[:_EPOCH_BYTES]
    if any(bytes(one["ver"])[:_EPOCH_BYTES] > epoch for one in (execution, *tasks)):
        return tasks
    ranges = msgspec.json.decode(bytes(execution["steps"]), type=list[tuple[int, int]])
    return [
        task
        for task in tasks
        if bytes(task["ver"])[:_EPOCH_BYTES] >= epoch
        or any(first <= task["seq"] <= last for first, last in ranges)
    ]


def _task_view(row: dict[str, Any]) -> TaskView:
    plain = {field: row[field] for field in TaskView.__struct_fields__}
    return TaskView(**(plain | {"input": _json(row["input"]), "output": _json(row["output"])}))


def _evidence_view(row: dict[str, Any]) -> EvidenceView:
    missing = bool(row["missing"])
    return EvidenceView(
        task_id=row["task_id"],
        key=row["key"],
        media_type=row["media_type"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        chunks=row["chunks"],
        chunks_held=0 if missing else row["held"],
        complete=not missing and row["held"] == row["chunks"],
        missing=missing,
    )


def evidence_content(
    connection: Connection,
    *,
    tenant: str,
    device: str,
    workflow_id: str,
    task_id: str,
    key: str,
) -> EvidenceContent | None:
    """The bytes of one kept file; None until all of it is here and its digest is right."""
    identity = connection.execute(
        "SELECT device_id FROM device WHERE tenant = ? AND device = ?", (tenant, device)
    ).fetchone()
    if identity is None:
        return None
    keys = {"device_id": identity[0], "workflow_id": workflow_id, "task_id": task_id, "key": key}
    found = named_rows(connection, _CHUNKS, keys)
    if not found or len(found) != found[0]["chunks"]:
        return None
    first = found[0]
    if any(row["missing"] for row in found) or first["size_bytes"] > CONTENT_LIMIT_BYTES:
        return None
    content = b"".join(_chunk(row["payload"], row["seq"]) for row in found)
    if hashlib.sha256(content).hexdigest() != first["sha256"]:
        return None
    return EvidenceContent(media_type=first["media_type"], sha256=first["sha256"], content=content)


def _chunk(payload: bytes, seq: int) -> bytes:
    """The bytes of one chunk; none when the segment is damaged, so that the digest is wrong."""
    try:
        frame = frames.decode(payload)
    except frames.FrameError:
        return b""
    record = frame.records[seq - frame.header.first_seq]
    try:
        body = decode_body(record.kind, record.body)
    except RecordError:
        return b""
    return body.content if isinstance(body, EvidenceRecord) else b""


def summary(connection: Connection, *, tenant: str | None) -> Summary:
    """The fleet in figures.

    With a tenant they are of its devices, and what belongs to no tenant is 0: what could not be
    read, and what is not projected yet.
    """
    statement = _TOTALS if tenant is None else _TOTALS_OF_TENANT
    totals = named_rows(connection, statement, {"tenant": tenant})[0]
    counts = {field: totals[field] for field in Summary.__struct_fields__ if field != "executions"}
    return Summary(executions=tally.statuses(connection, tenant=tenant), **counts)


def changes_after(connection: Connection, *, after: int, limit: int) -> list[Change]:
    """What has changed since a cursor, each thing once, in the order of its last change."""
    limit = max(1, min(limit, CHANGES_LIMIT))
    bounds = {"after": after, "limit": limit}
    execution_kind: Literal["execution"] = "execution"
    device_kind: Literal["device"] = "device"
    changed = [
        Change(cursor=row[0], kind=execution_kind, tenant=row[1], device=row[2], workflow_id=row[3])
        for row in connection.execute(_CHANGED_EXECUTIONS, bounds)
    ] + [
        Change(cursor=row[0], kind=device_kind, tenant=row[1], device=row[2], workflow_id=None)
        for row in connection.execute(_CHANGED_DEVICES, bounds)
    ]
    changed.sort(key=lambda change: change.cursor)
    return changed[:limit]


def newest_change(connection: Connection) -> int:
    """The cursor after which nothing has changed yet."""
    found = connection.execute("SELECT value FROM counter WHERE name = 'change'").fetchone()
    return int(found[0])


def lag_report(connection: Connection, *, since_ms: int) -> LagReport:
    """Percentiles of the sync lag from the hour of `since_ms` on."""
    buckets = connection.execute(_LAG, {"since_ms": since_ms}).fetchall()
    total = sum(records for _, records in buckets)
    if total == 0:
        return LagReport(records=0, p50_ms=0, p99_ms=0, max_ms=0)
    return LagReport(
        records=total,
        p50_ms=_percentile(buckets, total * 0.50),
        p99_ms=_percentile(buckets, total * 0.99),
        max_ms=_bucket_ms(buckets[-1][0]),
    )


def _percentile(buckets: list[tuple[int, int]], rank: float) -> int:
    seen = 0
    for bucket, records in buckets:
        seen += records
        if seen >= rank:
            return _bucket_ms(bucket)
    return _bucket_ms(buckets[-1][0])


def _bucket_ms(bucket: int) -> int:
    """The upper edge of a bucket, which is the honest one to report."""
    return round(LAG_BUCKET_GROWTH ** (bucket + 1) - 1)


def _json(text: bytes | None) -> Any:
    """The user's JSON; a text that is not JSON is shown as a string, never an error."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return text.decode("utf-8", errors="replace")
