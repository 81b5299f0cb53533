"""Questions over many executions: search, running ones, ones with a correlation id.

No query language is parsed here.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.model.executions import Workflow, WorkflowStatus, parse_uuid

_DECODER = msgspec.msgpack.Decoder(Workflow)

_RUNNING = """
SELECT body FROM workflow
 WHERE name = ?
   AND status IN ('RUNNING', 'PAUSED')
 ORDER BY key
"""
_CORRELATED = """
SELECT body FROM workflow WHERE correlation_id = ? AND name = ? ORDER BY key
"""
_COUNTS = "SELECT status, count(*) FROM workflow GROUP BY status"


class Query(msgspec.Struct, frozen=True):
    """What is looked for; None = anything."""

    names: list[str] | None = None
    statuses: list[WorkflowStatus] | None = None
    correlation_id: str | None = None
    workflow_ids: list[str] | None = None
    start_from_ms: int | None = None
    start_to_ms: int | None = None
    text: str | None = None
    """Found anywhere in the record: id, input, output, reason."""
    offset: int = 0
    limit: int = 100


def search(connection: sqlite3.Connection, query: Query) -> tuple[int, list[Workflow]]:
    """Number of all matches and one page of them, newest first."""
    clauses, values = _conditions(query)
    # Clauses are constants of this module; every value is bound.
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    total = connection.execute(f"SELECT count(*) FROM workflow{where}", values).fetchone()[0]
    rows = connection.execute(
        f"SELECT body FROM workflow{where} ORDER BY key DESC LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return total, [_DECODER.decode(row[0]) for row in rows]


def _conditions(query: Query) -> tuple[list[str], list[object]]:
    clauses: list[str] = []
    values: list[object] = []

    def add(clause: str, *bound: object) -> None:
        clauses.append(clause)
        values.extend(bound)

    if query.names is not None:
        add(f"name IN ({_marks(query.names)})", *query.names)
    if query.statuses is not None:
        add(f"status IN ({_marks(query.statuses)})", *(status.value for status in query.statuses))
    if query.correlation_id is not None:
        add("correlation_id = ?", query.correlation_id)
    if query.workflow_ids is not None:
        ids = [parsed[0] for text in query.workflow_ids if (parsed := parse_uuid(text))]
        add(f"id IN ({_marks(ids)})", *ids)
    if query.start_from_ms is not None:
        add("created_ms > ?", query.start_from_ms)
    if query.start_to_ms is not None:
        add("created_ms < ?", query.start_to_ms)
    if query.text is not None:
        parsed = parse_uuid(query.text)
        add("(instr(body, CAST(? AS BLOB)) OR id = ?)", query.text, parsed[0] if parsed else b"")
    return clauses, values


def _marks(values: list[str] | list[bytes] | list[WorkflowStatus]) -> str:
    return ", ".join("?" for _ in values)


def running(connection: sqlite3.Connection, name: str) -> list[Workflow]:
    """Executions of a workflow that have not ended, oldest first."""
    return [_DECODER.decode(row[0]) for row in connection.execute(_RUNNING, (name,))]


def correlated(connection: sqlite3.Connection, name: str, correlation_id: str) -> list[Workflow]:
    """Executions of a workflow with a correlation id, oldest first."""
    rows = connection.execute(_CORRELATED, (correlation_id, name))
    return [_DECODER.decode(row[0]) for row in rows]


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Executions by status."""
    return dict(connection.execute(_COUNTS).fetchall())
