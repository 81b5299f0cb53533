"""Registering definitions: versions, audit times and tags, each in one transaction.

Whether a definition breaks a rule is judged before it comes here.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.errors import NotFound
from edge.model.tags import Tag, merged, without
from edge.store import metadata, tags
from edge.store.tags import Tagged
from edge.transactions import Transaction

Definition = TypeVar("Definition", WorkflowDefinition, TaskDefinition)

_AUDIT = ("create_time", "update_time", "created_by", "updated_by")


class Posted(msgspec.Struct, frozen=True):
    """A definition with what was posted around it."""

    definition: WorkflowDefinition | TaskDefinition
    tags: list[Tag] | None = None
    """None = nothing was said of them; they stay as they are."""
    overwrite_tags: bool = False
    """Whether the posted tags take the place of the ones there are; otherwise they are added."""


def register_workflow(
    transaction: Transaction, posted: Posted, *, overwrite: bool, new_version: bool = False
) -> int:
    """Register a workflow.

    Args:
        transaction: in which all of it is written.
        posted: the definition and its tags.
        overwrite: whether a version that exists may be replaced.
        new_version: give it the number after the highest there is, whatever it says itself.

    Returns:
        The version that it has now.

    Raises:
        Conflict: the version exists and may not be replaced.
    """
    definition = posted.definition
    assert isinstance(definition, WorkflowDefinition)
    connection = transaction.connection
    if new_version:
        latest = metadata.read_workflow_definition(connection, definition.name, None)
        if latest is not None:
            definition = msgspec.structs.replace(definition, version=latest.version + 1)
    name, version = definition.name, definition.version
    old = metadata.read_workflow_definition(connection, name, version)
    dated = _dated(definition, old, transaction.now_ms)
    if dated != old or not overwrite:
        transaction.metadata.put_workflow(connection, dated, overwrite=overwrite)
    _put_tags(transaction, Tagged.WORKFLOW, name, posted)
    return version


def register_workflows(
    transaction: Transaction, posted: list[Posted], *, overwrite: bool, new_version: bool
) -> None:
    """Register all of a list, or none when one is refused. Raises Conflict."""
    for one in posted:
        register_workflow(transaction, one, overwrite=overwrite, new_version=new_version)


def register_tasks(transaction: Transaction, posted: list[Posted]) -> None:
    """Register or replace all of a list, or none when one is refused."""
    for one in posted:
        register_task(transaction, one)


def register_task(transaction: Transaction, posted: Posted) -> None:
    """Register a task definition or replace it."""
    connection, definition = transaction.connection, posted.definition
    assert isinstance(definition, TaskDefinition)
    old = metadata.read_task_definition(connection, definition.name)
    dated = _dated(definition, old, transaction.now_ms)
    if dated != old:
        transaction.metadata.put_task(connection, dated)
    _put_tags(transaction, Tagged.TASK, definition.name, posted)


def replace_task(transaction: Transaction, posted: Posted) -> None:
    """Replace a task definition. Raises NotFound when there is none of that name."""
    name = posted.definition.name
    if metadata.read_task_definition(transaction.connection, name) is None:
        raise NotFound(f"No such task by name {name}")
    register_task(transaction, posted)


def remove_workflow(transaction: Transaction, name: str, version: int) -> None:
    """Forget a version of a workflow; its tags go with the last one. Raises NotFound."""
    connection = transaction.connection
    transaction.metadata.remove_workflow(connection, name, version)
    if metadata.read_workflow_definition(connection, name, None) is None:
        tags.put(connection, Tagged.WORKFLOW, name, [])


def remove_task(transaction: Transaction, name: str) -> None:
    """Forget a task definition and its tags. Raises NotFound."""
    transaction.metadata.remove_task(transaction.connection, name)
    tags.put(transaction.connection, Tagged.TASK, name, [])


def add_tags(transaction: Transaction, kind: Tagged, name: str, new: list[Tag]) -> None:
    """Put tags on a definition; one with a key that is there already takes its place.

    Raises:
        NotFound: there is no definition of that name.
        InvalidInput: together they are too many.
    """
    _check(transaction, kind, name)
    connection = transaction.connection
    tags.put(connection, kind, name, merged(tags.read(connection, kind, name), new))


def set_tags(transaction: Transaction, kind: Tagged, name: str, new: list[Tag]) -> None:
    """Put these tags in place of the ones there are. Raises NotFound."""
    _check(transaction, kind, name)
    tags.put(transaction.connection, kind, name, merged([], new))


def remove_tags(transaction: Transaction, kind: Tagged, name: str, gone: list[Tag]) -> None:
    """Take tags away.

    Raises:
        NotFound: there is no definition of that name, or it does not carry one of them.
    """
    _check(transaction, kind, name)
    there = tags.read(transaction.connection, kind, name)
    for tag in gone:
        left = without(there, [tag])
        if len(left) == len(there):
            raise NotFound(f"{name} has no tag {tag.key}:{tag.value}")
        there = left
    tags.put(transaction.connection, kind, name, there)


def _check(transaction: Transaction, kind: Tagged, name: str) -> None:
    connection = transaction.connection
    if kind is Tagged.WORKFLOW:
        if metadata.read_workflow_definition(connection, name, None) is None:
            raise NotFound(f"No such workflow found by name: {name}")
    elif metadata.read_task_definition(connection, name) is None:
        raise NotFound(f"No such taskType found by name: {name}")


def _put_tags(transaction: Transaction, kind: Tagged, name: str, posted: Posted) -> None:
    if posted.tags is None:
        return
    old = [] if posted.overwrite_tags else tags.read(transaction.connection, kind, name)
    tags.put(transaction.connection, kind, name, merged(old, posted.tags))


def _dated(definition: Definition, old: Definition | None, now_ms: int) -> Definition:
    """The definition with its times; one that says nothing new is the old one.

    Workers register what they know at each start: a write for each would wear out flash, and each
    would be pinned as another definition by the next execution.
    """
    nothing: dict[str, None] = dict.fromkeys(_AUDIT)
    if old is not None:
        plain = msgspec.structs.replace(definition, **nothing)
        if msgspec.structs.replace(old, **nothing) == plain:
            return old
    return msgspec.structs.replace(
        definition,
        create_time=(old.create_time if old is not None else None) or now_ms,
        update_time=now_ms,
        created_by=(old.created_by if old is not None else None) or definition.created_by,
    )
