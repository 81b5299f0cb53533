"""Posted schemas: their shape and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.errors import InvalidInput, ValidationFailed
from edge.model.schemas import MAX_SCHEMA_BYTES, SchemaDefinition, parse_schema

DATA = {"type": "object", "default": None}


def test_a_schema_takes_its_defaults() -> None:
    """Nulls and version 0 stand for "not given"; a null inside the schema is the author's."""
    posted = {"name": "s", "version": 0, "type": None, "data": DATA, "unknown": 1}

    assert SchemaDefinition("s", 1, "JSON", DATA) == parse_schema(posted)


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
def test_other_kinds_may_stand_elsewhere(kind: str) -> None:
    """A reference is kept as it is."""
    posted = {"name": "s", "version": 3, "type": kind, "externalRef": "https://x.invalid/s"}

    assert "https://x.invalid/s" == parse_schema(posted).external_ref


@pytest.mark.parametrize(
    ("posted", "path"),
    [
        ({"data": {}}, "schema.name"),
        ({"name": "x" * 256, "data": {}}, "schema.name"),
        ({"name": "s", "data": {}, "version": -1}, "schema.version"),
        ({"name": "s", "data": {}, "version": 2**31}, "schema.version"),
        ({"name": "s"}, "schema.data"),
        ({"name": "s", "data": {"x": "y" * MAX_SCHEMA_BYTES}}, "schema.data"),
    ],
)
def test_broken_rules_are_listed(posted: dict[str, Any], path: str) -> None:
    """With the path of the field."""
    with pytest.raises(ValidationFailed) as refused:
        parse_schema(posted)
    assert [path] == [fault.path for fault in refused.value.fields]


def _deep() -> Any:
    value: Any = {}
    for _ in range(3_000):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "posted",
    [[], "x", {"name": [5]}, {"name": "s", "type": "XML"}, {"name": "s", "data": []}, _deep()],
)
def test_what_has_another_shape(posted: Any) -> None:
    """The message says what could not be read."""
    with pytest.raises(InvalidInput, match="Cannot read the schema"):
        parse_schema(posted)
