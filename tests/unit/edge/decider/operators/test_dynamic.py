"""DYNAMIC: what is named is what runs."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.calls import Launch
from edge.model.definitions import TaskDefinition
from tests.unit.edge.playbook import Playbook, Step, step


def dynamic(**fields: Any) -> Step:
    """A step that runs what the workflow's input ``what`` names."""
    inputs = {"what": "${workflow.input.what}", "x": 1, **fields.pop("inputParameters", {})}
    return step("d", "DYNAMIC", dynamicTaskNameParam="what", inputParameters=inputs, **fields)


def test_a_workers_task_is_named() -> None:
    """The record has the name as its type; the flow goes on behind the step."""
    play = Playbook(dynamic(), step("z"))
    play.start({"what": "shoot"})
    task = play.task("d")

    assert ("shoot", "shoot", "shoot") == (task.type, task.name, task.queue)
    assert {"what": "shoot", "x": 1} == play.input("d")
    play.complete("d")
    assert "SCHEDULED" == play.task("z").status


def test_the_registered_definition_of_the_name_counts() -> None:
    """Retries are those of the task that runs, not of the placeholder."""
    play = Playbook(dynamic())
    play.registry.known["shoot"] = TaskDefinition("shoot", retry_count=1, retry_delay_seconds=0)
    play.start({"what": "shoot"})
    play.fail("d")

    assert (1, "shoot", "SCHEDULED") == (
        play.task("d").attempt,
        play.task("d").type,
        play.task("d").status,
    )


def test_a_system_type_can_be_named() -> None:
    """NOOP does nothing, SUB_WORKFLOW starts what the inputs say."""
    play = Playbook(dynamic())
    play.start({"what": "NOOP"})
    assert "COMPLETED" == play.status

    inputs = {"subWorkflowName": "child", "subWorkflowVersion": 3}
    parent = Playbook(dynamic(inputParameters=inputs))
    decision = parent.start({"what": "SUB_WORKFLOW"})
    (call,) = decision.calls
    assert isinstance(call, Launch)
    assert ("child", 3, True) == (call.name, call.version, call.child)


@pytest.mark.parametrize("name", ["FORK_JOIN", "SWITCH", "DO_WHILE", "JOIN", "SIMPLE", "DYNAMIC"])
def test_a_type_that_needs_a_definition_fails_the_task(name: str) -> None:
    """No worker would ever come for it; an optional one lets the flow go on."""
    play = Playbook(dynamic(), step("z"))
    play.start({"what": name})

    assert ({"d": "FAILED_WITH_TERMINAL_ERROR"}, "FAILED") == (play.states(), play.status)
    assert f"A DYNAMIC task cannot be {name}" in (play.task("d").reason or "")

    lenient = Playbook(dynamic(optional=True), step("z"))
    lenient.start({"what": name})
    assert {"d": "COMPLETED_WITH_ERRORS", "z": "SCHEDULED"} == lenient.states()


def test_a_registered_name_is_a_workers_task_whatever_it_is() -> None:
    """Somebody has registered it, so somebody polls for it."""
    play = Playbook(dynamic())
    play.registry.known["SWITCH"] = TaskDefinition("SWITCH")
    play.start({"what": "SWITCH"})

    assert ("SCHEDULED", "SWITCH") == (play.task("d").status, play.task("d").queue)


def test_without_a_name_the_workflow_fails() -> None:
    """The message repeats parameter and input."""
    play = Playbook(dynamic())
    play.start()

    assert "FAILED" == play.status
    assert (play.workflow.reason or "").startswith(
        "Cannot map a dynamic task based on the parameter and input. Parameter= what, input= {"
    )
