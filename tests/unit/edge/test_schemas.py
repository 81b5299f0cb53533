"""Payloads against JSON schemas: faults by their place, and schemas that nothing can hang on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from edge import schemas
from edge.model.definitions import SchemaRef
from edge.schemas import Schemas

PRODUCT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/product.schema.json",
    "type": "object",
    "properties": {
        "productId": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "size": {"$ref": "#/$defs/size"},
    },
    "required": ["productId"],
    "$defs": {"size": {"properties": {"w.x": {"maximum": 5}}, "additionalProperties": False}},
}


def _faults(schema: Any, payload: Any) -> list[tuple[str, str]]:
    return Schemas().faults(SchemaRef(name="s", data=schema), payload)


def test_a_payload_that_fulfils_its_schema() -> None:
    """No fault; what the schema does not name is nobody's business."""
    assert [] == _faults(PRODUCT, {"productId": 25, "tags": ["a"], "more": None})


def test_faults_name_their_place_and_not_the_value() -> None:
    """A wrong value may be a secret: it is in no message."""
    payload = {"productId": "s3cr3t", "tags": ["ok", "S3CR3T"], "size": {"w.x": 77}}

    assert [
        ("productId", 'the value is not of type "integer"'),
        ("size.w.x", "the value is greater than the maximum of 5"),
        ("tags[1]", 'the value does not match "^[a-z]+$"'),
    ] == sorted(_faults(PRODUCT, payload))
    assert [("", '"productId" is a required property')] == _faults(PRODUCT, {})


def test_a_stray_dialect_is_an_annotation() -> None:
    """``$schema`` among the properties, as the SDKs' examples have it, says nothing of payloads."""
    stray = {
        "properties": {
            "$schema": "http://json-schema.org/draft-07/schema",
            "n": {"type": "integer"},
        }
    }

    assert Schemas().fault(stray) is None
    assert [] == _faults(stray, {"$schema": 7, "n": 1})
    assert ["n"] == [place for place, _ in _faults(stray, {"n": "one"})]
    assert Schemas().fault({"properties": {"n": "http://example.com"}}) is not None


def test_a_whole_definition_stands_for_its_data() -> None:
    """As the SDKs' examples post one; what is neither schema nor definition is still told."""
    whole = {"name": "s", "type": "JSON", "data": {"properties": {"n": {"type": "integer"}}}}

    assert Schemas().fault(whole) is None
    assert ["n"] == [place for place, _ in _faults(whole, {"n": "one"})]
    assert Schemas().fault({"type": "JSON"}) is not None


def test_the_number_of_faults_is_bounded() -> None:
    """The author mends what is told and tries again."""
    found = _faults({"items": {"type": "string"}}, list(range(1_000)))

    assert 21 == len(found)
    assert ("", "and more") == found[-1]


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
def test_other_kinds_are_kept_and_not_enforced(kind: str) -> None:
    """Nothing here reads them."""
    assert [] == Schemas().faults(SchemaRef(name="s", type=kind), {"any": 1})


def test_a_schema_that_is_not_there_is_a_fault() -> None:
    """What was to be enforced and cannot be must not pass."""
    assert [("", "the schema s, version 3 is not registered")] == Schemas().faults(
        SchemaRef(name="s", version=3), {}
    )
    assert [("", "the schema s is not registered")] == Schemas().faults(SchemaRef(name="s"), {})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "nonsense"}, "not valid"),
        ({"properties": []}, "not of type"),
        ({"pattern": "(?=x)y"}, "regex"),
        ({"pattern": "x{1000}{1000}"}, "regex"),
        ({"$ref": "https://example.invalid/x"}, "is not fetched"),
        ({"$ref": "file:///etc/passwd"}, "is not fetched"),
        ({"$ref": "#/nowhere"}, "does not exist"),
        ({"$schema": "https://example.invalid/meta"}, "meta-schema"),
    ],
)
def test_what_is_no_schema_is_told(schema: dict[str, Any], words: str) -> None:
    """Look-around, remote parts and what the standard does not know; one line says so."""
    fault = Schemas().fault(schema)

    assert fault is not None and words in fault and "\n" not in fault
    ((_, why),) = _faults(schema, {})
    assert why.startswith("the schema cannot be used: ")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        PRODUCT,
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1},
        {"properties": {"a": {"$ref": "#"}, "b": {"items": {"$ref": "#/properties/b"}}}},
        {"prefixItems": [{"type": "string"}, {"$ref": "#/prefixItems/0"}]},
        {"$defs": {"a/b": {"type": "null"}}, "$ref": "#/$defs/a~1b"},
        {"$anchor": "x", "properties": {"y": {"$ref": "#x"}}},
    ],
)
def test_what_is_a_schema(schema: dict[str, Any]) -> None:
    """Every draft, references into itself, recursion."""
    assert Schemas().fault(schema) is None


