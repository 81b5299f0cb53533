"""DECISION: the older SWITCH, with the differences that definitions depend on."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import WorkflowStatus
from tests.unit.edge.playbook import Playbook, Step, step


def decision(cases: dict[str, list[Step]], **fields: Any) -> Step:
    """A DECISION over the workflow's input ``kind``, unless the fields say otherwise."""
    fields.setdefault("caseValueParam", "kind")
    fields.setdefault("inputParameters", {"kind": "${workflow.input.kind}", "more": 1})
    return step("d", "DECISION", decisionCases=cases, **fields)


def test_the_record_of_a_decision() -> None:
    """Only the key and the mark are its input, not what was resolved; the key is its output."""
    play = Playbook(decision({"x": [step("a"), step("b")]}), step("z"))

    play.start({"kind": "x"})

    task = play.task("d")
    assert ("DECISION", "DECISION", "DECISION") == (task.kind, task.type, task.name)
    assert {"case": "x", "hasChildren": "true"} == play.input("d")
    assert {"caseOutput": ["x"]} == play.output("d")
    assert ["1 d 0 COMPLETED", "2 a 0 SCHEDULED"] == play.rows()


def test_the_last_of_the_branch_leads_on() -> None:
    """Not the decision itself."""
    play = Playbook(decision({"x": [step("a"), step("b")]}), step("z"))

    play.start({"kind": "x"})
    play.complete("a")
    play.complete("b")

    assert ["d", "a", "b", "z"] == [row.split()[1] for row in play.rows()]


@pytest.mark.parametrize(
    ("kind", "taken"),
    [("y", "e"), ("w", "e"), (None, "n"), (True, "t"), (3, "three"), ("X", "e")],
)
def test_which_way_it_goes(kind: Any, taken: str) -> None:
    """Keys are Java texts; the default is for absent keys and for cases without tasks."""
    cases = {"w": [], "null": [step("n")], "true": [step("t")], "3": [step("three")]}
    play = Playbook(decision(cases, defaultCase=[step("e")]), step("z"))

    play.start({"kind": kind})

    assert taken in play.states()


def test_without_a_way_it_leads_on_itself() -> None:
    """No case and no default: the next step follows."""
    play = Playbook(decision({"x": [step("a")]}), step("z"))

    play.start({"kind": "y"})

    assert ["1 d 0 COMPLETED", "2 z 0 SCHEDULED"] == play.rows()
    assert {"case": "y"} == play.input("d")


def test_a_script_comes_before_the_parameter() -> None:
    """When both are there; a blank one is none."""
    script = Playbook(decision({"1": [step("a")]}, caseExpression="$.more"))
    blank = Playbook(decision({"x": [step("a")]}, caseExpression="  "))

    script.start({"kind": "x"})
    blank.start({"kind": "x"})

    assert "a" in script.states()
    assert "a" in blank.states()


def test_a_script_that_fails_ends_the_workflow() -> None:
    """Although the step is optional: nobody can say where to go on."""
    play = Playbook(decision({"x": [step("a")]}, caseExpression="fail", optional=True), step("z"))

    play.start()

    assert WorkflowStatus.FAILED == play.status
    assert ["1 d 0 FAILED"] == play.rows()
    assert (
        "Error while evaluating script: Error evaluating the script `fail`" == play.workflow.reason
    )
