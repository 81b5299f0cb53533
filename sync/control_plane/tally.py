"""The projection's figures: how many executions there are, by tenant, workflow, status and hour.

Counting two million rows for a page would take a fifth of a second; these are kept as executions
change. Like all of the projection they do not depend on the order of the segments, because they are
the difference between what the executions were before a step and what they are after it. The hour is
that in which one began on our clock: by its own, a device in 1970 would never do anything today.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from sync.control_plane.dialect import Connection

HOUR_MS = 3_600_000
ALL_HOURS = -1
"""Stands for all of them."""
FAILURES = frozenset({"FAILED", "TIMED_OUT"})
_KEYS_AT_ONCE = 200
_FILLED = 2
"""How `fill` counts at present; what was counted by the devices' own clocks (1) is counted anew."""

# CROSS JOIN is what SQLite is told by not to begin with the executions, of which there are millions.
_FOUND = """
WITH wanted (device_id, workflow_id) AS (VALUES {places})
SELECT execution.device_id, execution.workflow_id, execution.name, execution.status,
       execution.began_ms, device.tenant
FROM wanted CROSS JOIN execution
JOIN device ON device.device_id = execution.device_id
WHERE execution.device_id = wanted.device_id AND execution.workflow_id = wanted.workflow_id
"""

_ADD = """
INSERT INTO tally (tenant, hour_ms, name, status, executions)
VALUES (:tenant, :hour_ms, :name, :status, :executions)
ON CONFLICT (tenant, hour_ms, name, status) DO UPDATE SET
  executions = tally.executions + :executions
"""

_ADD_HOUR = """
INSERT INTO device_hour (device_id, hour_ms, executions, failures)
VALUES (:device_id, :hour_ms, :executions, :failures)
ON CONFLICT (device_id, hour_ms) DO UPDATE SET
  executions = device_hour.executions + :executions,
  failures = device_hour.failures + :failures
"""

_HOURS_OF_EACH = ("-1", "execution.began_ms - execution.began_ms % 3600000")
"""Under which an execution is counted."""

_FILL_TALLY = """
INSERT INTO tally (tenant, hour_ms, name, status, executions)
SELECT device.tenant, {hour}, execution.name, execution.status, COUNT(*)
FROM execution
JOIN device ON device.device_id = execution.device_id
GROUP BY 1, 2, 3, 4
"""

_OF_DEVICE = """
SELECT device.tenant, {hour}, execution.name, execution.status, COUNT(*)
FROM execution
JOIN device ON device.device_id = execution.device_id
WHERE execution.device_id = :device_id
GROUP BY 1, 2, 3, 4
"""

_FILL_HOURS = """
INSERT INTO device_hour (device_id, hour_ms, executions, failures)
SELECT device_id, began_ms - began_ms % 3600000, COUNT(*),
       SUM(CASE WHEN status IN ('FAILED', 'TIMED_OUT') THEN 1 ELSE 0 END)
FROM execution
GROUP BY 1, 2
"""

_STATUSES = """
SELECT status, SUM(executions) FROM tally
WHERE hour_ms = -1 AND (:tenant IS NULL OR tenant = :tenant)
GROUP BY status
HAVING SUM(executions) > 0
"""

_FAILURES = "SUM(CASE WHEN status IN ('FAILED', 'TIMED_OUT') THEN executions ELSE 0 END)"

_BY_NAME = f"""
SELECT name, SUM(executions) AS executions, {_FAILURES} AS failures FROM tally
WHERE tenant = :tenant AND hour_ms >= :since_ms
GROUP BY name
"""

_WORKFLOWS = f"""
{_BY_NAME}
HAVING SUM(executions) > 0
ORDER BY name
LIMIT 500
"""

_FAILING = f"""
{_BY_NAME}
HAVING SUM(executions) >= :least AND {_FAILURES} > 0
   AND 100 * {_FAILURES} >= :percent * SUM(executions)
ORDER BY name
LIMIT :limit
"""

_HOURS = f"""
SELECT hour_ms, SUM(executions) AS executions, {_FAILURES} AS failures FROM tally
WHERE tenant = :tenant AND hour_ms >= :since_ms
GROUP BY hour_ms
HAVING SUM(executions) > 0
ORDER BY hour_ms
LIMIT 1000
"""

Key = tuple[int, str]


class Standing(NamedTuple):
    """What an execution counts as."""

    device_id: int
    workflow_id: str
    tenant: str
    name: str
    status: str
    hour_ms: int


def standings(connection: Connection, keys: Collection[Key]) -> list[Standing]:
    """What these executions count as now; those that are not there yet count as nothing."""
    found, waiting = [], iter(keys)
    while together := list(islice(waiting, _KEYS_AT_ONCE)):
        places = ", ".join("(?, ?)" for _ in together)
        statement = _FOUND.format(places=places)
        rows = connection.execute(statement, tuple(part for key in together for part in key))
        found += [
            Standing(device_id, workflow_id, tenant, name, status, began_ms - began_ms % HOUR_MS)
            for device_id, workflow_id, name, status, began_ms, tenant in rows
        ]
    return found


