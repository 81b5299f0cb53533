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
        ("$.list[?(@.s =~ /(aaa|bb)?c?/)].n", [1]),
        ("$.list[?(@.s =~ /[)*+?|]*aaa\\\\*/)].n", [1]),
        ("$.list[?(@.s in ['a', 'aaa', 'c', 'd'])].n", [1]),
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
        "$.evil[?(@.s =~ /(a+){,50}c/)]",
        "$.evil[?(@.s =~ /a{,60}a{,60}a{,60}c/)]",
        "$.evil[?(@.s =~ /" + "a?" * 40 + "c/)]",
        "$.evil[?(@.s =~ /" + "(a|a)" * 40 + "c/)]",
        "$.evil[?(@.s =~ /" + "a*\\\\\\\\*" * 9 + "c/)]",
        "$.evil[?(@.s =~ /(?x)(a+) #/)]",
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


@pytest.mark.parametrize(
    "query",
    [
        "$" + "..*" * 12,
        "$" + "[0,0]" * 40,
        "$" + "[*,*]" * 40,
        "$[?(@" + "..*" * 12 + ")]",
        "$[?(@" + "[0,0]" * 40 + ")]",
        "$[?(@" + "[*,*]" * 40 + ")]",
        "$[?(@" + "[0:1,0:1]" * 40 + ")]",
        "$.a | $.b",
    ],
)
def test_what_looks_at_too_many_places(query: str) -> None:
    """However short the query, and however few places the document has."""
    document: list[Any] = []
    for _ in range(30):
        document = [document]
    with pytest.raises(BadQuery):
        find(query, document)


def test_what_a_pattern_may_try_in_all() -> None:
    """Many texts cost as much as a long one."""
    texts = [{"s": "a" * 999} for _ in range(300)]
    with pytest.raises(BadQuery):
        find("$[?(@.s =~ /a*a*c/)]", texts)
