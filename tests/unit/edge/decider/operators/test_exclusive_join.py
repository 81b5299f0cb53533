"""EXCLUSIVE_JOIN: takes over the output of the one branch that was taken."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.decision import Skip
from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, Step, fork, step, switch


def exclusive(*on: str, **fields: Any) -> Step:
    """An EXCLUSIVE_JOIN."""
    return step("j", "EXCLUSIVE_JOIN", joinOn=list(on), **fields)


@pytest.mark.parametrize("kind", ["x", "y"])
def test_it_takes_over_the_output_of_the_branch(kind: str) -> None:
    """Whichever was taken; the other one has no record and is not waited for."""
    cases = {"x": [step("a")], "y": [step("b")]}
    play = Playbook(switch("s", cases), exclusive("a", "b"), step("z"))

    play.start({"kind": kind})
    play.complete("a" if kind == "x" else "b", {"from": kind})

    assert {"from": kind} == play.output("j")
    assert ("EXCLUSIVE_JOIN", "EXCLUSIVE_JOIN") == (play.task("j").type, play.task("j").name)
    assert "z" in play.states()


def test_it_waits_for_what_is_under_way() -> None:
    """In a fork it is there before its members are done; the first of its list decides."""
    play = Playbook(fork("f", [step("a")], [exclusive("b", "a")], [step("b")]), step("g", "JOIN"))

    play.start()
    assert "IN_PROGRESS" == play.states()["j"]
    play.complete("a", {"n": 1})
    assert "IN_PROGRESS" == play.states()["j"]
    play.complete("b", {"n": 2})

    assert {"n": 2} == play.output("j")


def test_the_default_decides_when_no_branch_was_taken() -> None:
    """It is looked at last, and kept with the record."""
    play = Playbook(
        step("d"),
        switch("s", {"x": [step("a")]}),
        exclusive("a", defaultExclusiveJoinTask=["d"]),
    )

    play.start({"kind": "none"})
    play.complete("d", {"n": 7})

    assert {"joinOn": ["a"], "defaultExclusiveJoinTask": ["d"]} == play.input("j")
    assert {"n": 7} == play.output("j")
    assert WorkflowStatus.COMPLETED == play.status


def test_a_permissive_failure_is_its_own() -> None:
    """The reason is taken over, and the workflow fails by it."""
    play = Playbook(step("a", permissive=True), exclusive("a"))

    play.start()
    play.fail("a", "broken lens")

    assert "FAILED" == play.states()["j"]
    assert "broken lens" == play.task("j").reason
    assert WorkflowStatus.FAILED == play.status


def test_an_optional_failure_is_a_success() -> None:
    """COMPLETED_WITH_ERRORS lets the flow go on."""
    play = Playbook(step("a", optional=True), exclusive("a"), step("z"))

    play.start()
    play.fail("a")

    assert TaskStatus.COMPLETED is play.task("j").status
    assert "z" in play.states()


def test_one_that_names_nobody_is_done() -> None:
    """As a JOIN is."""
    play = Playbook(exclusive(), step("z"))

    play.start()

    assert ({}, "SCHEDULED") == (play.output("j"), play.task("z").status)


def test_a_name_that_is_never_reached_blocks() -> None:
    """As with any join: the definition has to name what can happen."""
    play = Playbook(exclusive("nobody"), step("z"))

    play.start()

    assert ["1 j 0 IN_PROGRESS"] == play.rows()


def test_when_all_members_were_skipped() -> None:
    """The first of them decides: nobody else can come."""
    play = Playbook(step("z"), step("a"), step("b"), exclusive("a", "b"), step("y"))
    play.start()
    play.do(Skip("a", output=b'{"n":1}'))
    play.do(Skip("b", output=b'{"n":2}'))
    play.complete("z")

    assert ({"n": 1}, "SCHEDULED") == (play.output("j"), play.task("y").status)


def test_when_the_branch_that_was_taken_was_skipped() -> None:
    """The others will never have a record, so it does not wait for them."""
    cases = {"x": [step("a")], "y": [step("b")]}
    play = Playbook(step("z"), switch("s", cases), exclusive("b", "a"), step("y"))
    play.start({"kind": "x"})
    play.do(Skip("a", output=b'{"n":1}'))
    play.complete("z")

    assert ({"n": 1}, "SCHEDULED") == (play.output("j"), play.task("y").status)


def test_what_was_skipped_leaves_it_to_others_that_are_under_way() -> None:
    """In a fork another member may still come, or somebody is busy who may lead to it."""
    branch = [exclusive("a", "b"), step("y")]
    play = Playbook(
        step("z"), fork("f", [step("a")], [step("c"), step("b")], branch), step("g", "JOIN")
    )
    play.start()
    play.do(Skip("a"))
    play.complete("z")
    play.complete("c")
    assert "IN_PROGRESS" == play.task("j").status
    play.complete("b", {"n": 3})

    assert ({"n": 3}, "SCHEDULED") == (play.output("j"), play.task("y").status)


def test_a_retry_reopens_it() -> None:
    """In the same record, and it looks again by itself."""
    play = Playbook(fork("f", [step("a")], [step("c"), exclusive("a")]), step("g", "JOIN"))

    play.start()
    play.complete("c")
    play.fail("a")
    play.retry()
    play.complete("a", {"n": 3})

    assert {"n": 3} == play.output("j")
    assert 1 == play.task("j").attempt
