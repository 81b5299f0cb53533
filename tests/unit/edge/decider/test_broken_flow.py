"""Flows that break: a retry of the workflow comes to the same place once more."""

from __future__ import annotations

import msgspec
import pytest

from edge.model.executions import WorkflowStatus
from tests.unit.edge.playbook import Playbook, Step, fork, join, step, switch


def breaking(what: str = "${workflow.input.name}") -> Step:
    """A step that breaks the flow unless the workflow's input names a task."""
    return step("d", "DYNAMIC", dynamicTaskNameParam="what", inputParameters={"what": what})


def forked(document: Step) -> list[Step]:
    """A dynamic fork with the document in the middle of its branches."""
    documents = [step("b1", inputParameters={"n": 1}), document, step("b3")]
    inputs = {"tasks": documents, "inputs": {"b3": {"n": 3}}}
    params = {"dynamicForkTasksParam": "tasks", "dynamicForkTasksInputParamName": "inputs"}
    return [step("df", "FORK_JOIN_DYNAMIC", inputParameters=inputs, **params), step("dj", "JOIN")]


BROKEN: list[tuple[list[Step], list[str]]] = [
    ([breaking()], ["d"]),
    ([switch("s", {"x": [breaking(), step("e")]})], ["d", "e"]),
    ([fork("g", [step("a")], [breaking()], [step("c")]), join("h", "a", "d", "c")], ["d", "c"]),
    # The expressions of such a branch are replaced twice.
    (forked(breaking("$${workflow.input.name}")), ["d", "b3"]),
    (
        [step("l", "DO_WHILE", loopOver=[breaking(), step("e")], inputParameters={"items": [1]})],
        ["d__1", "e__1"],
    ),
]
"""Steps that break, and what is to be done behind the break before they are through."""


@pytest.mark.parametrize(("steps", "behind"), BROKEN)
def test_a_retry_comes_to_the_same_place(steps: list[Step], behind: list[str]) -> None:
    """It breaks there again while nothing has changed, and goes on once something has."""
    play = Playbook(fork("f", [step("o")], [step("p"), *steps, step("q")]), join("j", "o", "q"))
    play.start({"kind": "x"})
    play.complete("p")
    assert (WorkflowStatus.FAILED, "CANCELED") == (play.status, play.states()["o"])
    play.retry()
    assert WorkflowStatus.FAILED == play.status
    assert "Cannot map a dynamic task" in (play.workflow.reason or "")

    play.snapshot.put_workflow(
        msgspec.structs.replace(play.workflow, input=b'{"kind":"x","name":"work"}')
    )
    play.retry()
    for ref in ("o", *(one for one in ("a", "b1") if one in play.states()), *behind):
        play.complete(ref)
    assert WorkflowStatus.RUNNING == play.status
    play.complete("q")

    assert WorkflowStatus.COMPLETED == play.status
    if "b3" in behind:
        assert {"n": 3} == play.input("b3")
