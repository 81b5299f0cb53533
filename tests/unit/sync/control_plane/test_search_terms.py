"""The search box: what is read, and what is refused by name."""

from __future__ import annotations

import sqlite3

import pytest

from sync.control_plane.search_terms import (
    MAX_TERMS,
    Field,
    Op,
    QueryError,
    Sort,
    condition,
    duration_ms,
    folded,
    parse,
)

FIELDS = {
    "name": Field(Sort.TEXT, "name"),
    "state": Field(Sort.WORD, "state", ("on", "off")),
    "size": Field(Sort.NUMBER, "size"),
    "seen": Field(Sort.TIME, "seen"),
    "took": Field(Sort.DURATION, "took"),
    "tag": Field(Sort.SET, ""),
}
NOW_MS = 10_000_000


def test_terms_are_read() -> None:
    """Fields, operators, values in quotes, alternatives, negation, and texts without a field."""
    text = 'roof -state:off name:has:"a b",c seen:older:1h size:ge:5 took:lt:1.5s tag:x "two words"'
    terms = parse(text, FIELDS, now_ms=NOW_MS)

    assert [
        ("", Op.HAS, ["roof"], [], False),
        ("state", Op.EQ, ["off"], [], True),
        ("name", Op.HAS, ["a b", "c"], [], False),
        ("seen", Op.OLDER, ["1h"], [NOW_MS - 3_600_000], False),
        ("size", Op.GE, ["5"], [5], False),
        ("took", Op.LT, ["1.5s"], [1_500], False),
        ("tag", Op.EQ, ["x"], [], False),
        ("", Op.HAS, ["two words"], [], False),
    ] == [(one.field, one.op, one.texts, one.numbers, one.negated) for one in terms]
    assert [] == parse("  ", FIELDS, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour:red", "no field 'colour'"),
        ("state:idle", "on, off"),
        ("size:has:5", "eq, ne, lt"),
        ("size:many", "whole number"),
        ("seen:older:soon", "duration such as"),
        ("took:gt:5", "duration such as"),
        ("name:", "1 to 50 values"),
        ("name:a,", "1 to 50 values, with commas between, in 'name:a,'"),
        ('name:"a"b', "with commas between"),
        ("state:on AND size:5", "AND is no term"),
        ("state:on OR", "OR is no term"),
        ("name:a" + ",a" * 60, "1 to 50 values"),
        ("a " * (MAX_TERMS + 1), "at most 20 terms"),
        ("a" * 1_001, "at most 1000 characters"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, told: str) -> None:
    """The message says what it may be."""
    with pytest.raises(QueryError, match=told) as caught:
        parse(text, FIELDS, now_ms=NOW_MS)
    assert str(caught.value).startswith("q: ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name:eq:Ada", ["Ada"]),
        ("name:ne:Ada", ["adam", None, "Eve"]),
        ("name:has:AD", ["Ada", "adam"]),
        ("-name:has:AD", [None, "Eve"]),
        ("name:starts:ad", ["adam"]),
        ("name:Ada,Eve", ["Ada", "Eve"]),
        ("size:gt:1 size:lt:4", ["adam", None]),
        ("seen:newer:1h", [None, "Eve"]),
        ("state:ne:on", ["adam", "Eve"]),
    ],
)
def test_conditions_hold_for_what_they_say(text: str, found: list[str | None]) -> None:
    """In a real table; a value that is not there has none of the values asked for."""
    disk = sqlite3.connect(":memory:")
    disk.execute("CREATE TABLE t (name TEXT, state TEXT, size INTEGER, seen INTEGER)")
    rows = [("Ada", "on", 1, 0), ("adam", "off", 2, 5), (None, "on", 3, NOW_MS - 9),
            ("Eve", "off", 4, NOW_MS)]  # fmt: skip
    disk.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    values: dict[str, object] = {}
    said = [
        condition(term, FIELDS[term.field], f"v{number}", values)
        for number, term in enumerate(parse(text, FIELDS, now_ms=NOW_MS))
    ]

    rows_found = disk.execute(f"SELECT name FROM t WHERE {' AND '.join(said)}", values)
    assert found == [row[0] for row in rows_found]
    disk.close()


@pytest.mark.parametrize(
    ("text", "length"), [("250ms", 250), ("1.5h", 5_400_000), ("2w", 1_209_600_000), ("5", None)]
)
def test_durations(text: str, length: int | None) -> None:
    """A number and a unit."""
    assert length == duration_ms(text)


def test_a_text_is_folded_as_the_databases_do() -> None:
    """Letters of ASCII only."""
    assert "Überdruck" == folded("ÜBERDRUCK")
