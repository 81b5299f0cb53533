"""The logical content of a database, and what must be true of it whenever it is looked at.

Nothing is known here of how it came about; that is compared elsewhere.
"""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus, split_task_key
from edge.store.records import decode_task, decode_workflow
from tests.up_to_date import rows_up_to_date

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
_LANE_BITS = 56

_OUTSIDE = frozenset({"WAIT", "HUMAN", "YIELD", "PULL_WORKFLOW_MESSAGES"})
"""Kinds that somebody outside brings to their end."""


class State:
    """All rows of all tables.

    Args:
        tables: rows by table, in the order of their keys.
        columns: names by table.
        put_in_place: tables whose rows are shown where they will be put.
    """

    def __init__(
        self,
        tables: dict[str, list[tuple[Any, ...]]],
        columns: dict[str, tuple[str, ...]],
        put_in_place: frozenset[str] = frozenset(),
    ) -> None:
        self._tables = tables
        self._columns = columns
        self._put_in_place = put_in_place

    @cached_property
    def digest(self) -> bytes:
        """Equal for equal rows, and for no others."""
        # Version 2 of the format has no references: it depends on values alone.
        return hashlib.blake2b(marshal.dumps(self._tables, 2), digest_size=16).digest()

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table by the names of their columns; none when there is no such table."""
        columns = self._columns.get(table, ())
        for row in self._tables.get(table, ()):
            yield dict(zip(columns, row, strict=True))

    @property
    def written(self) -> set[str]:
        """The tables that hold anything."""
        return {table for table, rows in self._tables.items() if rows} | self._put_in_place

    @cached_property
    def workflows(self) -> dict[int, Workflow]:
        """Executions by key."""
        return {row["key"]: decode_workflow(row["body"]) for row in self.rows("workflow")}

    @cached_property
    def tasks(self) -> dict[int, Task]:
        """Task records by key."""
        return {row["key"]: decode_task(row["body"]) for row in self.rows("task")}

    @cached_property
    def by_id(self) -> dict[bytes, Workflow]:
        """Executions by id."""
        return {workflow.id: workflow for workflow in self.workflows.values()}

    def tasks_of(self, workflow: Workflow) -> list[Task]:
        """The records of one execution, oldest first."""
        return self._grouped.get(workflow.key, [])

    @cached_property
    def _grouped(self) -> dict[int, list[Task]]:
        found: dict[int, list[Task]] = {}
        for key, task in self.tasks.items():
            found.setdefault(split_task_key(key)[0], []).append(task)
        return found


_known: dict[tuple[Any, ...], tuple[str, dict[str, tuple[str, ...]]]] = {}
"""For the version of a schema and its tables, the statement that names those with rows, and their
columns: both take longer to be asked for than the rows."""


def read_state(connection: sqlite3.Connection) -> State:
    """Everything that a database holds.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    names = tuple(row[0] for row in connection.execute(_TABLES).fetchall())
    schema = (*connection.execute("PRAGMA user_version").fetchone(), *names)
    if schema not in _known:
        columns = {}
        for table in names:
            named = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            columns[table] = tuple(column[1] for column in named)
        filled = " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")" for table in names
        )
        _known[schema] = filled, columns
    filled, columns = _known[schema]
    tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}
    # Most tables are empty in most shapes, and a statement for each costs more than the reading.
    for (table,) in connection.execute(filled).fetchall() if names else ():
        tables[table] = list(map(tuple, connection.execute(f'SELECT * FROM "{table}"').fetchall()))
    put_in_place = frozenset({"redo"} if tables.get("redo") else ())
    if put_in_place:
        # What a device holds is the same before and after these rows are put in place.
        tables |= rows_up_to_date(connection)
        tables["redo"] = []
    return State(tables, columns, put_in_place)


def faults(state: State) -> list[str]:
    """What is wrong with a database, whatever was done to it before; empty = nothing."""
    return [fault for look in _LOOKS for fault in look(state)]


def _columns_agree(state: State) -> Iterator[str]:
    """What is in a column for questions is what the record says."""
    for row in state.rows("workflow"):
        workflow = state.workflows[row["key"]]
        told = (
            workflow.key, workflow.id, workflow.name, workflow.status.value,
            workflow.correlation_id, workflow.idempotency_key, workflow.created_ms,
            workflow.due_ms or None,
        )  # fmt: skip
        if told != tuple(row[name] for name in row if name != "body"):
            yield f"columns of workflow {row['key']} differ from its record"
    for row in state.rows("task"):
        task = state.tasks[row["key"]]
        key, ordinal = split_task_key(row["key"])
        if (task.ordinal, task.due_ms or None) != (ordinal, row["due_ms"]):
            yield f"columns of task {row['key']} differ from its record"
        if key not in state.workflows:
            yield f"task {task.ref} of an execution {key} that is not there"


def _ends_are_ends(state: State) -> Iterator[str]:
    """Nothing is open in an execution that has ended."""
    for workflow in state.workflows.values():
        if workflow.status.terminal:
            for task in state.tasks_of(workflow):
                if not task.status.terminal:
                    yield f"task {task.ref} is {task.status} in {workflow.name}: {workflow.status}"


def _running_have_causes(state: State) -> Iterator[str]:
    """Something will move every execution that runs; only a pause may hold it."""
    for workflow in state.workflows.values():
        if workflow.status is not WorkflowStatus.RUNNING:
            continue
        if workflow.waits and _others_with_key(state, workflow):
            continue
        if not any(_is_cause(state, workflow, task) for task in state.tasks_of(workflow)):
            yield f"nothing will ever move {workflow.name}, which is RUNNING"