def count(connection: Connection, before: Iterable[Standing], after: Iterable[Standing]) -> None:
    """Put the difference between two looks at the same executions into the figures."""
    tallies: Counter[tuple[str, int, str, str]] = Counter()
    hours: dict[tuple[int, int], list[int]] = {}
    for sign, all_of_them in ((-1, before), (1, after)):
        for one in all_of_them:
            for hour_ms in (ALL_HOURS, one.hour_ms):
                tallies[one.tenant, hour_ms, one.name, one.status] += sign
            of_hour = hours.setdefault((one.device_id, one.hour_ms), [0, 0])
            of_hour[0] += sign
            of_hour[1] += sign * (one.status in FAILURES)
    connection.executemany(
        _ADD,
        [
            {"tenant": tenant, "hour_ms": hour, "name": name, "status": status, "executions": many}
            for (tenant, hour, name, status), many in tallies.items()
            if many
        ],
    )
    connection.executemany(
        _ADD_HOUR,
        [
            {"device_id": device_id, "hour_ms": hour, "executions": many, "failures": failures}
            for (device_id, hour), (many, failures) in hours.items()
            if many or failures
        ],
    )


def move(connection: Connection, began: Mapping[Key, int]) -> None:
    """Count executions in another hour, after they were put into it.

    Args:
        connection: to the ledger.
        began: when each of them began by what was known before.
    """
    now = standings(connection, began)
    before = [began[one.device_id, one.workflow_id] for one in now]
    then = [one._replace(hour_ms=ms - ms % HOUR_MS) for one, ms in zip(now, before, strict=True)]
    count(connection, then, now)


def fill(connection: Connection) -> None:
    """Count what an older release has counted otherwise, or not at all; once for each ledger."""
    filled = connection.execute("SELECT value FROM progress WHERE name = 'tally'").fetchone()
    if filled is not None and filled[0] >= _FILLED:
        return
    for table in ("tally", "device_hour"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM progress WHERE name = 'tally'")
    connection.execute("INSERT INTO progress (name, value) VALUES ('tally', ?)", (_FILLED,))
    for hour in _HOURS_OF_EACH:
        connection.execute(_FILL_TALLY.format(hour=hour))
    connection.execute(_FILL_HOURS)


def leave_out(connection: Connection, device_id: int) -> None:
    """Count the executions of a device no longer; they are about to go."""
    for hour in _HOURS_OF_EACH:
        found = connection.execute(
            _OF_DEVICE.format(hour=hour), {"device_id": device_id}
        ).fetchall()
        connection.executemany(
            _ADD,
            [
                {
                    "tenant": tenant, "hour_ms": hour_ms, "name": name, "status": status,
                    "executions": -many,
                }
                for tenant, hour_ms, name, status, many in found
            ],
        )  # fmt: skip


def statuses(connection: Connection, *, tenant: str | None) -> dict[str, int]:
    """How many executions there are in each status; tenant None = of all."""
    return {
        str(status): int(many)
        for status, many in connection.execute(_STATUSES, {"tenant": tenant}).fetchall()
    }


def workflows(connection: Connection, *, tenant: str, since_ms: int) -> list[tuple[str, int, int]]:
    """Each workflow's name, executions and failures since the hour of a moment."""
    keys = {"tenant": tenant, "since_ms": max(0, since_ms - since_ms % HOUR_MS)}
    return [tuple(row) for row in connection.execute(_WORKFLOWS, keys).fetchall()]


def failing(
    connection: Connection, *, tenant: str, since_ms: int, least: int, percent: float, limit: int
) -> list[tuple[str, int, int]]:
    """Workflows of whose executions many failed: name, executions and failures, by name.

    Args:
        connection: to the ledger.
        tenant: whose.
        since_ms: from the hour of this moment on.
        least: executions that there have to be.
        percent: of them that failed, at least; one has.
        limit: workflows that are told; how many names there are does not matter.
    """
    keys = {
        "tenant": tenant, "since_ms": max(0, since_ms - since_ms % HOUR_MS), "least": least,
        "percent": percent, "limit": limit,
    }  # fmt: skip
    return [
        (name, int(many), int(failed))
        for name, many, failed in connection.execute(_FAILING, keys).fetchall()
    ]


def hours(connection: Connection, *, tenant: str, since_ms: int) -> list[tuple[int, int, int]]:
    """Each hour with its executions and failures since the hour of a moment."""
    keys = {"tenant": tenant, "since_ms": max(0, since_ms - since_ms % HOUR_MS)}
    return [tuple(row) for row in connection.execute(_HOURS, keys).fetchall()]
