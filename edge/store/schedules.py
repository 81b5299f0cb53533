"""Schedules, when each is due, and the records of their ticks.

What a tick does is decided before it comes here.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.model.schedules import ExecutionState, Schedule, ScheduleExecution
from edge.store import facts
from edge.store.checked import DocumentDecoder, RecordDecoder, RecordEncoder, encode_document

KEPT_EXECUTIONS = 1_000
"""Records of ticks that are kept of each schedule, the newest: 17 minutes of a tick a second, three
years of a tick a day. At about 400 bytes each."""

_PRUNE_EVERY = 100
"""Ticks between two looks at what is beyond that."""

_MAX_TEXT = 200
"""Characters that are searched for."""

_PUT = """
INSERT INTO schedule (name, workflow, paused, document) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
  workflow = excluded.workflow, paused = excluded.paused, document = excluded.document
"""
_PUT_TIMER = """
INSERT INTO schedule_timer (schedule, next_ms, settled_ms, ticks) VALUES (?, ?, ?, ?)
ON CONFLICT (schedule) DO UPDATE SET
  next_ms = excluded.next_ms, settled_ms = excluded.settled_ms, ticks = excluded.ticks
"""
_TIMED = """
SELECT schedule.document, schedule_timer.next_ms, schedule_timer.settled_ms, schedule_timer.ticks
  FROM schedule JOIN schedule_timer ON schedule_timer.schedule = schedule.name
"""
_ONE = f"{_TIMED} WHERE schedule.name = ?"
_DUE = f"{_TIMED} WHERE schedule_timer.next_ms <= ? ORDER BY schedule_timer.next_ms DESC LIMIT ?"
_EARLIEST = "SELECT min(next_ms) FROM schedule_timer WHERE next_ms IS NOT NULL"
_COUNT = "SELECT count(*) FROM schedule"
_DROP = "DELETE FROM schedule WHERE name = ?"
_DROP_TIMER = "DELETE FROM schedule_timer WHERE schedule = ?"
_DROP_EXECUTIONS = "DELETE FROM schedule_execution WHERE schedule = ?"
_PUT_EXECUTION = """
INSERT INTO schedule_execution (schedule, workflow, state, scheduled_ms, executed_ms, body)
VALUES (?, ?, ?, ?, ?, ?)
"""
_PRUNE = """
DELETE FROM schedule_execution
 WHERE schedule = ?
   AND key <= (
     SELECT key FROM schedule_execution WHERE schedule = ? ORDER BY key DESC LIMIT 1 OFFSET ?
   )
"""
_PAUSED = "scheduler_paused"
"""The fact whether all schedules are stopped."""

_COLUMNS = {
    "scheduledTime": "scheduled_ms",
    "executionTime": "executed_ms",
    "scheduleName": "schedule",
    "workflowName": "workflow",
    "state": "state",
}
"""By what records can be sorted."""

_SCHEDULE_DECODER = DocumentDecoder(Schedule, "schedule")
_EXECUTION_ENCODER = RecordEncoder()
_EXECUTION_DECODER = RecordDecoder(ScheduleExecution, "schedule_execution")


class Timed(msgspec.Struct, frozen=True):
    """A schedule and where it stands."""

    schedule: Schedule
    next_ms: int | None = None
    """Its next tick; None = there is none, or it is paused."""
    settled_ms: int = 0
    """Up to here every tick has been run, dropped or never been wanted: wherever the clock jumps,
    none is run again."""
    ticks: int = 0
    """How many have been run."""


class ScheduleQuery(msgspec.Struct, frozen=True):
    """Which schedules are looked for; None = anything."""

    workflow: str | None = None
    part_of_name: str | None = None
    paused: bool | None = None
    text: str | None = None
    """Found anywhere in the schedule."""
    offset: int = 0
    limit: int = 100


class ExecutionQuery(msgspec.Struct, frozen=True):
    """Which records of ticks are looked for; None = anything."""

    schedules: list[str] | None = None
    states: list[ExecutionState] | None = None
    part_of_workflow: str | None = None
    execution_id: str | None = None
    after_ms: int | None = None
    """Exclusive."""
    before_ms: int | None = None
    """Exclusive."""
    text: str | None = None
    """Found anywhere in the record: names, ids, reason."""
    sort: tuple[tuple[str, bool], ...] = ()
    """Wire names of fields, each with whether it ascends."""
    offset: int = 0
    limit: int = 100


def read(connection: sqlite3.Connection, name: str) -> Timed | None:
    """One schedule."""
    row = connection.execute(_ONE, (name,)).fetchone()
    return None if row is None else _timed(row)


def read_all(connection: sqlite3.Connection) -> list[Timed]:
    """All schedules by their names; there are never many."""
    return [_timed(row) for row in connection.execute(f"{_TIMED} ORDER BY schedule.name")]


def due(connection: sqlite3.Connection, now_ms: int, limit: int) -> list[Timed]:
    """Schedules that are due, the one that became due last first.

    So what is in time is not kept waiting by what catches up.
    """
    return [_timed(row) for row in connection.execute(_DUE, (now_ms, limit))]


def earliest_ms(connection: sqlite3.Connection) -> int:
    """The next tick of all; 0 = there is none."""
    return int(connection.execute(_EARLIEST).fetchone()[0] or 0)


def count(connection: sqlite3.Connection) -> int:
    """How many schedules there are."""
    return int(connection.execute(_COUNT).fetchone()[0])


def put(connection: sqlite3.Connection, timed: Timed) -> None:
    """Add or replace a schedule, with where it stands."""
    schedule = timed.schedule
    document = encode_document(schedule)
    connection.execute(_PUT, (schedule.name, schedule.workflow, schedule.paused, document))
    put_timer(connection, timed)


def put_timer(connection: sqlite3.Connection, timed: Timed) -> None:
    """Write where a schedule stands; its document, which may be large, is not written again."""
    row = (timed.schedule.name, timed.next_ms, timed.settled_ms, timed.ticks)
    connection.execute(_PUT_TIMER, row)


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Take a schedule away with its records; False when there was none."""
    connection.execute(_DROP_TIMER, (name,))
    connection.execute(_DROP_EXECUTIONS, (name,))
    return connection.execute(_DROP, (name,)).rowcount > 0


