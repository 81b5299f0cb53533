"""Schemas of inputs and outputs: what is refused, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.outside import NOWHERE, Fault
from edge.model.definitions import SchemaRef
from edge.model.errors import ValidationFailed
from edge.model.executions import TaskStatus
from edge.schemas import Schemas
from tests.unit.edge.playbook import Playbook, fork, inline, join, step, switch, terminate

NUMBER = {"data": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}, "name": "num"}
IN = {"inputSchema": NUMBER, "enforceSchema": True, "retryCount": 3}
OUT = {"outputSchema": NUMBER, "enforceSchema": True, "retryCount": 3}


class _Outside:
    """Knows schemas and nothing else."""

    limits = NOWHERE.limits
    environment = staticmethod(NOWHERE.environment)
    process = staticmethod(NOWHERE.process)
    secret = staticmethod(NOWHERE.secret)

    def __init__(self) -> None:
        self._schemas = Schemas()

    def faults(self, schema: SchemaRef, payload: Any) -> list[Fault]:
        return self._schemas.faults(schema, payload)


def _play(*steps: Any, **fields: Any) -> Playbook:
    play = Playbook(*steps, **fields)
    play.outside = _Outside()
    return play


def test_a_start_with_a_wrong_input_is_refused() -> None:
    """Nothing is scheduled; the path of each fault is told."""
    play = _play(step("a"), inputSchema=NUMBER)

    with pytest.raises(ValidationFailed) as refused:
        play.start({"n": "x"})
    ((fault),) = refused.value.fields
    assert ("input.n", 'the value is not of type "integer"') == (fault.path, fault.message)
    with pytest.raises(ValidationFailed) as refused:
        _play(step("a"), inputSchema=NUMBER).start({})
    assert "input" == refused.value.fields[0].path


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"inputSchema": NUMBER}, {"n": 1}),
        ({"inputSchema": NUMBER, "enforceSchema": False}, {"n": "x"}),
        ({"inputSchema": {"name": "s", "type": "AVRO"}}, {"n": "x"}),
        ({}, {"n": "x"}),
    ],
)
def test_a_start_that_is_not_refused(fields: dict[str, Any], values: dict[str, Any]) -> None:
    """It fulfils the schema, or nobody holds it to it."""
    play = _play(step("a"), **fields)
    play.start(values)

    assert ["1 a 0 SCHEDULED"] == play.rows()


def test_a_workflow_whose_output_is_wrong_fails() -> None:
    """The output is kept, for whoever looks for the fault."""
    play = _play(step("a"), outputSchema=NUMBER, outputParameters={"n": "${a.output.value}"})
    play.start()
    play.complete("a", {"value": "x"})

    assert "FAILED" == play.status
    assert {"n": "x"} == play.result
    assert (
        'Workflow output does not match the schema num: output.n: the value is not of type "integer"'
    ) == play.workflow.reason
    assert {"a": "COMPLETED"} == play.states()


def test_a_workflow_whose_output_is_right_completes() -> None:
    """And one that fails or is terminated is not held to its schema."""
    play = _play(step("a"), outputSchema=NUMBER)
    play.start()
    play.complete("a", {"n": 1})
    assert "COMPLETED" == play.status

    failed = _play(step("a"), outputSchema=NUMBER)
    failed.start()
    failed.fail("a", "broken")
    assert "and reason: 'broken'" in (failed.workflow.reason or "")


def test_terminate_is_held_to_the_schema_too() -> None:
    """A COMPLETED that it wants becomes FAILED when the output is wrong."""
    play = _play(terminate("t", "COMPLETED", workflowOutput={"n": "x"}), outputSchema=NUMBER)
    play.start()

    assert "FAILED" == play.status


def test_a_task_with_a_wrong_input_is_not_scheduled() -> None:
    """It fails for good: no queue has it, and no attempt follows."""
    play = _play(step("a", inputParameters={"n": "${workflow.input.n}"}, settings=IN))
    play.start({"n": "x"})
    task = play.task("a")

    assert ["1 a 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert (None, {"n": "x"}) == (task.queue, play.input("a"))
    assert (
        'Task input does not match the schema num: inputData.n: the value is not of type "integer"'
    ) == task.reason
    assert "FAILED" == play.status


def test_a_task_with_a_right_input_is_scheduled() -> None:
    """The look at it costs no number: the record is the first."""
    play = _play(step("a", inputParameters={"n": 1, "id": "${CPEWF_TASK_ID}"}, settings=IN))
    play.start()

    assert (1, "a") == (play.task("a").ordinal, play.task("a").queue)
    assert play.id("a") == play.input("a")["id"]


def test_a_task_with_a_wrong_output_fails_for_good() -> None:
    """A worker's COMPLETED becomes FAILED_WITH_TERMINAL_ERROR; the output is kept."""
    play = _play(step("a", settings=OUT))
    play.start()
    play.complete("a", {"n": []})

    assert ["1 a 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert {"n": []} == play.output("a")
    assert (play.task("a").reason or "").startswith("Task output does not match the schema num")


def test_a_task_that_fails_is_not_held_to_its_output_schema() -> None:
    """Neither is one that goes on."""
    play = _play(step("a", settings=OUT))
    play.start()
    play.update("a", TaskStatus.IN_PROGRESS, {"n": "so far"})
    assert "SCHEDULED" == play.task("a").status
    play.fail("a", "broken")

    assert "broken" == play.snapshot.tasks[1].reason


def test_optional_and_siblings_are_as_with_any_failure() -> None:
    """An optional task becomes COMPLETED_WITH_ERRORS and the flow goes on."""
    play = _play(step("a", settings=OUT, optional=True), step("b"))
    play.start()
    play.complete("a", {})

    assert {"a": "COMPLETED_WITH_ERRORS", "b": "SCHEDULED"} == play.states()


def test_tasks_of_the_engines_own_are_held_to_theirs() -> None:
    """An INLINE before it runs and after it; a SWITCH before it takes a branch."""
    play = _play(inline("i", "$.v", inputParameters={"v": "x"}, settings=OUT))
    play.start()
    assert ["1 i 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()

    play = _play(inline("i", "$.n", inputParameters={"n": "x"}, settings=IN))
    play.start()
    assert (0, ["1 i 0 FAILED_WITH_TERMINAL_ERROR"]) == (play.scripts.runs, play.rows())

    play = _play(switch("s", {"x": [step("b")]}, settings=IN))
    play.start({"kind": "x"})
    assert ["1 s 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()


def test_branches_of_a_fork_are_held_to_theirs() -> None:
    """The first wrong one ends the workflow, and the others are cancelled."""
    play = _play(fork("f", [step("a", settings=IN)], [step("b")]), join("j", "a", "b"))
    play.start()

    assert "FAILED" == play.status
    assert "FAILED_WITH_TERMINAL_ERROR" == play.states()["a"]


def test_reasons_are_bounded() -> None:
    """Five hundred characters, as everywhere."""
    texts = {"data": {"properties": {"l": {"items": {"type": "string"}}}}}
    play = _play(step("a", settings={"outputSchema": texts, "enforceSchema": True}))
    play.start()
    play.complete("a", {"l": list(range(100))})

    assert 500 == len(play.task("a").reason or "")


def test_places_inside_lists_are_told() -> None:
    """With the index of the member."""
    nulls = {"data": {"properties": {"l": {"items": {"type": "null"}}}}}
    play = _play(step("a"), inputSchema=nulls)

    with pytest.raises(ValidationFailed) as refused:
        play.start({"l": [1]})
    assert "input.l[0]" == refused.value.fields[0].path
