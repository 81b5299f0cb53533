"""Finds executions across the fleet, newest first, without ever reading all of them.

What is newest is told by the control plane's clock: a device whose own begins in 1970 is found where
it belongs.

No request is read here. A page looks at a window of rows that an index serves and judges the other
terms on them; when the window ends first, the page is shorter and says how far it has looked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sync.control_plane import fleet
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.search_terms import Field, Op, QueryError, Sort, Term, condition, folded
from sync.control_plane.views import ExecutionRow

WINDOW_ROWS = 5_000
"""That one page looks at: some 15 ms."""
_FIRST_WINDOWS = (200, 1_000)
"""Looked at before: most searches find a page among them, in a millisecond."""
STATUSES = ("RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED")

_LENGTH = "(CASE WHEN w.ended_ms > 0 THEN w.ended_ms - w.created_ms END)"

FIELDS = {
    "device": Field(Sort.TEXT, "device.device"),
    "status": Field(Sort.WORD, "w.status", STATUSES),
    "workflow": Field(Sort.TEXT, "w.name"),
    "version": Field(Sort.NUMBER, "w.version"),
    "id": Field(Sort.TEXT, "w.workflow_id"),
    "correlation": Field(Sort.TEXT, "w.correlation_id"),
    "reason": Field(Sort.TEXT, "w.reason"),
    "started": Field(Sort.TIME, "w.began_ms"),
    "updated": Field(Sort.TIME, "w.updated_ms"),
    "ended": Field(Sort.TIME, "w.ended_ms"),
    "took": Field(Sort.DURATION, _LENGTH),
    "tag": Field(Sort.SET, ""),
    "group": Field(Sort.SET, ""),
}
"""What the search box knows of executions."""

# Each is served by an index whose rows are in the order of the page.
_DRIVERS = {"id": "workflow_id", "correlation": "correlation_id", "workflow": "name",
            "status": "status"}  # fmt: skip

_SHOWN = """
SELECT w.*, device.tenant, device.device
FROM ({window}) AS w
JOIN device ON device.device_id = w.device_id
WHERE {conditions}
ORDER BY w.began_ms DESC, w.execution_id DESC
LIMIT :limit
"""

_WINDOW = """
SELECT execution_id, device_id, workflow_id, name, version, status, correlation_id, reason,
       created_ms, updated_ms, ended_ms, began_ms
