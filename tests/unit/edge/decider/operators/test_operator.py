"""The table of operators."""

from __future__ import annotations

import pytest

from edge.decider.operators import OPERATORS, operator_for, simple
from edge.decider.operators.operator import Operator
from edge.model.snapshot import JOINS
from edge.model.task_rules import KNOWN_TYPES


def test_every_supported_type_has_its_operator() -> None:
    """A type that the engine runs by itself is one that Conductor or Orkes know."""
    assert OPERATORS.keys() <= KNOWN_TYPES


@pytest.mark.parametrize("kind", sorted(OPERATORS))
def test_operators_are_found_by_name(kind: str) -> None:
    """Who waits for a moment, who leads into branches, who waits for others."""
    operator = operator_for(kind)

    assert isinstance(operator, Operator)
    assert (kind in ("WAIT", "PULL_WORKFLOW_MESSAGES")) is (operator.due is not None)
    assert (kind in ("SWITCH", "DECISION")) is (operator.branch is not None)
    assert (kind in JOINS) is (operator.member is not None)


def test_any_other_name_is_a_type_of_the_users_own() -> None:
    """Its tasks wait for a worker."""
    assert simple.USER_DEFINED is operator_for("anything")
