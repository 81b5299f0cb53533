"""Definitions as clients post them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.definitions import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    children_of,
    without_nulls,
)
from tests.unit.edge.playbook import fork, run_task, step, switch


def test_defaults_of_a_task_definition() -> None:
    """What a client leaves out is what Conductor takes."""
    rules = msgspec.convert({"name": "t"}, TaskDefinition)

    assert 3 == rules.retry_count
    assert 60 == rules.retry_delay_seconds
    assert 3600 == rules.response_timeout_seconds
    assert 0 == rules.timeout_seconds == rules.total_timeout_seconds
    assert ("FIXED", "TIME_OUT_WF") == (rules.retry_logic, rules.timeout_policy)
    assert 1 == rules.backoff_scale_factor


def test_defaults_of_a_workflow_and_its_tasks() -> None:
    """Names of the wire are in camel case; a step without a type is SIMPLE."""
    document = {"name": "w", "tasks": [{"name": "a", "taskReferenceName": "r"}]}
    definition = msgspec.convert(document, WorkflowDefinition)

    (task,) = definition.tasks
    assert ("r", "SIMPLE", None) == (task.task_reference_name, task.type, task.retry_count)
    assert (1, 2, True) == (definition.version, definition.schema_version, definition.restartable)
    assert ("ALERT_ONLY", 0) == (definition.timeout_policy, definition.timeout_seconds)
    assert definition == msgspec.json.decode(
        msgspec.json.encode(definition), type=WorkflowDefinition
    )


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        ({"a": None, "b": 1}, {"b": 1}),
        ([{"a": None}, None], [{}, None]),
        ({"tasks": [{"optional": None, "name": "x"}]}, {"tasks": [{"name": "x"}]}),
        ({"inputParameters": {"k": None}}, {"inputParameters": {"k": None}}),
        ({"inputParameters": None}, {}),
        ({"outputData": {"k": [None]}}, {"outputData": {"k": [None]}}),
        (
            {"decisionCases": {"data": [{"name": "a", "sink": None}], "input": None}},
            {"decisionCases": {"data": [{"name": "a"}]}},
        ),
        ({"decisionCases": "wrong"}, {"decisionCases": "wrong"}),
        (5, 5),
    ],
)
def test_nulls_take_their_defaults(posted: Any, kept: Any) -> None:
    """A null field is as good as absent; inside the user's own maps it is a value."""
    assert kept == without_nulls(posted)


def test_children() -> None:
    """The lists inside a step, whatever its type."""
    a, b, c = (run_task(step(ref)) for ref in "abc")
    loop = WorkflowTask(type="DO_WHILE", loop_over=[a])

    assert [] == children_of(a)
    assert [[a], [b]] == children_of(run_task(fork("f", [step("a")], [step("b")])))
    switched = run_task(switch("s", {"x": [step("a")], "y": []}, defaultCase=[step("c")]))
    assert [[a], [], [c]] == children_of(switched)
    assert [[a]] == children_of(loop)
    assert b != c
