"""Questions over many executions: windows of records to search, pages of them, running ones.

No condition of a query is judged here; what SQL leaves out early is only what cannot match.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

import msgspec
import structlog

from edge.model.errors import RowDamaged
from edge.model.executions import (
    ORDINAL_BITS,
    Workflow,
    parse_uuid,
    task_key,
)
from edge.store.checked import DocumentDecoder
from edge.store.records import decode_workflow

T = TypeVar("T")
log = structlog.get_logger()


WINDOW_ROWS = 1_000
"""Records that one look at the database goes through. It takes about 5 ms and nobody else reads in
that time; smaller windows cost more than they spare."""

_KEY_ROWS = 10_000
"""The same for a look that reads no bodies."""

_SMALL_BODY_BYTES = 16_384
"""A window holds at most this times its rows; larger records are fetched one by one."""

_MAX_LISTED = 2_000
"""Keys that an index may name; where it names more, a pass through the table is no slower."""

_MAX_KEPT = 500
"""Values of one field that SQL looks at; more are left to the condition."""

# One row a step would let go of the interpreter's lock and queue up for it again, which beside a
# busy engine takes milliseconds a row. A window is one step: its records as one text. The two lists
# belong together, whatever their order, because one pass makes both.
_WINDOW = """
SELECT count(*), min(key),
       group_concat(key) FILTER (WHERE kept),
       group_concat(CASE WHEN length(body) <= ? THEN hex(body) ELSE '' END) FILTER (WHERE kept)
  FROM ({source} ORDER BY key DESC LIMIT ?)
"""
_KEYS = """
SELECT count(*), min(key),
       group_concat(key) FILTER (WHERE kept), group_concat(moment) FILTER (WHERE kept)
  FROM (
    SELECT key, {moment} AS moment, ({kept}) AS kept FROM {table}
     WHERE key < ? ORDER BY key DESC LIMIT ?
  )
"""
_ALL = "SELECT key, body, ({kept}) AS kept FROM {table} WHERE key < ?"
_LISTED = """
SELECT key, body, ({kept}) AS kept FROM {table}
 WHERE key IN (SELECT value FROM json_each(?))
   AND key < ?
"""
# Keys are sorted before a body is read.
_TASKS_OF_LISTED = f"""
SELECT key, body, ({{kept}}) AS kept FROM {{table}}
 WHERE key IN (
         SELECT task.key FROM json_each(?) AS one
          CROSS JOIN task ON task.key BETWEEN one.value << {ORDINAL_BITS}
                                      AND ((one.value + 1) << {ORDINAL_BITS}) - 1
          WHERE task.key < ?
          ORDER BY task.key DESC
          LIMIT {WINDOW_ROWS}
       )
"""
_BODY = "SELECT body FROM {table} WHERE key = ?"

_NAME_OF_WORKFLOW = f"""
(SELECT name FROM workflow WHERE key = task.key >> {ORDINAL_BITS}) IN ({{marks}})
"""
_KEYS_BY_ID = "SELECT key FROM {table} WHERE id IN ({marks})"
_KEYS_BY_CORRELATION = "SELECT key FROM workflow WHERE correlation_id IN ({marks})"
_OPEN_KEYS = "SELECT key FROM workflow WHERE status IN ('RUNNING', 'PAUSED')"

_RUNNING = """
SELECT key, body FROM workflow
 WHERE name = ?
   AND status IN ('RUNNING', 'PAUSED')
 ORDER BY key
