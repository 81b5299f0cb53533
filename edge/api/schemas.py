"""Endpoints under ``/api/schema``: schemas of inputs and outputs, by name and version.

Whether one can be enforced is asked elsewhere.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.model.definitions import without_nulls
from edge.model.errors import FieldError, InvalidInput, ValidationFailed
from edge.model.schemas import SchemaDefinition, parse_schema
from edge.responses import Response
from edge.store import schemas
from edge.transactions import Transaction

_MAX_LIST = 1_000
"""Schemas in one call."""


async def save(call: Call) -> Response:
    """Register one schema or a list: all of them or none."""
    document = await call.document()
    posted = document if isinstance(document, list) else [document]
    if len(posted) > _MAX_LIST:
        raise InvalidInput(f"a call may hold {_MAX_LIST} schemas, this one has {len(posted)}")
    new_version = call.flag("newVersion", default=False)
    wanted = [_checked(call, one, index) for index, one in enumerate(posted)]
    now_ms = call.house.engine.clock.now_ms()

    def put(transaction: Transaction) -> None:
        for schema in wanted:
            schemas.put_schema(transaction.connection, schema, now_ms, new_version=new_version)
        transaction.metadata.schemas_changed()

    await call.house.engine.request(put)
    return answers.void()


async def every(call: Call) -> Response:
    """All versions of all schemas."""
    found = await call.house.engine.database.read(schemas.read_schemas)
    return answers.json([_shown(one) for one in found])


async def get(call: Call) -> Response:
    """One schema; the latest version without one."""
    name, version = call.params["name"], _version(call)
    found = await call.house.engine.database.read(lambda c: schemas.read_schema(c, name, version))
    if found is None:
        raise schemas.not_found(name, version)
    return answers.json(_shown(found))


async def remove(call: Call) -> Response:
    """Delete one version, or all; executions keep what they started with."""
    name, version = call.params["name"], _version(call)

    def drop(transaction: Transaction) -> None:
        schemas.drop_schema(transaction.connection, name, version)
        transaction.metadata.schemas_changed()

    await call.house.engine.request(drop)
    return answers.void()


def _checked(call: Call, document: Any, index: int) -> SchemaDefinition:
    """A schema that can be kept and, if it is one of JSON, enforced.

    Raises:
        InvalidInput: it cannot.
    """
    path = f"schema[{index}]"
    schema = parse_schema(document, path)
    if schema.type == "JSON" and schema.data is not None:
        fault = call.house.engine.lookups.schemas.fault(schema.data)
        if fault is not None:
            raise ValidationFailed([FieldError(f"{path}.data", fault)])
    return schema


def _version(call: Call) -> int | None:
    if "version" not in call.params:
        return None
    return call.path_number("version") or None


def _shown(schema: SchemaDefinition) -> Any:
    return without_nulls(msgspec.to_builtins(schema))
