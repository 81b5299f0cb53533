"""Conductor's query grammar becomes conditions, whatever is typed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.model.errors import InvalidInput
from edge.model.query import (
    Both,
    Condition,
    Either,
    MalformedQuery,
    Not,
    Operator,
    Term,
    conjuncts,
    demanded,
    mentions,
    parse,
)

_KNOWN = frozenset({"status", "workflowType", "startTime", "correlationId", "workflowId"})


def _shape(condition: Condition | None) -> object:
    """A condition as tuples, for tables of cases."""
    match condition:
        case None:
            return None
        case Term():
            return (condition.field, condition.operator.value, *condition.values)
        case Not():
            return ("NOT", _shape(condition.part))
        case Both():
            return ("AND", *map(_shape, condition.parts))
        case Either():
            return ("OR", *map(_shape, condition.parts))


def _read(text: str) -> object:
    return _shape(parse(text, _KNOWN.__contains__))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("   ", None),
        ("status=FAILED", ("status", "=", "FAILED")),
        ("  status  =  'FAILED'  ", ("status", "=", "FAILED")),
        ('status="FAILED"', ("status", "=", "FAILED")),
        ("status=", ("status", "=", "")),
        ("startTime > 5", ("startTime", ">", "5")),
        ("startTime>=5", ("startTime", ">=", "5")),
        ("startTime<=5", ("startTime", "<=", "5")),
        ("startTime<5", ("startTime", "<", "5")),
        ("status != FAILED", ("NOT", ("status", "=", "FAILED"))),
        ("workflowType = my own flow", ("workflowType", "=", "my own flow")),
        ("workflowType = a-b.c/d:e*", ("workflowType", "=", "a-b.c/d:e*")),
        ('correlationId = "x AND y"', ("correlationId", "=", "x AND y")),
        (r'correlationId = "say \"hi\" \\ \n"', ("correlationId", "=", 'say "hi" \\ \\n')),
        ("correlationId='O'Brien'", ("correlationId", "=", "O'Brien")),
        ("correlationId='O''Brien'", ("correlationId", "=", "O'Brien")),
        ("correlationId=O'Brien", ("correlationId", "=", "O'Brien")),
        ("correlationId = 'it's 5'", ("correlationId", "=", "it's 5")),
        ('correlationId = "O\'Brien"', ("correlationId", "=", "O'Brien")),
        ('correlationId = "5"-disk"', ("correlationId", "=", '5"-disk')),
        (
            "correlationId IN ('O'Brien','D'Arcy', O'Neill)",
            ("correlationId", "IN", "O'Brien", "D'Arcy", "O'Neill"),
        ),
        (
            "correlationId='O'Brien'AND status=''",
            ("AND", ("correlationId", "=", "O'Brien"), ("status", "=", "")),
        ),
        ("workflowType = rock and roll", ("workflowType", "=", "rock and roll")),
        ("workflowType = x unknown=1 b", ("workflowType", "=", "x unknown=1 b")),
        ('workflowType = "a status=1"', ("workflowType", "=", "a status=1")),
        ("workflowType STARTS_WITH ''", ("workflowType", "STARTS_WITH", "")),
        ("workflowType=ORDER", ("workflowType", "=", "ORDER")),
        ("workflowType IN (a, \"b c\" ,'d')", ("workflowType", "IN", "a", "b c", "d")),
        ("workflowType IN(a,,b,)", ("workflowType", "IN", "a", "b")),
        ("workflowType IN a,b", ("workflowType", "IN", "a", "b")),
        ("workflowType = (a, b)", ("workflowType", "IN", "a", "b")),
        ("workflowType != (a, b)", ("NOT", ("workflowType", "IN", "a", "b"))),
        ("workflowType NOT IN (a, b)", ("NOT", ("workflowType", "IN", "a", "b"))),
        ("startTime BETWEEN 3 AND 5", ("startTime", "BETWEEN", "3", "5")),
        ("startTime NOT BETWEEN 3 AND 5", ("NOT", ("startTime", "BETWEEN", "3", "5"))),
        ("workflowType STARTS_WITH 'or'", ("workflowType", "STARTS_WITH", "or")),
        ("correlationId IS null", ("correlationId", "IS NULL")),
        ("correlationId IS NOT NULL", ("NOT", ("correlationId", "IS NULL"))),
        (
            "status=A AND startTime>1 AND startTime<2",
            ("AND", ("status", "=", "A"), ("startTime", ">", "1"), ("startTime", "<", "2")),
        ),
        (
            "workflowType IN a,b AND status = C",
            ("AND", ("workflowType", "IN", "a", "b"), ("status", "=", "C")),
        ),
        (
            "startTime BETWEEN 1 AND 2 AND status=A",
            ("AND", ("startTime", "BETWEEN", "1", "2"), ("status", "=", "A")),
        ),
        (
            "status= AND startTime>1",
            ("AND", ("status", "=", ""), ("startTime", ">", "1")),
        ),
    ],
)
def test_terms_are_read(query: str, expected: object) -> None:
    """Blanks and quotes do not matter, and a value may hold blanks of its own."""
    assert expected == _read(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "status=A OR status=B AND startTime>1",
            (
                "OR",
                ("status", "=", "A"),
                ("AND", ("status", "=", "B"), ("startTime", ">", "1")),
            ),
        ),
        (
            "(status=A OR status=B) AND startTime>1",
            (
                "AND",
                ("OR", ("status", "=", "A"), ("status", "=", "B")),
                ("startTime", ">", "1"),
            ),
        ),
        ("((status=A))", ("status", "=", "A")),
        ("NOT status=A", ("NOT", ("status", "=", "A"))),
        (
            "NOT (status=A OR status IN (B,C))",
            ("NOT", ("OR", ("status", "=", "A"), ("status", "IN", "B", "C"))),
        ),
        ("NOT NOT status != A", ("NOT", ("NOT", ("NOT", ("status", "=", "A"))))),
        ("(status IN A,B)", ("status", "IN", "A", "B")),
        ("(correlationId IS NULL)", ("correlationId", "IS NULL")),
    ],
)
def test_conditions_are_joined(query: str, expected: object) -> None:
    """AND binds closer than OR, and parentheses closer than both."""
    assert expected == _read(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("unknown=1", None),
        ("NOT unknown=1", None),
        ("(unknown=1 OR other IN (2,3))", None),
        ("unknown=1 AND status=A", ("status", "=", "A")),
        ("unknown=1 OR status=A", ("status", "=", "A")),
        ("status=A AND (unknown IS NULL) AND other BETWEEN 1 AND 2", ("status", "=", "A")),
    ],
)
def test_unknown_fields_are_dropped(query: str, expected: object) -> None:
    """They leave no trace, as with Conductor's SQL back ends."""
    assert expected == _read(query)


