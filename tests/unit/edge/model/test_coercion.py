"""Values of a neighbouring type are taken for what is wanted; all others are refused as before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.coercion import converted
from edge.model.definitions import SubWorkflowParams, WorkflowTask
from edge.model.validation import PostedStart


@pytest.mark.parametrize(
    ("given", "text"),
    [(12345, "12345"), (1.5, "1.5"), (True, "true"), (False, "false"), ("x", "x"), (None, None)],
)
def test_a_scalar_where_a_text_is_wanted(given: Any, text: str | None) -> None:
    """It counts as its text, in the field itself and in a map of texts."""
    document = {"name": 7, "correlationId": given, "taskToDomain": {"*": 1}}

    posted = converted(document, PostedStart)

    assert ("7", text, {"*": "1"}) == (posted.name, posted.correlation_id, posted.task_to_domain)


def test_a_text_where_a_number_is_wanted() -> None:
    """Both kinds in one document."""
    posted = converted({"name": 1, "version": "3", "priority": "5"}, PostedStart)

    assert ("1", 3, 5) == (posted.name, posted.version, posted.priority)


def test_deep_inside() -> None:
    """In lists, maps of lists, and structs inside each other; maps of the user's own stay."""
    document = {
        "name": "s",
        "inputParameters": {"n": 1, "b": True},
        "joinOn": ["a", 1],
        "decisionCases": {"1": [{"name": 2, "taskReferenceName": True, "extra": 1}]},
        "subWorkflowParam": {"name": 5, "version": 2},
    }

    task = converted(document, WorkflowTask)

    assert ({"n": 1, "b": True}, ["a", "1"]) == (task.input_parameters, task.join_on)
    (inner,) = task.decision_cases["1"]
    assert ("2", "true") == (inner.name, inner.task_reference_name)
    assert SubWorkflowParams("5", 2) == task.sub_workflow_param


@pytest.mark.parametrize(
    "document",
    [
        {"name": ["x"]},
        {"name": {"x": 1}},
        {"name": 1, "input": 5},
        {"name": 1, "version": "x"},
        {"name": 1, "taskToDomain": [1]},
        {"name": 1, "idempotencyStrategy": 1},
        [],
    ],
)
def test_what_fits_nothing_is_refused(document: Any) -> None:
    """The message names the field."""
    with pytest.raises(msgspec.ValidationError, match="Expected|Invalid enum"):
        converted(document, PostedStart)
