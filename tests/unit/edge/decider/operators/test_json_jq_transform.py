"""JSON_JQ_TRANSFORM: a jq program over the whole of the task's input, with the real jq."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import WorkflowStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import Playbook, step


def _play(program: Any = "", values: dict[str, Any] | None = None, **fields: Any) -> Playbook:
    """A workflow of one step, which has run; an empty program = none is given."""
    given = {} if program == "" else {"queryExpression": program}
    parameters = {"data": "${workflow.input.data}", **given}
    play = Playbook(step("j", "JSON_JQ_TRANSFORM", inputParameters=parameters, **fields))
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start(values or {"data": {"n": 3.0, "items": [1, 2.5]}})
    return play


@pytest.mark.parametrize(
    ("program", "output"),
    [
        (".data.n", {"result": 3, "resultList": [3]}),
        (".data.items[]", {"result": 1, "resultList": [1, 2.5]}),
        ("empty", {"result": None, "resultList": []}),
        (".nothing", {"result": None, "resultList": [None]}),
        ("{total: (.data.items | add)}", {"result": {"total": 3.5}, "resultList": [{"total": 3.5}]}),
        ("keys", {"result": ["data", "queryExpression"], "resultList": [["data", "queryExpression"]]}),
        (".queryExpression", {"result": ".queryExpression", "resultList": [".queryExpression"]}),
    ],
)  # fmt: skip
def test_all_that_is_emitted(program: str, output: dict[str, Any]) -> None:
    """The first value, and the list of all of them; the document is the task's whole input."""
    play = _play(program)

    assert output == play.output("j")
    assert WorkflowStatus.COMPLETED == play.status


@pytest.mark.parametrize(
    ("program", "message"),
    [(".[", "syntax error"), (".data.items.x", "Cannot index array"), (5.5, None)],
)
def test_a_program_that_fails_fails_the_task(program: Any, message: str | None) -> None:
    """With jq's words as reason and output; a number is a program that emits itself."""
    play = _play(program)

    if message is None:
        assert WorkflowStatus.COMPLETED == play.status
        return
    assert ["1 j 0 FAILED"] == play.rows()
    assert message in (play.task("j").reason or "")
    assert {"error": play.task("j").reason} == play.output("j")


def test_a_missing_program_fails_the_task() -> None:
    """An expression that finds nothing counts as missing; there is no output."""
    for play in (_play(), _play("${workflow.input.nothing}")):
        assert "Missing 'queryExpression' in input parameters" == play.task("j").reason
        assert ["1 j 0 FAILED"] == play.rows()
        assert {} == play.output("j")


def test_a_failure_is_retried_as_often_as_the_definition_says() -> None:
    """It is an ordinary failure, at once."""
    play = _play(".[", settings={"retryCount": 1, "retryDelaySeconds": 60})

    assert ["1 j 0 FAILED", "2 j 1 FAILED"] == play.rows()
    assert WorkflowStatus.FAILED == play.status
