"""Tags are read as they are posted, and a key of one type is one tag."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.errors import InvalidInput
from edge.model.tags import MAX_TAGS, Tag, matches, merged, parse_tags, without


@pytest.mark.parametrize(
    ("posted", "tags"),
    [
        ({"key": "a", "value": "b"}, [Tag("a", "b")]),
        ([{"key": "a", "value": 3, "type": "RATE_LIMIT", "x": 1}], [Tag("a", 3, "RATE_LIMIT")]),
        ([{"key": "a", "value": None, "type": None}], [Tag("a")]),
        ([], []),
    ],
)
def test_a_list_or_one_alone(posted: Any, tags: list[Tag]) -> None:
    """Unknown fields are ignored, null is a default."""
    assert tags == parse_tags(posted)


@pytest.mark.parametrize(
    ("posted", "place"),
    [
        ("a", r"tags\[0\]"),
        ([{"value": "b"}], r"tags\[0\]"),
        ([{"key": "a"}, {"key": " "}], r"tags\[1\].key"),
        ([{"key": "a", "value": {}}], r"tags\[0\]"),
        ([{"key": "a" * 501}], r"tags\[0\]: key and value may have 500"),
        ([{"key": str(number)} for number in range(MAX_TAGS + 1)], "100 tags are allowed"),
    ],
)
def test_what_is_no_tag_is_named(posted: Any, place: str) -> None:
    """By its place in the list."""
    with pytest.raises(InvalidInput, match=place):
        parse_tags(posted)


def test_the_newer_of_two_counts() -> None:
    """A key that is there takes the new value; a rate limit of that key is another tag."""
    old = [Tag("a", "1"), Tag("b", "1"), Tag("a", 5, "RATE_LIMIT")]

    assert [Tag("a", "2", "METADATA"), Tag("b", "1"), Tag("a", 5, "RATE_LIMIT")] == merged(
        old, [Tag("a", "2", "METADATA")]
    )
    with pytest.raises(InvalidInput, match="together"):
        merged([Tag(str(number)) for number in range(MAX_TAGS)], [Tag("one more")])


def test_what_is_taken_away_is_told_by_key_and_value() -> None:
    """A number is the same as a text; a type says nothing, and what is not there is not missed."""
    old = [Tag("a", "1", "METADATA"), Tag("n", 3, "RATE_LIMIT"), Tag("b", "1")]

    assert [Tag("b", "1")] == without(old, [Tag("a", "1"), Tag("n", "3"), Tag("c")])
    assert old == without(old, [Tag("a", "2")])


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        (None, None, True),
        ("a", None, True),
        (None, "1", True),
        ("a", "1", True),
        ("a", "2", False),
        ("b", "1", False),
        ("n", "3", True),
    ],
)
def test_looking_for_a_tag(key: str | None, value: str | None, found: bool) -> None:
    """Key and value belong to the same tag; either may be left open."""
    assert found is matches([Tag("a", "1"), Tag("b", "2"), Tag("n", 3)], key, value)
