"""Registered schemas, by name and version.

Whether a schema is a good one is judged before it comes here.
"""

from __future__ import annotations

import sqlite3
from typing import TypeVar

import msgspec

from edge.model.definitions import SchemaRef, TaskDefinition, WorkflowDefinition
from edge.model.errors import NotFound
from edge.model.schemas import SchemaDefinition
from edge.store.checked import DocumentDecoder, encode_document

_Holder = TypeVar("_Holder", TaskDefinition, WorkflowDefinition)

_PUT = """
INSERT INTO schema_definition (name, version, document) VALUES (?, ?, ?)
ON CONFLICT (name, version) DO UPDATE SET document = excluded.document
"""
_ONE = "SELECT document FROM schema_definition WHERE name = ? AND version = ?"
_LATEST = """
SELECT document FROM schema_definition WHERE name = ? ORDER BY version DESC LIMIT 1
"""
_ALL = "SELECT document FROM schema_definition ORDER BY name, version"
_DROP_ONE = "DELETE FROM schema_definition WHERE name = ? AND version = ?"
_DROP_ALL = "DELETE FROM schema_definition WHERE name = ?"

_DECODER = DocumentDecoder(SchemaDefinition, "schema_definition")


def read_schema(
    connection: sqlite3.Connection, name: str, version: int | None
) -> SchemaDefinition | None:
    """A registered schema; the highest version when none is named."""
    if version:
        row = connection.execute(_ONE, (name, version)).fetchone()
    else:
        row = connection.execute(_LATEST, (name,)).fetchone()
    return None if row is None else _DECODER.decode(row[0])


def read_schemas(connection: sqlite3.Connection) -> list[SchemaDefinition]:
    """All versions of all schemas."""
    return [_DECODER.decode(row[0]) for row in connection.execute(_ALL)]


def put_schema(
    connection: sqlite3.Connection, schema: SchemaDefinition, now_ms: int, *, new_version: bool
) -> None:
    """Register a schema or replace it.

    Args:
        connection: of the writer.
        schema: what was posted.
        now_ms: the time.
        new_version: whether it becomes the version after the latest, whatever it says itself.
    """
    latest = read_schema(connection, schema.name, None)
    if new_version and latest is not None:
        schema = msgspec.structs.replace(schema, version=latest.version + 1)
    old = read_schema(connection, schema.name, schema.version)
    schema = msgspec.structs.replace(
        schema,
        create_time=(old and old.create_time) or now_ms,
        created_by=(old and old.created_by) or schema.created_by,
        update_time=now_ms,
    )
    connection.execute(_PUT, (schema.name, schema.version, encode_document(schema)))


def drop_schema(connection: sqlite3.Connection, name: str, version: int | None) -> None:
    """Forget a version of a schema, or all of them; executions keep what they started with.

    Raises:
        NotFound: there is none.
    """
    if version is None:
        dropped = connection.execute(_DROP_ALL, (name,)).rowcount
    else:
        dropped = connection.execute(_DROP_ONE, (name, version)).rowcount
    if dropped == 0:
        raise not_found(name, version)


def with_schemas(connection: sqlite3.Connection, holder: _Holder) -> _Holder:
    """A definition with the schemas that it names, as they are now, where they are enforced."""
    if not holder.enforce_schema or (holder.input_schema is None and holder.output_schema is None):
        return holder
    return msgspec.structs.replace(
        holder,
        input_schema=holder.input_schema and whole(connection, holder.input_schema),
        output_schema=holder.output_schema and whole(connection, holder.output_schema),
    )


def whole(connection: sqlite3.Connection, ref: SchemaRef) -> SchemaRef:
    """A schema that is only named, as it is registered now."""
    if ref.data is not None or not ref.name:
        return ref
    found = read_schema(connection, ref.name, ref.version)
    if found is None:
        # Whoever would be held to it is told when it comes to that.
        return ref
    return SchemaRef(found.name, found.version, found.type, found.data, found.external_ref)


def not_found(name: str, version: int | None) -> NotFound:
    """What to say of a schema that is not registered."""
    shown = "" if version is None else f", version: {version}"
    return NotFound(f"No such schema found by name: {name}{shown}")