def test_a_pattern_cannot_hang() -> None:
    """The classic explosion takes no more time than any other text of its length."""
    schema = {"pattern": "^(a+)+$"}
    began = time.perf_counter()
    found = _faults(schema, "a" * 100_000 + "!")

    assert 1 == len(found)
    # Backtracking would go on for longer than the universe is old.
    assert time.perf_counter() - began < 25


def _doubled(levels: int) -> dict[str, Any]:
    """A schema that refers to the next one twice, again and again."""
    steps: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(levels)
    }
    return {"$defs": {**steps, f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def test_a_schema_that_explodes_is_refused() -> None:
    """Before it is compiled, in no time; a few doublings are nobody's harm."""
    fault = Schemas().fault(_doubled(60))

    assert fault is not None and "unfolds into" in fault
    assert Schemas().fault(_doubled(10)) is None


def _nested(levels: int) -> Any:
    """``{"x": {"x": …}}``."""
    value: Any = {}
    for _ in range(levels):
        value = {"x": value}
    return value


def test_a_payload_cannot_make_a_schema_explode() -> None:
    """What goes into itself twice doubles with each level: deep payloads are not tried."""
    schema = {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}

    assert Schemas().fault(schema) is None
    assert [] == _faults(schema, _nested(10))
    ((place, why),) = _faults(schema, _nested(60))
    assert "" == place and why.startswith("nested 61 levels deep; the schema can be followed ")


def test_wide_payloads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones are only held against the schema; too large ones are not."""
    schema = {"items": {"type": "integer"}}
    monkeypatch.setattr(schemas, "_MAX_TOLD", 10)
    monkeypatch.setattr(schemas, "_MAX_WORK", 20)

    assert [("[9]", 'the value is not of type "integer"')] != _faults(schema, [1] * 9 + ["x"])
    assert [("[8]", 'the value is not of type "integer"')] == _faults(schema, [1] * 8 + ["x"])
    assert [] == _faults(schema, [1] * 10)
    ((_, why),) = _faults(schema, [1] * 9 + ["x"])
    assert "too large to say where" in why
    ((_, why),) = _faults(schema, [1] * 20)
    assert "21 steps, 20 are allowed" in why


def test_what_is_nested_too_deeply_is_a_fault() -> None:
    """Of the payload or of the schema, and no crash."""
    assert [("", "the schema cannot be applied: the value is nested too deeply")] == _faults(
        {"additionalProperties": {"const": 1}}, _nested(400)
    )
    deep: Any = {}
    for _ in range(50_000):
        deep = {"not": deep}
    assert Schemas().fault(deep) is not None
    ((_, why),) = _faults(deep, 1)
    assert why.startswith("the schema cannot be used: ")
    # Too deep to be taken apart by whoever lets go of it last.
    while deep:
        deep = deep.pop("not")


def test_compiled_schemas_are_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schema is compiled once, as long as not too many others were used since."""
    monkeypatch.setattr(schemas, "_KEPT", 2)
    enforced = Schemas()
    first = enforced._validator({"minimum": 1})

    assert first is enforced._validator({"minimum": 1})
    for number in (2, 3):
        enforced._validator({"minimum": number})
    assert first is not enforced._validator({"minimum": 1})
    assert 2 == len(enforced._compiled)
