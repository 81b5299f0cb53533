"""SUB_WORKFLOW: what it asks for, from what its step says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.calls import Launch
from tests.unit.edge.playbook import Playbook, step


def launched(param: dict[str, Any], values: dict[str, Any] | None = None, **fields: Any) -> Launch:
    """What an execution of one such step asks for."""
    play = Playbook(step("c", "SUB_WORKFLOW", subWorkflowParam=param, **fields))
    (call,) = play.start(
        values,
        correlation_id="corr",
        task_to_domain={"*": "lab"},
        priority=7,
        idempotency_key="mine",
    ).calls
    assert isinstance(call, Launch)
    return call


def test_what_is_inherited() -> None:
    """Correlation and domains always, priority and keys only when they are given."""
    call = launched({"name": "child"})

    assert ("corr", {"*": "lab"}, None, None, 1) == (
        call.correlation_id, call.task_to_domain, call.priority, call.idempotency_key, call.depth,
    )  # fmt: skip


def test_what_is_given() -> None:
    """Every scalar may be an expression; a strategy without a key takes the parent's."""
    call = launched(
        {
            "name": "${workflow.input.name}",
            "version": "${workflow.input.version}",
            "priority": "${workflow.input.priority}",
            "taskToDomain": {"a": "d"},
            "idempotencyStrategy": "RETURN_EXISTING",
        },
        {"name": "child", "version": "3", "priority": 5},
    )

    assert ("child", 3, 5, {"a": "d"}, "mine", "RETURN_EXISTING") == (
        call.name, call.version, call.priority, call.task_to_domain, call.idempotency_key,
        call.idempotency_strategy,
    )  # fmt: skip


def test_the_input_of_the_child() -> None:
    """The step's own input; without one, all that the task holds."""
    given = launched({"name": "child"}, {"x": 1}, inputParameters={"x": "${workflow.input.x}"})
    whole = msgspec.json.decode(launched({"name": "child"}).input)

    assert b'{"x":1}' == given.input
    assert "child" == whole["subWorkflowName"]


def test_a_definition_that_the_execution_brings_along() -> None:
    """As an object or as an expression; its own name serves when none is given."""
    inner = {"name": "inner", "tasks": [step("a")]}
    plain = launched({"workflowDefinition": inner})
    found = launched({"workflowDefinition": "${workflow.input.d}"}, {"d": inner})

    assert "inner" == plain.name == found.name
    assert inner == plain.definition == found.definition
    assert {"dynamic": True} == msgspec.json.decode(plain.input)["_systemMetadata"]


@pytest.mark.parametrize("name", [None, "${workflow.input.nothing}"])
def test_without_a_name_the_task_fails(name: str | None) -> None:
    """And never again."""
    play = Playbook(step("c", "SUB_WORKFLOW", subWorkflowParam={"name": name}))
    play.start()

    assert "FAILED_WITH_TERMINAL_ERROR" == play.task("c").status
    assert "subWorkflowParam.name" in (play.task("c").reason or "")


def test_numbers_that_no_record_could_hold() -> None:
    """They saturate, however long their text; a version like that is none."""
    most = 2**31 - 1
    param = {"name": "child", "version": "${workflow.input.n}", "priority": "${workflow.input.n}"}
    for number in (10**30, "9" * 30, "9" * 5_000):
        call = launched(param, {"n": number})

        assert (most, most) == (call.version, call.priority)
    assert -most == launched(param, {"n": "-" + "9" * 30}).version