def add_execution(connection: sqlite3.Connection, execution: ScheduleExecution, ticks: int) -> None:
    """Record a tick; the oldest records go.

    Args:
        connection: in a transaction.
        execution: the record.
        ticks: how many the schedule has run, this one included.
    """
    connection.execute(
        _PUT_EXECUTION,
        (
            execution.schedule,
            execution.workflow,
            execution.state.value,
            execution.scheduled_ms,
            execution.executed_ms,
            _EXECUTION_ENCODER.encode(execution),
        ),
    )
    if ticks % _PRUNE_EVERY == 0:
        name = execution.schedule
        connection.execute(_PRUNE, (name, name, KEPT_EXECUTIONS))


def search(connection: sqlite3.Connection, query: ScheduleQuery) -> tuple[int, list[Timed]]:
    """Number of all schedules that match and one page of them, by name."""
    clauses: list[str] = []
    values: list[object] = []
    if query.workflow is not None:
        clauses.append("schedule.workflow = ?")
        values.append(query.workflow)
    if query.part_of_name is not None:
        clauses.append("instr(schedule.name, ?)")
        values.append(query.part_of_name)
    if query.paused is not None:
        clauses.append("schedule.paused = ?")
        values.append(query.paused)
    if query.text is not None:
        clauses.append("instr(schedule.document, CAST(? AS BLOB))")
        values.append(query.text[:_MAX_TEXT])
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    total = connection.execute(f"SELECT count(*) FROM schedule{where}", values).fetchone()[0]
    rows = connection.execute(
        f"{_TIMED}{where} ORDER BY schedule.name LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return total, [_timed(row) for row in rows]


def search_executions(
    connection: sqlite3.Connection, query: ExecutionQuery
) -> tuple[int, list[ScheduleExecution]]:
    """Number of all records that match and one page of them, the latest tick first."""
    clauses, values = _conditions(query)
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    order = ", ".join(
        f"{_COLUMNS[field]} {'ASC' if ascends else 'DESC'}"
        for field, ascends in query.sort
        if field in _COLUMNS
    )
    total = connection.execute(
        f"SELECT count(*) FROM schedule_execution{where}", values
    ).fetchone()[0]
    rows = connection.execute(
        f"SELECT body FROM schedule_execution{where}"
        f" ORDER BY {order or 'scheduled_ms DESC'}, key DESC LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return total, [_EXECUTION_DECODER.decode(row[0]) for row in rows]


def read_paused(connection: sqlite3.Connection) -> bool:
    """Whether somebody has stopped all schedules at once."""
    return bool(facts.read(connection, _PAUSED))


def write_paused(connection: sqlite3.Connection, *, paused: bool) -> None:
    """Stop all schedules at once, or let them go on."""
    facts.write(connection, _PAUSED, int(paused))


def _conditions(query: ExecutionQuery) -> tuple[list[str], list[object]]:
    clauses: list[str] = []
    values: list[object] = []

    def add(clause: str, *bound: object) -> None:
        clauses.append(clause)
        values.extend(bound)

    if query.schedules is not None:
        add(f"schedule IN ({_marks(query.schedules)})", *query.schedules)
    if query.states is not None:
        add(f"state IN ({_marks(query.states)})", *(state.value for state in query.states))
    if query.part_of_workflow is not None:
        add("instr(workflow, ?)", query.part_of_workflow)
    if query.after_ms is not None:
        add("scheduled_ms > ?", query.after_ms)
    if query.before_ms is not None:
        add("scheduled_ms < ?", query.before_ms)
    for text in (query.execution_id, query.text):
        if text is not None:
            add("instr(body, CAST(? AS BLOB))", text[:_MAX_TEXT])
    return clauses, values


def _marks(values: list[str] | list[ExecutionState]) -> str:
    return ", ".join("?" for _ in values)


def _timed(row: tuple[bytes, int | None, int, int]) -> Timed:
    document, next_ms, settled_ms, ticks = row
    return Timed(_SCHEDULE_DECODER.decode(document), next_ms, settled_ms, ticks)
