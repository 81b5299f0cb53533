"""How often schemas are gone through, and references that nobody follows."""

from __future__ import annotations

from typing import Any

import pytest

from edge import unfolding
from edge.unfolding import Unfolding, unfolded, widths_of

TWICE = [{"$ref": "#"}, {"$ref": "#"}]


def doubled(reference: str, **fields: Any) -> dict[str, Any]:
    """A schema whose members are held against it twice, by way of a reference."""
    return {"properties": {"x": {"allOf": [{"$ref": reference}, {"$ref": reference}]}}, **fields}


def test_a_schema_that_ends() -> None:
    """One member is held against its own part; deeper values against nothing."""
    schema = {"properties": {"a": {"items": {"minimum": 1}}, "b": {}}}

    assert Unfolding([1, 1, 1], whole=True) == unfolded(schema)
    assert Unfolding([1], whole=True) == unfolded({})


def test_what_is_held_against_the_same_value() -> None:
    """Everything in place adds up, as do patterns; of members and items each has its own part."""
    here: dict[str, Any] = {"allOf": [{}, {}], "not": {}, "dependentSchemas": {"k": {}}}
    members: dict[str, Any] = {
        "properties": {"a": {}, "b": {}},
        "patternProperties": {"x": {}, "y": {}},
    }
    others: dict[str, Any] = {"additionalProperties": {"allOf": [{}] * 5}}
    items: dict[str, Any] = {"prefixItems": [{}, {}], "items": {}, "contains": {}}
    old: dict[str, Any] = {"items": [{}, {"not": {}}], "additionalItems": {}}

    assert [5] == unfolded(here).levels
    assert [1, 3] == unfolded(members).levels
    assert [1, 6] == unfolded({**members, **others}).levels
    assert [1, 2] == unfolded(items).levels
    assert [1, 2] == unfolded(old).levels
    assert [1, 2] == unfolded({"propertyNames": {"not": {}}}).levels


def test_a_schema_that_goes_into_itself() -> None:
    """Once for each value, as a tree: as deep as the library reads."""
    tree = {"properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}}
    found = unfolded(tree)

    assert ([1, 2, 2], 255, False) == (found.levels[:3], len(found.levels), found.whole)
    assert 2 * 255 - 1 == found.steps([1] * 255)
    assert found.steps([1] * 256) is None


@pytest.mark.parametrize(
    "schema",
    [
        doubled("#"),
        doubled("#r", **{"$anchor": "r"}),
        doubled("#/%24defs/a~1b", **{"$defs": {"a/b": {"$ref": "#"}}}),
        doubled("http://e.x/s#", **{"$id": "http://e.x/s"}),
        doubled("s", **{"$id": "http://e.x/s#"}),
        doubled("#/unknown/0", unknown=[{"$ref": "#"}]),
        {"$dynamicAnchor": "r", "items": {"allOf": [{"$dynamicRef": "#r"}] * 2}},
        {"$recursiveAnchor": True, "items": {"allOf": [{"$recursiveRef": "#"}] * 2}},
        {"properties": {"enum": {"allOf": TWICE}}},
        {"properties": {"const": {"properties": {"$ref": {"allOf": TWICE}}}}},
        {"$defs": {"default": {"allOf": TWICE}}, "items": {"$ref": "#/$defs/default"}},
    ],
)
def test_what_doubles_is_seen(schema: dict[str, Any]) -> None:
    """Wherever references lead, and whatever members are called."""
    found = unfolded(schema)

    assert not found.whole and 10 < len(found.levels) < 40


def test_names_of_members_and_data_are_no_keywords() -> None:
    """Nothing refers to anything here."""
    data = {"$ref": "http://e.x/", "$id": "x"}
    schema = {
        "properties": {"$ref": {"type": "string"}, "$id": {}, "allOf": {"const": data}},
        "enum": [data], "default": data, "examples": [data], "allOf": [{}, True],
    }  # fmt: skip

    assert [2, 1] == unfolded(schema).levels


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#"}, "leads back to itself"),
        ({"$defs": {"a": {"anyOf": [{"$ref": "#"}]}}, "$ref": "#/$defs/a"}, "leads back"),
        ({"$ref": "#nowhere"}, "does not exist"),
        ({"$ref": "#/allOf/1", "allOf": [{}]}, "does not exist"),
        ({"$ref": "#/type/x", "type": "string"}, "does not exist"),
        ({"$ref": "#r", "$defs": {"a": {"$anchor": "r"}, "b": {"$anchor": "r"}}}, "only once"),
        ({"$ref": "other#/x", "x": {}}, "is not fetched"),
        ({"$ref": "other", "$id": "http://e.x/s"}, "is not fetched"),
        ({"items": {"$id": "http://e.x/s", "items": {"$ref": "#"}}}, "$id of their own"),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "items": {"id": "http://e.x/s", "items": {"$ref": "#"}},
            },
            "id of their own",
        ),
        ({"items": {"allOf": [{"allOf": [{"$ref": "#"}] * 100}] * 100}}, "unfolds into"),
    ],
)
def test_what_is_refused(schema: dict[str, Any], words: str) -> None:
    """Loops, references that nobody can follow, and what unfolds too fast."""
    with pytest.raises(ValueError, match="it|exist|fetched") as refused:
        unfolded(schema)

    assert words in str(refused.value)


def test_references_to_what_is_always_true() -> None:
    """They count for nothing; an address without references hurts nobody."""
    assert [1] == unfolded({"$defs": {"a": True}, "$ref": "#/$defs/a"}).levels
    assert [1, 1] == unfolded({"properties": {"a": {"$id": "#/properties/a"}}}).levels


def test_counting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large schema that goes into itself is followed less far."""
    monkeypatch.setattr(unfolding, "_MAX_COUNTED", 30)

    assert 14 == len(unfolded({"properties": {"l": {"$ref": "#"}, "d": {}}}).levels)


def test_widths() -> None:
    """Values by their depth."""
    assert [1] == widths_of(5)
    assert [1, 2, 3] == widths_of({"a": [1, {}], "b": {"c": "text"}})
