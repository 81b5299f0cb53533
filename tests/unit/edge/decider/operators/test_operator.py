"""The table of operators."""

from __future__ import annotations

import pytest

from edge.decider.operators import OPERATORS, SUPPORTED, operator_for, simple
from edge.decider.operators.operator import Operator
from edge.model.decision import JOINS


def test_every_supported_type_has_its_operator() -> None:
    """The types of this release, to the letter."""
    assert SUPPORTED == OPERATORS.keys()
    assert {
        "SIMPLE",
        "SWITCH",
        "DECISION",
        "FORK_JOIN",
        "JOIN",
        "EXCLUSIVE_JOIN",
        "INLINE",
        "LAMBDA",
        "HTTP",
        "HTTP_POLL",
        "UPDATE_SECRET",
        "TERMINATE",
        "SET_VARIABLE",
        "WAIT",
        "HUMAN",
        "EVENT",
        "NOOP",
    } == SUPPORTED


@pytest.mark.parametrize("kind", sorted(SUPPORTED))
def test_operators_are_found_by_name(kind: str) -> None:
    """Who waits for a moment, who leads into branches, who waits for others."""
    operator = operator_for(kind)

    assert isinstance(operator, Operator)
    assert (kind == "WAIT") is (operator.due is not None)
    assert (kind in ("SWITCH", "DECISION")) is (operator.branch is not None)
    assert (kind in JOINS) is (operator.member is not None)


def test_any_other_name_is_a_type_of_the_users_own() -> None:
    """Its tasks wait for a worker."""
    assert simple.USER_DEFINED is operator_for("anything")