FROM execution
WHERE {driver}
ORDER BY began_ms DESC, execution_id DESC
LIMIT {rows}
"""

_END = """
SELECT began_ms, execution_id FROM execution
WHERE {driver}
ORDER BY began_ms DESC, execution_id DESC
LIMIT 1 OFFSET {rows}
"""

_IDS = "SELECT device_id FROM device WHERE tenant = :tenant AND device = :device_0"


class SearchPage(msgspec.Struct, frozen=True):
    """A page of what was found, newest first."""

    rows: list[ExecutionRow]
    next: str | None
    """Give this back as ``after`` for what follows; None at the end."""
    looked_to_ms: int
    """Everything that began after this moment has been looked at; 0 = everything has."""


def search(
    connection: Connection,
    *,
    tenant: str,
    terms: list[Term],
    now_ms: int,
    after: str | None,
    limit: int,
) -> SearchPage:
    """A page of what terms find.

    Raises:
        QueryError: a group is not there, or the mark of the page is none.
    """
    values: dict[str, Any] = {"tenant": tenant, "limit": limit + 1}
    driver = _driver(connection, tenant, terms, values)
    place = read_mark(after)
    if after and place is None:
        raise QueryError("after: give back what `next` of the page before was")
    if place is not None:
        driver += " AND (began_ms, execution_id) < (:began, :id)"
        values |= {"began": place[0], "id": place[1]}
    conditions = _conditions(connection, tenant, terms, values, now_ms=now_ms)
    windows = [one for one in _FIRST_WINDOWS if limit < one < WINDOW_ROWS]
    for size in [*windows, WINDOW_ROWS]:
        window = _WINDOW.format(driver=driver, rows=size)
        statement = _SHOWN.format(window=window, conditions=conditions)
        rows = named_rows(connection, statement, values)
        shown = [execution_row(row) for row in rows[:limit]]
        if len(rows) > limit:
            return _page(shown, rows[limit - 1])
        last = named_rows(connection, _END.format(driver=driver, rows=size - 1), values)
        if not last:
            return SearchPage(shown, None, 0)
    return _page(shown, last[0])


def _page(shown: list[ExecutionRow], end: dict[str, Any]) -> SearchPage:
    """A page that leads on from a row."""
    return SearchPage(shown, mark(end), end["began_ms"])


def _driver(connection: Connection, tenant: str, terms: list[Term], values: dict[str, Any]) -> str:
    """The condition that an index serves; the best one that there is."""
    plain = {
        term.field: term.texts
        for term in terms
        if term.op is Op.EQ and not term.negated and len(term.texts) == 1
    }
    conditions = ["1 = 1"]
    for name in ("id", "correlation"):
        if name in plain:
            values["driver"] = plain[name][0]
            return f"{_DRIVERS[name]} = :driver"
    if "device" in plain:
        keys = {"tenant": tenant, "device_0": plain["device"][0]}
        found = connection.execute(_IDS, keys).fetchone()
        values["driver"] = -1 if found is None else found[0]
        return "device_id = :driver"
    for name in ("workflow", "status"):
        if name in plain:
            values["driver"] = plain[name][0]
            return f"{_DRIVERS[name]} = :driver"
    for term in terms:
        if term.field == "started" and not term.negated and len(term.numbers) == 1:
            # The page begins and ends where the times do.
            key = f"started{len(conditions)}"
            beyond = {Op.OLDER: "<", Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">=",
                      Op.NEWER: ">="}[term.op]  # fmt: skip
            values[key] = term.numbers[0]
            conditions.append(f"began_ms {beyond} :{key}")
    return " AND ".join(conditions)


def _conditions(
    connection: Connection,
    tenant: str,
    terms: list[Term],
    values: dict[str, Any],
    *,
    now_ms: int,
) -> str:
    said = ["device.tenant = :tenant"]
    for term in terms:
        name = f"w{len(values)}"
        if not term.field:
            values[name] = folded(term.texts[0])
            text = _anywhere(name)
            said.append(f"NOT {text}" if term.negated else text)
        elif term.field in ("tag", "group"):
            found = fleet.where(connection, tenant, [term], values, now_ms=now_ms)
            said.append(f"w.device_id IN (SELECT device_id FROM fleet WHERE {found})")
        else:
            said.append(condition(term, FIELDS[term.field], name, values))
    return " AND ".join(said)


# Put together first, because each call costs as much as all the rest of a row. No text that anybody
# looks for has a line's end in it.
_ALL_TEXTS = (
    "lower(w.name || '\n' || w.workflow_id || '\n' || COALESCE(w.correlation_id, '') || '\n'"
    " || COALESCE(w.reason, '') || '\n' || device.device)"
)


def _anywhere(name: str) -> str:
    return f"instr({_ALL_TEXTS}, :{name}) > 0"


def mark(row: dict[str, Any]) -> str:
    """Marks an execution as the last one of a page."""
    return f"{row['began_ms']}-{row['execution_id']}"


def read_mark(after: str | None) -> tuple[int, int] | None:
    """When the execution of a mark began, and its number; None when it is no mark."""
    began, _, identity = (after or "").partition("-")
    if not (began.isdecimal() and identity.isdecimal()):
        return None
    # The databases have no larger integers than those of 64 bits.
    if max(len(began), len(identity)) > 18:
        return None
    return int(began), int(identity)


def execution_row(row: dict[str, Any]) -> ExecutionRow:
    """An execution of a list."""
    return ExecutionRow(**{name: row[name] for name in ExecutionRow.__struct_fields__})


_DEFINITIONS = """
SELECT definition FROM execution WHERE execution_id IN (
  SELECT MAX(execution_id) FROM (
    SELECT execution_id, name, version FROM execution
    WHERE device_id = :device_id AND definition IS NOT NULL
    ORDER BY created_ms DESC, execution_id DESC
    LIMIT :window
  ) AS w
  GROUP BY name, version
)
LIMIT :limit
"""

_PUSHED = """
SELECT body FROM device_order WHERE order_key IN (
  SELECT MAX(order_key) FROM device_order
  WHERE device_id = :device_id AND kind = 'put-workflow' AND ended = 'done'
  GROUP BY subject
)
LIMIT :limit
"""


class _Pushed(msgspec.Struct, frozen=True):
    definition: msgspec.Raw


def definitions(connection: Connection, *, tenant: str, device: str, limit: int) -> list[bytes]:
    """The definitions that a device is known to have, as JSON texts, one for each version.

    Those that it has reported to have taken from here count more than what its executions brought.
    """
    row = connection.execute(_IDS, {"tenant": tenant, "device_0": device}).fetchone()
    if row is None:
        return []
    keys = {"device_id": row[0], "window": WINDOW_ROWS, "limit": limit}
    ran = [bytes(one[0]) for one in connection.execute(_DEFINITIONS, keys).fetchall()]
    pushed = [
        bytes(msgspec.json.decode(bytes(one[0]), type=_Pushed).definition)
        for one in connection.execute(_PUSHED, keys).fetchall()
    ]
    found: dict[tuple[str, int], bytes] = {}
    for text in [*ran, *pushed]:
        named = msgspec.json.decode(text, type=_Named)
        found[named.name, named.version] = text
    return list(found.values())[:limit]


class _Named(msgspec.Struct, frozen=True):
    name: str = ""
    version: int = 1