"""
_CORRELATED = """
SELECT key, body FROM workflow WHERE correlation_id = ? AND name = ? ORDER BY key
"""
_COUNTS = "SELECT status, count(*) FROM workflow GROUP BY status"
_PINNED = "SELECT key, document FROM pinned_definition"
_PINNED_LISTED = """
SELECT key, document FROM pinned_definition WHERE key IN (SELECT value FROM json_each(?))
"""

END = 2**63 - 1
"""Above every key."""


class Narrow(msgspec.Struct, frozen=True):
    """What SQL may leave out, because it cannot match; None = nothing by this."""

    ids: frozenset[str] | None = None
    """Of workflows, or of tasks where tasks are searched."""
    workflow_ids: frozenset[str] | None = None
    """Tasks of other executions are left out."""
    correlation_ids: frozenset[str] | None = None
    names: frozenset[str] | None = None
    """Of workflows, or types of tasks."""
    workflow_names: frozenset[str] | None = None
    """Tasks of executions of other workflows are left out."""
    statuses: frozenset[str] | None = None
    created_from_ms: int | None = None
    created_to_ms: int | None = None
    open_only: bool = False
    """Tasks of ended executions are left out."""


class Place(msgspec.Struct, frozen=True):
    """Where to search: a table, and the keys in it when an index knows them."""

    table: str
    keys: str | None = None
    """JSON list of keys; None = all of the table."""
    by_workflow: bool = False
    """The keys are of workflows, and their tasks are meant."""
    kept: str = "1"
    """SQL that every match fulfils."""
    values: tuple[str | int | bytes, ...] = ()
    complete: bool = False
    """Whether ``kept`` says all of the names, statuses and times that were asked for."""


class Window(msgspec.Struct, frozen=True):
    """A stretch of a table, newest record first."""

    records: list[tuple[int, bytes]]
    """Key and body."""
    below: int
    """Where the next window begins; 0 = this was the last."""


def window(connection: sqlite3.Connection, place: Place, below: int = END) -> Window:
    """The next records of a place whose keys are below a bound."""
    source = _ALL if place.keys is None else _TASKS_OF_LISTED if place.by_workflow else _LISTED
    statement = _WINDOW.format(source=source.format(kept=place.kept, table=place.table))
    bound: list[object] = [_SMALL_BODY_BYTES, *place.values]
    if place.keys is not None:
        bound.append(place.keys)
    count, lowest, keys, found = connection.execute(
        statement, (*bound, below, WINDOW_ROWS)
    ).fetchone()
    records = _records(connection, place.table, keys, found)
    return Window(records, lowest if count == WINDOW_ROWS else 0)


def key_window(
    connection: sqlite3.Connection, place: Place, below: int = END
) -> tuple[list[tuple[int, int]], int]:
    """The next keys of a place with the time of their start, and where to go on; 0 = nowhere.

    For a place that leaves in nothing but matches. Tasks have no time of their own here.
    """
    statement = _KEYS.format(
        table=place.table,
        kept=place.kept,
        moment="created_ms" if place.table == "workflow" else "0",
    )
    row = connection.execute(statement, (*place.values, below, _KEY_ROWS)).fetchone()
    count, lowest, keys, moments = row
    found: list[tuple[int, int]] = []
    if keys is not None:
        found = list(
            zip(map(int, str(keys).split(",")), map(int, str(moments).split(",")), strict=True)
        )
    return found, lowest if count == _KEY_ROWS else 0


def _records(
    connection: sqlite3.Connection, table: str, keys: str | int | None, bodies: str | None
) -> list[tuple[int, bytes]]:
    records = []
    if keys is not None and bodies is not None:
        for key, body in zip(str(keys).split(","), bodies.split(","), strict=True):
            # A large record is left empty by the window.
            found = bytes.fromhex(body) if body else _body(connection, table, int(key))
            records.append((int(key), found))
    records.sort(reverse=True)
    return records


def _body(connection: sqlite3.Connection, table: str, key: int) -> bytes:
    body: bytes = connection.execute(_BODY.format(table=table), (key,)).fetchone()[0]
    return body


def bodies(connection: sqlite3.Connection, table: str, keys: Collection[int]) -> dict[int, bytes]:
    """Some records of a table by their keys; the ones that are gone are left out."""
    place = Place(table, msgspec.json.encode(list(keys)).decode())
    found: dict[int, bytes] = {}
    below = END if keys else 0
    while below:
        part = window(connection, place, below)
        found.update(part.records)
        below = part.below
    return found


def workflow_place(connection: sqlite3.Connection, narrow: Narrow) -> Place:
    """Where executions are to be searched."""
    kept: list[str] = []
    values: list[str | int | bytes] = []
    for column, wanted in (("name", narrow.names), ("status", narrow.statuses)):
        if wanted is not None and len(wanted) <= _MAX_KEPT:
            kept.append(f"{column} IN ({_marks(wanted)})")
            values += sorted(wanted)
    for compare, moment in ((">=", narrow.created_from_ms), ("<=", narrow.created_to_ms)):
        if moment is not None:
            kept.append(f"created_ms {compare} ?")
            values.append(moment)
    return Place(
        "workflow",
        _keys_json(_workflow_keys(connection, narrow.ids, narrow.correlation_ids)),
        kept=" AND ".join(kept) or "1",
        values=tuple(values),
        complete=all(
            wanted is None or len(wanted) <= _MAX_KEPT for wanted in (narrow.names, narrow.statuses)
        ),
    )


def archive_place(connection: sqlite3.Connection, narrow: Narrow) -> Place:
    """Where archived executions are to be searched."""
    ids = None if narrow.ids is None else _by_id(connection, "archive", narrow.ids)
    return Place("archive", _keys_json(ids))


def task_place(connection: sqlite3.Connection, narrow: Narrow) -> Place:
    """Where tasks are to be searched."""
    kept: list[str] = []
    values: list[str | int | bytes] = []
    # The field as it is encoded in every record that has this value. Another part of a record may
    # look the same by accident, so this never decides.
    for name, wanted in (("t", narrow.names), ("s", narrow.statuses)):
        if wanted is not None and len(wanted) <= _MAX_KEPT:
            looks = " OR ".join("instr(body, ?)" for _ in wanted)
            kept.append(f"({looks or '0'})")
            values += [msgspec.msgpack.encode({name: one})[1:] for one in sorted(wanted)]
    if narrow.workflow_names is not None and len(narrow.workflow_names) <= _MAX_KEPT:
        kept.append(_NAME_OF_WORKFLOW.format(marks=_marks(narrow.workflow_names)))
        values += sorted(narrow.workflow_names)
    condition = " AND ".join(kept) or "1"
    if narrow.ids is not None:
        own = _keys_json(_task_keys(connection, narrow.ids))
        return Place("task", own, kept=condition, values=tuple(values))
    workflows = _workflow_keys(connection, narrow.workflow_ids, narrow.correlation_ids)
    if workflows is None and narrow.open_only:
        workflows = [row[0] for row in connection.execute(_OPEN_KEYS)]
    keys = _keys_json(workflows)
    return Place(
        "task",
        keys,
        by_workflow=keys is not None,
        kept=condition,
        values=tuple(values),
    )


def _workflow_keys(
    connection: sqlite3.Connection,
    ids: frozenset[str] | None,
    correlation_ids: frozenset[str] | None,
) -> list[int] | None:
    """Keys of the only executions that can match, where an index knows them."""
    if ids is not None:
        return _by_id(connection, "workflow", ids)
    if correlation_ids is not None:
        statement = _KEYS_BY_CORRELATION.format(marks=_marks(correlation_ids))
        return [row[0] for row in connection.execute(statement, sorted(correlation_ids))]
    return None


def _by_id(connection: sqlite3.Connection, table: str, ids: Iterable[str]) -> list[int]:
    raw = [parsed[0] for text in ids if (parsed := parse_uuid(text)) and not parsed[1]]
    statement = _KEYS_BY_ID.format(table=table, marks=_marks(raw))
    return [row[0] for row in connection.execute(statement, raw)]


def _task_keys(connection: sqlite3.Connection, ids: Iterable[str]) -> list[int]:
    keys = []
    for parsed in map(parse_uuid, ids):
        if parsed is not None and parsed[1]:
            statement = _KEYS_BY_ID.format(table="workflow", marks="?")
            row = connection.execute(statement, (parsed[0],)).fetchone()
            keys += [] if row is None else [task_key(row[0], parsed[1])]
    return keys


def _keys_json(keys: list[int] | None) -> str | None:
    few = keys is not None and len(keys) <= _MAX_LISTED
    return msgspec.json.encode(keys).decode() if few else None


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)


def undamaged(
    records: Iterable[tuple[int, bytes]], decode: Callable[[bytes], T]
) -> Iterator[tuple[int, T]]:
    """The records with their keys, but for damaged ones: one of those must not hide all others.

    Whoever looks after the storage finds and reports them.
    """
    for key, body in records:
        try:
            yield key, decode(body)
        except RowDamaged as error:
            log.error("row_damaged", table=error.table, key=key, reason=error.message)


def workflows_around(connection: sqlite3.Connection, task_keys: list[int]) -> dict[int, Workflow]:
    """The executions of tasks, by their own keys."""
    wanted = {key >> ORDINAL_BITS for key in task_keys}
    found = bodies(connection, "workflow", wanted)
    return dict(undamaged(found.items(), decode_workflow))


class _Tagged(msgspec.Struct):
    metadata: dict[str, object] = {}


_TAGGED = DocumentDecoder(_Tagged, "pinned_definition")


def classifiers(
    connection: sqlite3.Connection, keys: Collection[int] | None = None
) -> dict[int, str]:
    """What pinned definitions are, by their keys; plain workflows are left out.

    Args:
        keys: the ones to look at; None = all.
    """
    found = {}
    if keys is None:
        rows = connection.execute(_PINNED)
    else:
        rows = connection.execute(_PINNED_LISTED, (msgspec.json.encode(list(keys)).decode(),))
    for key, document in rows:
        try:
            kind = classifier_of(_TAGGED.decode(document).metadata)
        except RowDamaged:
            continue
        if kind != WORKFLOW:
            found[key] = kind
    return found


WORKFLOW = "workflow"
"""The classifier of a definition that says nothing else."""


def classifier_of(metadata: dict[str, object]) -> str:
    """What kind of definition it is by its metadata: as it says, else an agent's or a workflow's."""
    named = metadata.get("classifier")
    if isinstance(named, str) and named.strip():
        return named
    if metadata.get("agent_sdk") is not None or metadata.get("agentDef") is not None:
        return "agent"
    return WORKFLOW


def running(connection: sqlite3.Connection, name: str) -> list[Workflow]:
    """Executions of a workflow that have not ended, oldest first."""
    rows = connection.execute(_RUNNING, (name,))
    return [one for _, one in undamaged(rows, decode_workflow)]


def correlated(connection: sqlite3.Connection, name: str, correlation_id: str) -> list[Workflow]:
    """Executions of a workflow with a correlation id, oldest first."""
    rows = connection.execute(_CORRELATED, (correlation_id, name))
    return [one for _, one in undamaged(rows, decode_workflow)]


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Executions by status."""
    return dict(connection.execute(_COUNTS).fetchall())
