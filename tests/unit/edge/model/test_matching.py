"""Conditions, sorts and free text over records of any kind."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import InvalidInput
from edge.model.matching import (
    Field,
    Fields,
    FreeText,
    Kind,
    bounds_ms,
    free_text,
    is_span,
    orders,
    predicate,
)
from edge.model.query import MalformedQuery, parse

Record = dict[str, Any]

FIELDS: Fields[Record] = {
    "name": Field(Kind.TEXT, lambda one: one.get("name")),
    "count": Field(Kind.NUMBER, lambda one: one.get("count", 0)),
    "time": Field(Kind.TIME, lambda one: one.get("time", 0)),
    "names": Field(Kind.NAMES, lambda one: one.get("names", [])),
    "input": Field(Kind.PROSE, lambda one: one.get("input", b"{}")),
    "reason": Field(Kind.PROSE, lambda one: one.get("reason")),
}

NEW_YEAR_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


def _fits(query: str, **record: Any) -> bool:
    return predicate(parse(query, FIELDS.__contains__), FIELDS)(record)


@pytest.mark.parametrize(
    ("query", "record", "expected"),
    [
        ("", {}, True),
        ("unknown = 3", {}, True),
        # Texts.
        ("name = order", {"name": "order"}, True),
        ("name = order", {"name": "Order"}, False),
        ("name = ord*", {"name": "ORDER-7"}, True),
        ("name = '*7'", {"name": "order-7"}, True),
        ("name = *de*-*7", {"name": "order-17"}, True),
        ("name = a*a", {"name": "a"}, False),
        ("name = *", {}, True),
        ("name IN (a*, order)", {"name": "order"}, True),
        ("name IN (a*, order)", {"name": "Abc"}, True),
        ("name IN (a, b)", {"name": "c"}, False),
        ("name != order", {"name": "order"}, False),
        ("name != order", {}, True),
        ("name > b", {"name": "c"}, True),
        ("name > b", {}, False),
        ("name BETWEEN a AND c", {"name": "c"}, True),
        ("name BETWEEN a AND c", {}, False),
        ("name STARTS_WITH or", {"name": "order"}, True),
        ("name STARTS_WITH or", {}, False),
        ("name = ''", {}, True),
        ("name = ''", {"name": "x"}, False),
        ("name IS NULL", {}, True),
        ("name IS NOT NULL", {"name": "x"}, True),
        # Numbers.
        ("count = 3", {"count": 3}, True),
        ("count IN (1, 3)", {"count": 3}, True),
        ("count = 1*", {"count": 17}, True),
        ("count = 1*", {"count": 71}, False),
        ("count = 0", {}, True),
        ("count < 1", {}, True),
        ("count >= 3", {"count": 3}, True),
        ("count <= 2", {"count": 3}, False),
        ("count BETWEEN 2 AND 3", {"count": 3}, True),
        ("count STARTS_WITH 1", {"count": 12}, True),
        ("count IS NULL", {"count": 0}, False),
        # Times.
        (f"time = {NEW_YEAR_MS}", {"time": NEW_YEAR_MS}, True),
        ("time = 2026-01-01", {"time": NEW_YEAR_MS}, True),
        ("time >= '2026-01-01T00:00:00Z'", {"time": NEW_YEAR_MS}, True),
        ("time > '2026-01-01T01:00:00+01:00'", {"time": NEW_YEAR_MS}, False),
        ("time < 2026-01-01T00:00:00.001", {"time": NEW_YEAR_MS}, True),
        ("time BETWEEN 2025-12-31 AND 2026-01-01", {"time": NEW_YEAR_MS}, True),
        ("time < 9999999999999", {"time": 0}, False),
        ("time > 0", {"time": 0}, False),
        ("time BETWEEN 0 AND 5", {"time": 0}, False),
        ("time IN (0, 7)", {"time": 0}, False),
        ("time IS NULL", {"time": 0}, True),
        ("time = *", {"time": 7}, True),
        ("time STARTS_WITH 17", {"time": NEW_YEAR_MS}, True),
        # Several names.
        ("names = b", {"names": ["a", "b"]}, True),
        ("names = B*", {"names": ["a", "bc"]}, True),
        ("names = c", {"names": ["a", "b"]}, False),
        ("names = ''", {}, True),
        ("names IS NULL", {}, True),
        ("names STARTS_WITH a", {"names": ["xa", "ab"]}, True),
        # Prose.
        ("input = Order-7", {"input": b'{"id":"order-7"}'}, True),
        ("input = 'id*7'", {"input": b'{"id":"order-7"}'}, True),
        ("input = 7*id", {"input": b'{"id":"order-7"}'}, False),
        ("input IN (x, order)", {"input": b'{"id":"order-7"}'}, True),
        ("reason = 'no disk'", {"reason": "There is NO DISK left"}, True),
        ("reason = ''", {}, True),
        ("reason = disk", {}, False),
        ("reason STARTS_WITH There", {"reason": "There is none"}, True),
        ("reason IS NULL", {}, True),
        # Joined.
        ("name = a OR count = 3", {"name": "b", "count": 3}, True),
        ("name = a AND count = 3", {"name": "b", "count": 3}, False),
        ("NOT (name = a AND count = 3)", {"name": "b", "count": 3}, True),
    ],
)
def test_a_condition_is_fulfilled_or_not(query: str, record: Record, expected: bool) -> None:
    """Each operator means of each kind of field what it says."""
    assert expected is _fits(query, **record)


@pytest.mark.parametrize(
    "query",
    [
        "time > yesterday",
        "time = ''",
        "time BETWEEN 1 AND soon",
        "time > 99999-01-01",
        "time > 0001-01-01T00:00:00+23:59x",
        "count = three",
        "count > 1.5",
        "count IN (1, x)",
        "count > 9999999999999999999",
    ],
)
def test_values_of_another_kind_are_refused(query: str) -> None:
    """The message names the term and what the field is compared with."""
    with pytest.raises(MalformedQuery, match="is compared with") as caught:
        _fits(query)

    assert caught.value.message.startswith(f"Incorrectly formatted query string: {query}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (None, None)),
        ("time > 5 AND time < 9", (6, 8)),
        ("time >= 5 AND time > 7 AND time <= 9 AND time < 8", (8, 7)),
        ("time BETWEEN 3 AND 4", (3, 4)),
        ("time > 5 OR time < 3", (None, None)),
        ("NOT time > 5", (None, None)),
        ("time = 5 AND time IS NULL AND name = a", (None, None)),
    ],
)
def test_the_span_of_a_time(query: str, expected: tuple[int | None, int | None]) -> None:
    """What must hold of a time bounds it from both sides."""
    assert expected == bounds_ms(parse(query, FIELDS.__contains__), "time")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("time > 5", True),
        ("time BETWEEN 5 AND 7", True),
        ("time = 5", False),
        ("time IS NULL", False),
        ("count > 5", False),
        ("NOT time > 5", False),
    ],
)
def test_a_span_is_no_more_than_that(query: str, expected: bool) -> None:
    """Where it is, the bounds say all that the condition says."""
    condition = parse(query, FIELDS.__contains__)

    assert condition is not None
    assert expected is is_span(condition, "time")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 2, 3]),
        ("count", [3, 2, 1]),
        ("count:DESC", [1, 2, 3]),
        ("name:ASC|count:asc", [3, 1, 2]),
        ("name:DESC | count:DESC", [2, 1, 3]),
        ("name:DESC,count:ASC", [2, 3, 1]),
        ("nothing:ASC|count:SIDEWAYS|count:ASC", [3, 2, 1]),
        ("names:ASC", [2, 3, 1]),
        ("input:DESC", [3, 1, 2]),
    ],
)
def test_sorts_have_several_steps(text: str, expected: list[int]) -> None:
    """Steps with unknown fields or directions are left out; without a direction it is ASC."""
    records = [
        {"id": 1, "name": "a", "count": 9, "names": ["z"], "input": b"2"},
        {"id": 2, "name": "b", "count": 5, "input": b"1"},
        {"id": 3, "name": "a", "count": 1, "names": ["b", "a"], "input": b"3"},
    ]
    for step in reversed(orders(text, FIELDS)):
        records.sort(key=step.key, reverse=step.descending)

    assert expected == [one["id"] for one in records]


@pytest.mark.parametrize(
    ("text", "payload", "expected"),
    [
        ("order-7", b'{"id":"ORDER-7"}', True),
        ('"order-7"', b'{"id":"order-7"}', True),
        ("'order-7'", b'{"id":"order-7"}', True),
        ('"id":"order', b'{"id":"order-7"}', True),
        ("order*7", b'{"id":"order-7"}', True),
        ("7*order", b'{"id":"order-7"}', False),
        ('"order*7"', b'{"id":"order-7"}', False),
        ('"order*7"', b'{"id":"order*7"}', True),
        ('say "hi"', rb'{"text":"say \"hi\" now"}', True),
        ("two\nlines", rb'{"text":"two\nlines"}', True),
        ("größe", '{"wort":"Die GRÖSSE"}'.encode(), False),
        ("größe", '{"wort":"Die GRÖßE"}'.encode(), True),
        ('ä"ö', '{"wort":"Ä\\"Ö"}'.encode(), True),
        ("missing", b"{}", False),
    ],
)
def test_free_text_is_looked_for_in_payloads(text: str, payload: bytes, expected: bool) -> None:
    """Anywhere, in any case of letters, quoted or not, and as JSON writes it."""
    asked = free_text(text)

    assert asked is not None
    assert expected is asked.in_payload(payload)


def test_free_text_is_looked_for_in_texts() -> None:
    """In each by itself, never across two."""
    asked = FreeText(["b", "d"])

    assert asked.in_any([None, "", "ABCD"])
    assert not asked.in_any(["ab", "cd"])
    assert FreeText(["bc"]).in_any([None, "", "ABCD"])
    assert not FreeText(["bc"]).in_any(["ab", "cd"])
    assert not FreeText(["b\0c"]).in_any(["ab", "cd"])


@pytest.mark.parametrize("text", ["", " ", "*", "**", '""', "' '*"[:0]])
def test_no_free_text_asks_for_everything(text: str) -> None:
    """As Conductor's default, a star, does."""
    assert free_text(text) is None


_VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-9, 10**14).map(str),
    st.sampled_from(["*", "a*", "2026-01-01"]),
)


@given(
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from(["=", "!=", "<", ">=", "STARTS_WITH"]),
    _VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.text(max_size=5),
            "count": st.integers(0, 99),
            "time": st.integers(0, 2 * 10**12),
            "names": st.lists(st.text(max_size=3), max_size=3),
            "reason": st.none() | st.text(max_size=9),
        },
    ),
)
def test_any_value_is_compared_or_refused(
    field: str, operator: str, value: str, record: Record
) -> None:
    """True, false or a refusal, for every field, operator, value and record."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    with contextlib.suppress(InvalidInput):
        assert _fits(f'{field} {operator} "{quoted}"', **record) in (True, False)


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_payload_holds_what_was_written_into_it(before: str, text: str) -> None:
    """A text that a client put into a payload is found in it."""
    payload = msgspec.json.encode({"key": before + text})
    asked = FreeText([text.lower()])

    # Some letters become two or none in lower case, and then stand otherwise in a longer text.
    if (before + text).lower().endswith(text.lower()):
        assert asked.in_payload(payload)
