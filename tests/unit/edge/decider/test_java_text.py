"""The text forms of values are those of Java."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decider.java_text import java_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("as is", "as is"),
        (True, "true"),
        (False, "false"),
        (42, "42"),
        (-7, "-7"),
        (3.0, "3.0"),
        (3.5, "3.5"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00012, "1.2E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1e10, "1.0E10"),
        (-123456789.0, "-1.23456789E8"),
        (1e21, "1.0E21"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ([], "[]"),
        ([1, "a", None], "[1, a, null]"),
        ({}, "{}"),
        ({"k": "v", "deep": {"z": 3.5}}, "{k=v, deep={z=3.5}}"),
    ],
)
def test_java_text(value: Any, text: str) -> None:
    """Each JSON type has one text."""
    assert text == java_text(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_survive(value: float) -> None:
    """The text of a double is read as the same double."""
    assert value == float(java_text(value))


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": x}])
def test_a_deep_payload_stops_nothing(wrap: Any) -> None:
    """What nests beyond all reason is cut off instead of exhausting the stack."""
    value: Any = 1
    for _ in range(5_000):
        value = wrap(value)

    assert "..." in java_text(value)
