"""SWITCH: goes on in the case whose key an expression names."""

from __future__ import annotations

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import Playbook, step, switch


def test_the_record_of_a_switch() -> None:
    """Input with the key and, when there are children, the mark; the key in the output."""
    play = Playbook(switch("s", {"x": [step("a")], "y": []}, name="route"), step("z"))
    other = Playbook(switch("s", {"x": [step("a")], "y": []}), step("z"))

    play.start({"kind": "x"})
    other.start({"kind": "y"})

    task = play.task("s")
    assert ("SWITCH", "SWITCH", "SWITCH") == (task.kind, task.type, task.name)
    assert {"kind": "x", "case": "x", "hasChildren": "true"} == play.input("s")
    assert {"evaluationResult": ["x"], "selectedCase": "x"} == play.output("s")
    assert {"kind": "y", "case": "y"} == other.input("s")


@pytest.mark.parametrize("evaluator", ["javascript", "graaljs"])
def test_a_script_names_the_case(evaluator: str) -> None:
    """The script sees the resolved input."""
    play = Playbook(
        switch("s", {"x": [step("a")]}, evaluatorType=evaluator, expression="$.kind"), step("z")
    )

    play.start({"kind": "x"})

    assert ["1 s 0 COMPLETED", "2 a 0 SCHEDULED"] == play.rows()


def test_value_param_is_a_key_and_no_path() -> None:
    """The name of an input, to the letter; one that is missing is null."""
    steps = switch("s", {"x": [step("a")]}, expression="o.k", defaultCase=[step("d")])
    play = Playbook(steps | {"inputParameters": {"o": {"k": "x"}}})

    play.start()

    assert "d" in play.states()
    assert {"evaluationResult": ["null"], "selectedCase": "null"} == play.output("s")


def test_a_script_that_fails_is_the_tasks_failure() -> None:
    """It is not retried, whatever its task definition says; the workflow fails by it."""
    play = Playbook(
        switch(
            "s",
            {"x": [step("a")]},
            evaluatorType="javascript",
            expression="fail",
            settings={"retryCount": 3},
        )
    )

    play.start({"kind": "x"})

    assert ["1 s 0 FAILED"] == play.rows()
    assert "Error evaluating the script `fail`" == play.task("s").reason
    assert WorkflowStatus.FAILED == play.status
    assert ["SWITCH"] == play.workflow.failed_names


@pytest.mark.parametrize(("evaluator", "shown"), [("lua", "lua"), (None, "null")])
def test_an_unknown_evaluator_ends_the_workflow(evaluator: str | None, shown: str) -> None:
    """No flag helps, and a retry meets the same end instead of passing the SWITCH by."""
    fields = {"evaluatorType": evaluator} if evaluator else {"evaluatorType": ""}
    play = Playbook(switch("s", {"x": [step("a")]}, optional=True, **fields), step("z"))
    shown = shown if evaluator else ""

    play.start({"kind": "x"})
    assert f"No evaluator registered for type: {shown}" == play.workflow.reason
    assert WorkflowStatus.FAILED == play.status

    play.retry()
    assert ["1 s 0 FAILED", "2 s 1 FAILED"] == play.rows()
    assert f"No evaluator registered for type: {shown}" == play.workflow.reason


def test_an_empty_switch_goes_straight_on() -> None:
    """No case and no default: the task after it."""
    play = Playbook(switch("s", {}), step("z"))

    play.start({"kind": "x"})

    assert ["1 s 0 COMPLETED", "2 z 0 SCHEDULED"] == play.rows()
    assert TaskStatus.COMPLETED == play.task("s").status


def test_an_empty_script_is_left_to_the_engine_of_scripts() -> None:
    """A SWITCH without an expression, which registration refuses, has the value of no script."""
    play = Playbook(switch("s", {"null": [step("a")]}, evaluatorType="javascript", expression=None))

    play.start()

    assert "a" in play.states()


@pytest.mark.parametrize(
    ("evaluator", "expression"),
    [
        ("javascript", "$.kind == 'cam' ? 'film' : 'rest'"),
        ("graaljs", "switch ($.kind) { case 'cam': 'film'; break; default: 'rest'; }"),
        ("python", "return 'film' if kind == 'cam' else 'rest'"),
    ],
)
def test_scripts_of_all_languages_name_a_case(evaluator: str, expression: str) -> None:
    """With the real evaluators; JavaScript by completion value, Python by return."""
    fields = {"evaluatorType": evaluator, "expression": expression}
    play = Playbook(switch("s", {"film": [step("a")], "rest": [step("b")]}, **fields))
    play.scripts = EVALUATORS  # type: ignore[assignment]

    play.start({"kind": "cam"})

    assert {"s": "COMPLETED", "a": "SCHEDULED"} == play.states()


def test_a_switch_has_no_console() -> None:
    """As in Conductor, where only an INLINE has one."""
    fields = {"evaluatorType": "javascript", "expression": "console.log('x')"}
    play = Playbook(switch("s", {"x": [step("a")]}, **fields))
    play.scripts = EVALUATORS  # type: ignore[assignment]

    play.start()

    assert (
        "Error evaluating the script `ReferenceError: console is not defined` at line 1"
        == play.task("s").reason
    )
