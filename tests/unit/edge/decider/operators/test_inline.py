"""INLINE: the value of a script over the task's input."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, inline, step


@pytest.mark.parametrize("evaluator", ["javascript", "graaljs"])
def test_the_result_is_the_output(evaluator: str) -> None:
    """The script sees the resolved input; its value is ``result``."""
    parameters = {"n": "${workflow.input.n}", "evaluatorType": evaluator}
    play = Playbook(inline("i", "$.n", inputParameters=parameters))

    play.start({"n": [1, 2]})

    assert {"result": [1, 2]} == play.output("i")
    assert WorkflowStatus.COMPLETED == play.status


def test_javascript_is_the_default() -> None:
    """Without evaluatorType the expression is JavaScript."""
    play = Playbook(inline("i", "$.expression"))

    play.start()

    assert {"result": "$.expression"} == play.output("i")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"expression": "fail now"}, "Error evaluating the script `fail now`"),
        ({"expression": "  "}, "Empty 'expression' in INLINE task's input parameters"),
        ({}, "Empty 'expression' in INLINE task's input parameters"),
        ({"expression": 5}, "Empty 'expression' in INLINE task's input parameters"),
        (
            {"expression": "$.x", "evaluatorType": "python"},
            "No evaluator registered for type: python",
        ),
        (
            {"expression": "$.x", "evaluatorType": None},
            "No evaluator registered for type: null",
        ),
    ],
)
def test_a_wrong_script_is_never_retried(parameters: dict[str, Any], message: str) -> None:
    """It fails for good, with the message as reason and output."""
    play = Playbook(step("i", "INLINE", inputParameters=parameters, settings={"retryCount": 3}))

    play.start()

    assert ["1 i 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert message == play.task("i").reason
    assert {"error": message} == play.output("i")


def test_a_slow_script_is_retried() -> None:
    """A script that ran out of time gets the attempts of its task definition, at once."""
    play = Playbook(inline("i", "slow", settings={"retryCount": 2, "retryDelaySeconds": 60}))

    play.start()

    assert ["1 i 0 FAILED", "2 i 1 FAILED", "3 i 2 FAILED"] == play.rows()
    assert 3 == play.scripts.runs
    assert 0 == play.task("i").deliver_ms
    assert TaskStatus.FAILED == play.task("i").status
    assert "Script not evaluated within 4 seconds, interrupted." == play.task("i").reason
