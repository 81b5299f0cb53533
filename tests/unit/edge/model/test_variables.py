"""Names, values and tags of secrets and environment variables."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.errors import InvalidInput
from edge.model.variables import MAX_VALUE_BYTES, Tag, checked_name, checked_tags, checked_value


@pytest.mark.parametrize(
    "name", ["a", "DB_PASSWORD", "sampletask-api-token", "a.b", "9", "x" * 255]
)
def test_names_that_an_expression_can_hold(name: str) -> None:
    """Letters, digits and what Conductor's own examples use."""
    assert name == checked_name("secret", name)


@pytest.mark.parametrize(
    "name", ["", ".a", "-a", "a b", "a/b", "a}b", "${x}", "ä", "x" * 256, "a\n"]
)
def test_names_that_no_expression_can_hold(name: str) -> None:
    """A brace would end the expression, a slash the address."""
    with pytest.raises(InvalidInput, match="cannot be the name of a secret"):
        checked_name("secret", name)


def test_values_are_bounded_and_never_repeated() -> None:
    """What is refused may still be a secret: the message shows its size, not itself."""
    assert "v" == checked_value("secret", "n", "v")
    with pytest.raises(InvalidInput, match="has 0 bytes"):
        checked_value("secret", "n", "")
    with pytest.raises(InvalidInput) as refused:
        checked_value("secret", "n", "ü" * MAX_VALUE_BYTES)
    assert str(2 * MAX_VALUE_BYTES) in refused.value.message
    assert "üü" not in refused.value.message


def test_tags() -> None:
    """A key with or without a value; the kind has Conductor's default."""
    posted = [{"key": "team", "value": "a"}, {"key": "b", "type": "X"}]

    assert [Tag("team", "a", "METADATA"), Tag("b", "", "X")] == checked_tags(posted)


@pytest.mark.parametrize(
    "posted", [{}, [1], [{"value": "x"}], [{"key": ""}], [{"key": "x" * 256}], [{"key": "k"}] * 101]
)
def test_what_is_no_list_of_tags(posted: Any) -> None:
    """Another shape, an empty key, or too much of it."""
    with pytest.raises(InvalidInput):
        checked_tags(posted)
