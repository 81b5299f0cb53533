"""Schemas as clients register them, checked as far as this can be done without a validator.

Whether a payload fulfils one is not judged here.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edge.model.definitions import JsonObject
from edge.model.errors import FieldError, ValidationFailed
from edge.model.validation import shaped

MAX_SCHEMA_BYTES = 256 * 1024
"""Of one schema as JSON; it is kept with each definition that executions start from."""

_MAX_NAME = 255
_LARGEST_VERSION = 2**31 - 1


class SchemaDefinition(msgspec.Struct, frozen=True, rename="camel"):
    """A schema with its name and version."""

    name: str = ""
    version: int = 1
    type: Literal["JSON", "AVRO", "PROTOBUF"] = "JSON"
    data: JsonObject | None = None
    """The JSON schema."""
    external_ref: str | None = None
    """Where a schema of another kind can be found; never fetched."""
    owner_app: str | None = None
    create_time: int | None = None
    update_time: int | None = None
    created_by: str | None = None
    updated_by: str | None = None


def parse_schema(document: Any, path: str = "schema") -> SchemaDefinition:
    """Read a posted schema and hold it against the rules.

    Raises:
        InvalidInput: it has not the shape of a schema; the message names the field.
        ValidationFailed: it breaks rules; all of them are listed.
    """
    schema = shaped(document, SchemaDefinition, path)
    faults = []
    if not schema.name.strip():
        faults.append(FieldError(f"{path}.name", "SchemaDef name cannot be null or empty"))
    if len(schema.name) > _MAX_NAME:
        faults.append(FieldError(f"{path}.name", f"may hold {_MAX_NAME} characters"))
    if not 0 <= schema.version <= _LARGEST_VERSION:
        faults.append(FieldError(f"{path}.version", "must be a whole number from 1"))
    if schema.data is not None and len(msgspec.json.encode(schema.data)) > MAX_SCHEMA_BYTES:
        faults.append(FieldError(f"{path}.data", f"may hold {MAX_SCHEMA_BYTES} bytes of JSON"))
    if schema.type == "JSON" and schema.data is None and schema.external_ref is None:
        faults.append(FieldError(f"{path}.data", "a schema of type JSON holds it here"))
    if faults:
        raise ValidationFailed(faults)
    # Zero is "not given", as with workflows.
    return schema if schema.version else msgspec.structs.replace(schema, version=1)
