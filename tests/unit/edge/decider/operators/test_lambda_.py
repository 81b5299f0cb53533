"""LAMBDA: the script is a function's body; evaluated by the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import Playbook, step


def run(body: Any, **fields: Any) -> Playbook:
    """A workflow of one LAMBDA over the workflow's input ``n``, started with 4."""
    parameters = {"n": "${workflow.input.n}", "scriptExpression": body}
    play = Playbook(step("l", "LAMBDA", inputParameters=parameters, **fields))
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start({"n": 4})
    return play


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("return $.n * 2;", 8),
        ("if ($.n > 3) { return {big: true}; } else { return {big: false}; }", {"big": True}),
        ("return [$.n]; // the end", [4]),
        ("$.n", None),
    ],
)
def test_what_is_returned_is_the_result(body: str, result: Any) -> None:
    """A completion value is none: the older type wants a return."""
    play = run(body)

    assert {"result": result} == play.output("l")
    assert WorkflowStatus.COMPLETED == play.status


@pytest.mark.parametrize(
    "body", ["throw new Error('no')", "return (", "while (true) {}", "", None, 3]
)
def test_whatever_goes_wrong_is_a_failure(body: Any) -> None:
    """It may be tried again, unlike that of an INLINE."""
    play = run(body)

    assert TaskStatus.FAILED is play.task("l").status
    assert {"error": play.task("l").reason} == play.output("l")


def test_it_is_tried_again_as_its_definition_says() -> None:
    """At once: no worker has to be waited for."""
    play = run("throw 1", settings={"retryCount": 2})

    assert ["1 l 0 FAILED", "2 l 1 FAILED", "3 l 2 FAILED"] == play.rows()
