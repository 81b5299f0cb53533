"""INLINE: the value of a script over the task's input."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import NOW_MS, Playbook, inline, step

_EMPTY = "Empty '{}' in Inline task's input parameters. A non-empty String value must be provided."


@pytest.mark.parametrize("evaluator", ["javascript", "graaljs", "python"])
def test_the_result_is_the_output(evaluator: str) -> None:
    """The script sees the resolved input; its value is ``result``."""
    parameters = {"n": "${workflow.input.n}", "evaluatorType": evaluator}
    play = Playbook(inline("i", "$.n", inputParameters=parameters))

    play.start({"n": [1, 2]})

    assert {"result": [1, 2]} == play.output("i")
    assert WorkflowStatus.COMPLETED == play.status
    assert [evaluator] == play.scripts.evaluators


def test_lines_of_the_console_go_to_the_log_of_the_task() -> None:
    """Whether the script succeeds or fails."""
    parameters = {"expression": "console.log('a', $.n); console.error('b'); if ($.n) throw 1"}
    play = Playbook(
        step("i", "INLINE", inputParameters={**parameters, "n": 0}),
        step("j", "INLINE", inputParameters={**parameters, "n": 1}),
    )
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start()

    assert ["COMPLETED", "FAILED_WITH_TERMINAL_ERROR"] == list(play.states().values())
    assert [(1, '[Log] "a 0"'), (1, '[Error] "b"'), (2, '[Log] "a 1"'), (2, '[Error] "b"')] == [
        (line.ordinal, line.line) for line in play.decisions[-1].logs
    ]
    assert {NOW_MS} == {line.created_ms for line in play.decisions[-1].logs}


def test_python_returns_its_value() -> None:
    """The input's names are its globals."""
    parameters = {"evaluatorType": "python", "n": "${workflow.input.n}"}
    play = Playbook(inline("i", "if n > 1:\n  return {'n': n}\n", inputParameters=parameters))
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start({"n": 2})

    assert {"result": {"n": 2}} == play.output("i")


def test_javascript_is_the_default() -> None:
    """Without evaluatorType the expression is JavaScript."""
    play = Playbook(inline("i", "$.expression"))

    play.start()

    assert {"result": "$.expression"} == play.output("i")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"expression": "fail now"}, "Error evaluating the script `fail now`"),
        ({"expression": "  "}, _EMPTY.format("expression")),
        ({}, _EMPTY.format("expression")),
        ({"expression": "$.x", "evaluatorType": None}, _EMPTY.format("evaluatorType")),
        ({"expression": "$.x", "evaluatorType": " "}, _EMPTY.format("evaluatorType")),
        ({"expression": "$.x", "evaluatorType": "jq"}, "Unknown evaluator 'jq' in Inline task."),
        (
            {"expression": "x", "evaluatorType": "value-param", "x": 1},
            "Unknown evaluator 'value-param' in Inline task.",
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