@pytest.mark.parametrize(
    "query",
    [
        "status",
        "status ~ 3",
        "status == FAILED",
        "status <> FAILED",
        "= FAILED",
        "status=FAILED AND",
        "(status=FAILED AND)",
        "(status='FAILED' OR)",
        "(status=FAILED AND NOT)",
        "status IN (FAILED AND)",
        "status=FAILED and startTime>3",
        "status=FAILED startTime = 3",
        "status IN (FAILED startTime>3)",
        "startTime>",
        "startTime> AND status=A",
        "startTime BETWEEN 3 AND",
        "workflowType STARTS_WITH",
        "AND status=FAILED",
        "status=FAILED startTime>3 AND",
        "status=FAILED OR OR status=A",
        "(status=FAILED",
        "status=FAILED)",
        "status='FAILED",
        "status='it' s'",
        "status=it 's",
        "status=foo(1)",
        "status IN ()",
        "status IN (a",
        "status IN (a;b",
        "status IN ('a' 'b')",
        "startTime BETWEEN 3",
        "startTime BETWEEN 3 OR 4",
        "status IS",
        "status IS EMPTY",
        "status NOT = A",
        "unknown ~ 3",
        "NOT",
        "(" * 40 + "status=A" + ")" * 40,
        "NOT " * 40 + "status=A",
        " AND ".join(["status=A"] * 501),
        f"workflowId IN ({','.join(['x'] * 1_001)})",
        "x" * 70_000,
    ],
)
def test_what_cannot_be_read_is_refused(query: str) -> None:
    """The message is Conductor's, repeats the query and says where it went wrong."""
    with pytest.raises(MalformedQuery) as caught:
        _read(query)

    assert caught.value.message.startswith(f"Incorrectly formatted query string: {query[:200]}")
    assert 400 == caught.value.status


def test_a_thousand_ids_fit() -> None:
    """The longest list that Conductor's bulk calls allow can be searched for."""
    ids = [f"01890a5d-ac96-774b-bcce-{number:012d}" for number in range(1_000)]

    assert ("workflowId", "IN", *ids) == _read(f"workflowId IN ({','.join(ids)})")


_PIECES = st.sampled_from(
    [
        "status", "startTime", "unknown", " ", "  ", "=", "!=", "<", ">=", " IN ", " IN (", "(", ")",
        ",", " AND ", " OR ", " NOT ", " BETWEEN ", " IS NULL", " STARTS_WITH ", "'", '"', "\\",
        "*", "FAILED", "7", "2026-01-01", "ä", "\n",
    ]
)  # fmt: skip


@given(st.one_of(st.text(max_size=80), st.lists(_PIECES, max_size=25).map("".join)))
@example("status=" + " " * 20_000)
@example("status=" + " A" * 20_000)
def test_any_text_is_read_or_refused(query: str) -> None:
    """A condition or a refusal, nothing else, and in a time that does not grow with a power."""
    with contextlib.suppress(InvalidInput):
        parse(query, _KNOWN.__contains__)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("status=A", {"A"}),
        ("status IN (A,B) AND status IN (B,C) AND startTime>1", {"B"}),
        ("status=A OR status=B", {"A", "B"}),
        ("(status=A AND startTime>1) OR status IN (B,C)", {"A", "B", "C"}),
        ("status=A OR startTime>1", None),
        ("status=A*", None),
        ("status=''", None),
        ("status!=A", None),
        ("status>A", None),
        ("status=A AND (status=A AND (status=A OR startTime=1))", {"A"}),
    ],
)
def test_what_a_field_must_be(query: str, expected: set[str] | None) -> None:
    """The values that the condition leaves a field, where it leaves few."""
    assert expected == demanded(parse(query, _KNOWN.__contains__), "status")


def test_what_a_condition_is_made_of() -> None:
    """Nested ANDs are one list, and a field is found at any depth."""
    condition = parse("status=A AND (startTime>1 AND NOT (workflowType=b OR status=C))", bool)

    assert 3 == len(conjuncts(condition))
    assert mentions(condition, "workflowType")
    assert not mentions(condition, "correlationId")
    assert not mentions(None, "status")
    assert Operator.EQUALS is Term("a", Operator("=")).operator
