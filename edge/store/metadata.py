"""Definitions: as registered, and as pinned to the executions that started from them.

Whether a definition is a good one is judged before it comes here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable

import msgspec

from edge.model.definitions import (
    SubWorkflowParams,
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
)
from edge.model.errors import Conflict, NotFound, RowDamaged
from edge.model.executions import Pinned
from edge.store.checked import (
    DocumentDecoder,
    checked_document,
    encode_document,
    plain_document,
)
from edge.store.schemas import with_schemas

_PUT_WORKFLOW = """
INSERT INTO workflow_definition (name, version, document) VALUES (?, ?, ?)
ON CONFLICT (name, version) DO UPDATE SET document = excluded.document
"""
_WORKFLOW = "SELECT document FROM workflow_definition WHERE name = ? AND version = ?"
_LATEST_WORKFLOW = """
SELECT document FROM workflow_definition WHERE name = ? ORDER BY version DESC LIMIT 1
"""
_WORKFLOWS = "SELECT document FROM workflow_definition ORDER BY name, version"
_DROP_WORKFLOW = "DELETE FROM workflow_definition WHERE name = ? AND version = ?"
_PUT_TASK = """
INSERT INTO task_definition (name, document) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET document = excluded.document
"""
_TASK = "SELECT document FROM task_definition WHERE name = ?"
_TASKS = "SELECT document FROM task_definition ORDER BY name"
_DROP_TASK = "DELETE FROM task_definition WHERE name = ?"
_PINNED = "SELECT document FROM pinned_definition WHERE key = ?"
_PINNED_BY_DIGEST = "SELECT key FROM pinned_definition WHERE digest = ?"
_PIN = "INSERT INTO pinned_definition (digest, document) VALUES (?, ?)"

_WORKFLOW_DECODER = DocumentDecoder(WorkflowDefinition, "workflow_definition")
_TASK_DECODER = DocumentDecoder(TaskDefinition, "task_definition")
_PINNED_DECODER = DocumentDecoder(WorkflowDefinition, "pinned_definition")

_LARGEST_VERSION = 2**31 - 1

_MAX_CACHED = 500
"""Pinned definitions kept parsed, about 20 KB each."""


def read_workflow_definition(
    connection: sqlite3.Connection, name: str, version: int | None
) -> WorkflowDefinition | None:
    """A registered workflow; the highest version when none is named."""
    if version is None:
        row = connection.execute(_LATEST_WORKFLOW, (name,)).fetchone()
    elif abs(version) > _LARGEST_VERSION:
        # JSON knows numbers that no column holds.
        return None
    else:
        row = connection.execute(_WORKFLOW, (name, version)).fetchone()
    return None if row is None else _WORKFLOW_DECODER.decode(row[0])


def read_workflow_definitions(connection: sqlite3.Connection) -> list[WorkflowDefinition]:
    """All versions of all workflows."""
    return [_WORKFLOW_DECODER.decode(row[0]) for row in connection.execute(_WORKFLOWS)]


def read_task_definition(connection: sqlite3.Connection, name: str) -> TaskDefinition | None:
    """A registered task definition."""
    row = connection.execute(_TASK, (name,)).fetchone()
    return None if row is None else _TASK_DECODER.decode(row[0])


def read_task_definitions(connection: sqlite3.Connection) -> list[TaskDefinition]:
    """All registered task definitions."""
    return [_TASK_DECODER.decode(row[0]) for row in connection.execute(_TASKS)]


def read_pinned(connection: sqlite3.Connection, key: int) -> Pinned:
    """A definition as an execution started from it."""
    row = connection.execute(_PINNED, (key,)).fetchone()
    if row is None:
        raise RowDamaged("pinned_definition", f"number {key} is missing")
    return Pinned(key, _PINNED_DECODER.decode(row[0]), plain_document(row[0], "pinned_definition"))


class Registered:
    """The registered task definitions as they are now."""

    def __init__(self, metadata: Metadata, connection: sqlite3.Connection) -> None:
        self._metadata = metadata
        self._connection = connection

    def task_definition(self, name: str) -> TaskDefinition | None:
        """The definition of this name; None = nobody registered one."""
        return self._metadata.task_definition(self._connection, name)


class Metadata:
    """The writing half, with what was read lately; runs on the writer's thread only."""

    def __init__(self) -> None:
        self._pinned: dict[int, Pinned] = {}
        self._current: dict[tuple[str, int | None], Pinned] = {}
        self._tasks: dict[str, TaskDefinition | None] = {}

    def put_workflow(
        self, connection: sqlite3.Connection, definition: WorkflowDefinition, *, overwrite: bool
    ) -> None:
        """Register a workflow.

        Raises:
            Conflict: it exists and may not be replaced.
        """
        name, version = definition.name, definition.version
        if not overwrite and connection.execute(_WORKFLOW, (name, version)).fetchone():
            raise Conflict(f"Workflow with {name}.{version} already exists!")
        connection.execute(_PUT_WORKFLOW, (name, version, encode_document(definition)))
        self._changed()

    def remove_workflow(self, connection: sqlite3.Connection, name: str, version: int) -> None:
        """Forget a registered workflow; executions keep theirs.

        Raises:
            NotFound: there is no such definition.
        """
        if connection.execute(_DROP_WORKFLOW, (name, version)).rowcount == 0:
            raise NotFound(f"No such workflow definition: {name} version: {version}")
        self._changed()

    def put_task(self, connection: sqlite3.Connection, definition: TaskDefinition) -> None:
        """Register a task definition or replace it."""
        connection.execute(_PUT_TASK, (definition.name, encode_document(definition)))
        self._changed()

    def remove_task(self, connection: sqlite3.Connection, name: str) -> None:
        """Forget a task definition.

        Raises:
            NotFound: there is no such definition.
        """
        if connection.execute(_DROP_TASK, (name,)).rowcount == 0:
            raise NotFound(f"No such task definition: {name}")
        self._changed()

    def at(self, connection: sqlite3.Connection) -> Registered:
        """The registered definitions, for those who hold no connection."""
        return Registered(self, connection)

    def task_definition(self, connection: sqlite3.Connection, name: str) -> TaskDefinition | None:
        """A registered task definition as it is now."""
        if name not in self._tasks:
            while len(self._tasks) >= _MAX_CACHED:
                self._tasks.pop(next(iter(self._tasks)))
            self._tasks[name] = read_task_definition(connection, name)
        return self._tasks[name]

    def pinned(self, connection: sqlite3.Connection, key: int) -> Pinned:
        """A pinned definition by its key."""
        if key not in self._pinned:
            self._remember(read_pinned(connection, key))
        return self._pinned[key]

    def pin_registered(
        self, connection: sqlite3.Connection, name: str, version: int | None
    ) -> Pinned:
        """Pin the registered definition as it is now.

        Raises:
            NotFound: there is no such definition.
        """
        known = self._current.get((name, version))
        if known is not None:
            return known
        definition = read_workflow_definition(connection, name, version)
        if definition is None:
            shown = "null" if version is None else version
            raise NotFound(f"No such workflow defined. name={name}, version={shown}")
        pinned = self.pin(connection, definition)
        self._current[name, version] = pinned
        return pinned

    def pin(self, connection: sqlite3.Connection, definition: WorkflowDefinition) -> Pinned:
        """Embed the task definitions as they are now, and keep the result once."""

        def settings(task: WorkflowTask) -> TaskDefinition:
            found = task.task_definition or read_task_definition(connection, task.name)
            return with_schemas(connection, found or _ad_hoc(task))

        def latest(child: str) -> int | None:
            found = read_workflow_definition(connection, child, None)
            return None if found is None else found.version

        whole = msgspec.structs.replace(
            definition, tasks=[_embed(task, settings, latest) for task in definition.tasks]
        )
        whole = with_schemas(connection, whole)
        document = msgspec.json.encode(whole)
        digest = hashlib.blake2b(document, digest_size=16).digest()
        row = connection.execute(_PINNED_BY_DIGEST, (digest,)).fetchone()
        key = (
            row[0]
            if row
            else connection.execute(_PIN, (digest, checked_document(document))).lastrowid
        )
        pinned = Pinned(key or 0, whole, document)
        self._remember(pinned)
        return pinned

    def schemas_changed(self) -> None:
        """Definitions that name a schema are to be pinned anew."""
        self._current.clear()

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory may be ahead of the disk."""
        self._pinned.clear()
        self._changed()

    def _changed(self) -> None:
        """A definition has changed: what was put together from the registered ones is stale."""
        self._current.clear()
        self._tasks.clear()

    def _remember(self, pinned: Pinned) -> None:
        while len(self._pinned) >= _MAX_CACHED:
            self._pinned.pop(next(iter(self._pinned)))
        self._pinned[pinned.key] = pinned


def _embed(
    task: WorkflowTask,
    settings: Callable[[WorkflowTask], TaskDefinition],
    latest: Callable[[str], int | None],
) -> WorkflowTask:
    """A step with the task definition of its name, and the same for the steps inside it."""

    def within(tasks: list[WorkflowTask]) -> list[WorkflowTask]:
        return [_embed(inner, settings, latest) for inner in tasks]

    return msgspec.structs.replace(
        task,
        task_definition=settings(task),
        sub_workflow_param=_pinned_child(task, latest),
        decision_cases={case: within(tasks) for case, tasks in task.decision_cases.items()},
        default_case=within(task.default_case),
        fork_tasks=[within(tasks) for tasks in task.fork_tasks],
        loop_over=within(task.loop_over),
    )


def _pinned_child(
    task: WorkflowTask, latest: Callable[[str], int | None]
) -> SubWorkflowParams | None:
    """Which workflow a SUB_WORKFLOW starts: without a version, the latest as of now."""
    param = task.sub_workflow_param
    if task.type != "SUB_WORKFLOW" or param is None or param.version is not None:
        return param
    if param.workflow_definition is not None or not param.name or "${" in param.name:
        return param
    # Where none is registered yet, the latest is looked for when the child is started.
    return msgspec.structs.replace(param, version=latest(param.name))


def _ad_hoc(task: WorkflowTask) -> TaskDefinition:
    """What applies to a task whose name nobody registered: only SIMPLE ones are retried."""
    if task.type == "SIMPLE":
        return TaskDefinition(name=task.name)
    return TaskDefinition(name=task.name, retry_count=0, response_timeout_seconds=0)