def _others_with_key(state: State, workflow: Workflow) -> bool:
    return any(
        not other.status.terminal and not other.rate_limited
        for other in state.workflows.values()
        if other.rate_limit_key == workflow.rate_limit_key and other.name == workflow.name
    )


def _is_cause(state: State, workflow: Workflow, task: Task) -> bool:
    """Whether a task will move its execution without any other task of it."""
    if task.status.terminal:
        return False
    if task.due_ms or task.kind in _OUTSIDE:
        return True
    if task.child:
        child = state.by_id.get(task.child)
        return child is not None and not child.status.terminal
    return task.queue is not None


def _work_can_be_fetched(state: State) -> Iterator[str]:
    """A task that waits for a worker is in the queue that its worker asks."""
    for key, task in state.tasks.items():
        workflow = state.workflows.get(split_task_key(key)[0])
        is_work = task.kind == "SIMPLE" and task.status is TaskStatus.SCHEDULED
        if is_work and workflow is not None and not task.queue:
            yield f"task {task.ref} of {workflow.name} is SCHEDULED in no queue"


def _one_attempt_is_open(state: State) -> Iterator[str]:
    """Of the attempts at one step, one at most is open."""
    for workflow in state.workflows.values():
        seen: set[str] = set()
        for task in state.tasks_of(workflow):
            if not task.status.terminal:
                if task.ref in seen:
                    yield f"two attempts at {task.ref} of {workflow.name} are open"
                seen.add(task.ref)


def _families_agree(state: State) -> Iterator[str]:
    """A child that has ended has told so; one that runs has a task that waits for it."""
    for workflow in state.workflows.values():
        parent = state.by_id.get(workflow.parent_id)
        if parent is None:
            continue
        mine = [t for t in state.tasks_of(parent) if t.ordinal == workflow.parent_ordinal]
        waits = bool(mine) and mine[0].child == workflow.id and not mine[0].status.terminal
        if waits and workflow.status.terminal:
            yield f"{workflow.name} has ended and {parent.name} still waits for it"
        if not workflow.status.terminal and parent.status.terminal:
            yield f"{workflow.name} runs and {parent.name} around it has ended"


def _history_has_no_gaps(state: State) -> Iterator[str]:
    """Each lane holds every record from the first that is not acknowledged to the last given.

    Of a run that is acknowledged in part all is held.
    """
    lanes = {row["lane"]: (row["acked"], row["next_seq"]) for row in state.rows("lane")}
    held: dict[int, list[int]] = {lane: [] for lane in lanes}
    for row in state.rows("sealed"):
        first = row["key"] & (1 << _LANE_BITS) - 1
        held.setdefault(row["key"] >> _LANE_BITS, []).extend(range(first, first + row["count"]))
    for row in state.rows("history"):
        lane = row["key"] >> _LANE_BITS
        seq = row["key"] & (1 << _LANE_BITS) - 1
        held.setdefault(lane, []).append(seq)
        if seq <= lanes.get(lane, (0, 1))[0]:
            yield f"lane {lane} holds {seq}, which is acknowledged"
    for lane, sequences in held.items():
        acked, next_seq = lanes.get(lane, (0, 1))
        sequences.sort()
        first = min(sequences[0], acked + 1) if sequences else acked + 1
        if sequences != list(range(first, next_seq)):
            yield f"lane {lane} holds {sequences[:5]}... after {acked} and before {next_seq}"


_REFERENCES = (
    ("workflow_message", "workflow", "workflow", "key"),
    ("access_key", "application", "application", "id"),
    ("group_member", "group_id", "person_group", "id"),
    ("group_member", "person_id", "person", "id"),
    ("schedule_timer", "schedule", "schedule", "name"),
    ("schedule", "name", "schedule_timer", "schedule"),
)
"""Table and column, and the table and column where the same value must be."""


def _references_lead_somewhere(state: State) -> Iterator[str]:
    """Rows that belong to others have them."""
    for table, column, other, key in _REFERENCES:
        known = {row[key] for row in state.rows(other)}
        for row in state.rows(table):
            if row[column] not in known:
                yield f"{table}.{column} = {row[column]!r} is not in {other}.{key}"
    for row in state.rows("task_log"):
        # The task itself may have left with a restart; what was said of it stays.
        if split_task_key(row["task"])[0] not in state.workflows:
            yield f"task_log speaks of a task {row['task']} of no execution"
    pinned = {row["key"] for row in state.rows("pinned_definition")}
    for workflow in state.workflows.values():
        if workflow.pinned not in pinned:
            yield f"{workflow.name} runs by the definition {workflow.pinned}, which is gone"


def _payloads_are_held(state: State) -> Iterator[str]:
    """Rows of payload files and the records that refer to them agree."""
    wanted: set[tuple[int, str, bytes]] = set()
    for key, workflow in state.workflows.items():
        wanted |= _files_of(key << 24, workflow)
    for key, task in state.tasks.items():
        wanted |= _files_of(key, task)
    held = {(row["holder"], row["part"], row["digest"]) for row in state.rows("payload")}
    if wanted != held:
        yield f"payload rows {len(held - wanted)} too many, {len(wanted - held)} missing"


def _files_of(holder: int, record: Task | Workflow) -> set[tuple[int, str, bytes]]:
    parts = (("input", record.input_file), ("output", record.output_file))
    return {(holder, part, digest) for part, digest in parts if digest}


_LOOKS: tuple[Callable[[State], Iterator[str]], ...] = (
    _columns_agree,
    _ends_are_ends,
    _running_have_causes,
    _work_can_be_fetched,
    _one_attempt_is_open,
    _families_agree,
    _history_has_no_gaps,
    _references_lead_somewhere,
    _payloads_are_held,
)
