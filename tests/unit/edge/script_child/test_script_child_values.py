"""How the values of jq and of Python become JSON."""

from __future__ import annotations

from typing import Any

import pytest

from edge.script_child.frames import MOST_RESULT_BYTES, Verdict
from edge.script_child.values import double, failed, integer, reply_with, storable


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (integer, "5", 5),
        (integer, str(2**63 - 1), 2**63 - 1),
        (integer, str(2**63), 2.0**63),
        (double, "3.0", 3),
        (double, "1e3", 1000),
        (double, "2.5", 2.5),
        (double, "1e19", 1e19),
        (double, "1e999", float("inf")),
    ],
)
def test_numbers(read: Any, text: str, value: Any) -> None:
    """What fits 64 bits is an integer, the rest a double."""
    result = read(text)

    assert value == result
    assert type(value) is type(result)


def test_a_value_that_is_too_large_is_refused() -> None:
    """By its size as JSON."""
    assert Verdict.VALUE == reply_with("x" * (MOST_RESULT_BYTES - 2)).verdict
    assert Verdict.FAILED == reply_with("x" * (MOST_RESULT_BYTES - 1)).verdict


def test_what_went_wrong_is_cut_to_what_anybody_reads() -> None:
    """And to what can be written down."""
    reply = failed("\ud800" + "x" * 10_000)

    assert reply.body.startswith(b"?xx")
    assert reply.body.endswith(b"xx...")
    assert len(reply.body) < 5_000


def test_levels_are_counted() -> None:
    """Two hundred are enough for anybody, and few enough for those who read them."""
    value: Any = 1
    for _ in range(200):
        value = [value]

    assert value == storable(value)
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        storable({"a": value})
