"""Values as TOML: what is written is read back as the same."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest

from edge.toml_text import document, value


@pytest.mark.parametrize(
    "item",
    ["a\x7f\n\"'", True, 7, 0.5, math.inf, -math.inf, [1, "b"], {}, {"a b": {"c": [1.5]}}],
)
def test_a_value_is_read_back(item: Any) -> None:
    """Texts with odd letters, numbers without end, tables within tables."""
    assert {"x": item} == tomllib.loads(f"x = {value(item)}")


def test_what_is_no_number_stays_none() -> None:
    """It is equal to nothing, itself included."""
    assert "nan" == value(math.nan)


def test_sections_are_written_once_or_often() -> None:
    """A value of None is left out."""
    sections = {"one": {"a": 1, "b": None}, "many": [{"c": "x"}, {"c": "y"}], "none": []}

    assert {"one": {"a": 1}, "many": [{"c": "x"}, {"c": "y"}]} == tomllib.loads(document(sections))
