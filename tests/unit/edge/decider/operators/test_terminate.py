"""TERMINATE: ends the workflow from inside."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, step, switch, terminate


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
def test_terminate_gives_the_workflow_its_status(status: str) -> None:
    """The task completes; a bad end names it as the failed task; nothing follows."""
    play = Playbook(terminate("t", status), step("z"), outputParameters={"never": "resolved"})

    play.start()

    assert ["1 t 0 COMPLETED"] == play.rows()
    assert status == play.status
    assert f"Workflow is {status} by TERMINATE task: {play.id('t')}" == play.workflow.reason
    assert (0 if status == "COMPLETED" else 1) == play.workflow.failed_task
    assert {} == play.result


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ({"a": 1}, {"a": 1}),
        ("text", {"output": "text"}),
        ([1], {"output": [1]}),
        (None, {}),
    ],
)
def test_the_output_is_the_workflows(given: Any, output: dict[str, Any]) -> None:
    """A map is the output, another value becomes one, and the output parameters do not count."""
    play = Playbook(
        terminate("t", "COMPLETED", workflowOutput="${workflow.input.o}"),
        outputParameters={"never": 1},
    )

    play.start({"o": given})

    assert output == play.output("t") == play.result


@pytest.mark.parametrize(
    ("given", "reason"), [("because", "because"), ({"k": "v"}, "{k=v}"), (True, "true")]
)
def test_the_reason_is_kept(given: Any, reason: str) -> None:
    """Also by a workflow that completes, in Java's form."""
    play = Playbook(terminate("t", "COMPLETED", terminationReason="${workflow.input.r}"))

    play.start({"r": given})

    assert reason == play.workflow.reason


@pytest.mark.parametrize("status", ["completed", "TIMED_OUT", None, ""])
def test_another_status_is_not_valid(status: Any) -> None:
    """The task fails, and with it the workflow."""
    play = Playbook(
        step("t", "TERMINATE", inputParameters={"terminationStatus": "${workflow.input.s}"}),
        step("z"),
    )

    play.start({"s": status})

    assert TaskStatus.FAILED == play.task("t").status
    assert "given termination status is not valid" == play.task("t").reason
    assert WorkflowStatus.FAILED == play.status


def test_terminate_inside_a_case() -> None:
    """The tasks after the SWITCH never come."""
    play = Playbook(switch("s", {"x": [terminate("t", "TERMINATED")]}), step("z"))

    play.start({"kind": "x"})

    assert ["1 s 0 COMPLETED", "2 t 0 COMPLETED"] == play.rows()
    assert WorkflowStatus.TERMINATED == play.status


def test_nothing_follows_a_terminate_that_was_let_through() -> None:
    """A permissive TERMINATE that failed ends its branch, and the workflow fails at the end."""
    play = Playbook(
        step("t", "TERMINATE", inputParameters={"terminationStatus": "?"}, permissive=True),
        step("z"),
    )

    play.start()

    assert ["1 t 0 FAILED"] == play.rows()
    assert WorkflowStatus.FAILED == play.status
