"""The rules of task types ask others only what they cannot know; see test_validation for each."""

from __future__ import annotations

import pytest

from edge.model.definitions import TaskDefinition, WorkflowTask
from edge.model.task_rules import KNOWN_TYPES, Surrounds, rules_of

NOTHING_WRONG = Surrounds(lambda _: None, {})


@pytest.mark.parametrize("kind", ["SIMPLE", "JOIN", "somebody's own"])
def test_most_types_need_nothing(kind: str) -> None:
    """What a worker needs is the worker's affair."""
    assert [] == list(rules_of(WorkflowTask(name="a", type=kind), NOTHING_WRONG))


def test_an_embedded_template_counts_before_a_registered_one() -> None:
    """The definition inside of the step is the one that will be used."""
    step = WorkflowTask(name="a", type="HTTP", task_definition=TaskDefinition())
    surrounds = Surrounds(lambda _: None, {"a": {"http_request": {}}})

    assert 1 == len(list(rules_of(step, surrounds)))
    assert "HTTP" in KNOWN_TYPES
