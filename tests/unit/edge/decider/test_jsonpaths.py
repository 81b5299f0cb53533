"""Queries with filters: what they find, and what they may cost."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.jsonpaths import BadQuery, find

DOCUMENT: dict[str, Any] = {
    "list": [{"s": "aaa", "n": 1}, {"s": "b", "n": 2}],
    "long": [{"s": "a" * 5_000}],
    "evil": [{"s": "a" * 60 + "b", "p": "(a+)+"}],
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("$.list[*].n", [1, 2]),
        ("$.list[?(@.n>1)].s", ["b"]),
        ("$.list[?(@.s =~ /^a+$/)].n", [1]),
        ("$.list[?(@.s =~ /a.*/)].n", [1]),
        ("$..n", [1, 2]),
        ("$.list[0:1].n", [1]),
    ],
)
def test_what_is_found(query: str, found: list[Any]) -> None:
    """In document order, and several places may match."""
    assert (found, False) == find(query, DOCUMENT)


@pytest.mark.parametrize(
    "query",
    [
        "$.evil[?(@.s =~ /^(a+)+$/)]",
        "$.evil[?(@.s =~ /^(a|a)*$/)]",
        "$.evil[?(@.s =~ /a*a*a*a*c/)]",
        "$.evil[?(@.s =~ /(a){2,}b/)]",
        "$.long[?(@.s =~ /a+/)]",
    ],
)
def test_patterns_that_could_take_for_ever_match_nothing(query: str) -> None:
    """And they take no time."""
    assert ([], False) == find(query, DOCUMENT)


@pytest.mark.parametrize(
    "query",
    [
        "$.evil[?match(@.s, @.p)]",
        "$.evil[?search(@.s, 'a')]",
        "$.list[?(@.s =~ /(/)]",
        "$.[",
        "$" * 9,
    ],
)
def test_what_is_no_query(query: str) -> None:
    """Neither are functions whose pattern may come out of the data."""
    with pytest.raises(BadQuery):
        find(query, DOCUMENT)


def test_one_place_is_one_value() -> None:
    """A query that can find one place at most says so."""
    assert (["aaa"], True) == find("$.list[0]['s']", DOCUMENT)
