"""SET_VARIABLE: lays its input over the workflow's variables."""

from __future__ import annotations

from edge.model.executions import WorkflowStatus, workflow_uuid
from tests.unit.edge.playbook import WORKFLOW_ID, Playbook, step


def test_top_level_keys_overwrite() -> None:
    """No deep merge; a null is stored; there is no output."""
    play = Playbook(
        step("one", "SET_VARIABLE", inputParameters={"a": {"x": 1}, "b": 2}),
        step("two", "SET_VARIABLE", inputParameters={"a": {"y": 1}, "c": "${workflow.input.none}"}),
        step("z", inputParameters={"a": "${workflow.variables.a.y}"}),
    )

    play.start()

    assert {"a": {"y": 1}, "b": 2, "c": None} == play.variables
    assert {} == play.output("two")
    assert {"a": 1} == play.input("z")


def test_variables_have_a_limit() -> None:
    """Above 256 KB the task fails for good and the variables stay as they were."""
    play = Playbook(
        step("one", "SET_VARIABLE", inputParameters={"a": 1}),
        step(
            "two",
            "SET_VARIABLE",
            inputParameters={"b": "${workflow.input.text}"},
            settings={"retryCount": 5},
        ),
    )

    play.start({"text": "x" * 256 * 1024})

    size = len('{"a":1,"b":""}') + 256 * 1024
    assert {"a": 1} == play.variables
    assert ["1 one 0 COMPLETED", "2 two 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert WorkflowStatus.FAILED == play.status
    assert (
        f"The variables payload size: {size} of workflow: {workflow_uuid(WORKFLOW_ID)} is greater "
        "than the permissible limit: 256 kilobytes" == play.task("two").reason
    )
