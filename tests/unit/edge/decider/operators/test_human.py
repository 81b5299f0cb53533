"""HUMAN: waits for a person."""

from __future__ import annotations

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, step


def test_human_waits_for_an_update() -> None:
    """In progress from the beginning, in nobody's queue, until somebody answers."""
    play = Playbook(step("h", "HUMAN", inputParameters={"q": "${workflow.input.q}"}))
    play.start({"q": "safe?"})
    assert TaskStatus.IN_PROGRESS == play.task("h").status
    assert play.task("h").queue is None
    assert {"q": "safe?"} == play.input("h")

    play.complete("h", {"answer": "yes"}, merge=True)

    assert WorkflowStatus.COMPLETED == play.status
    assert {"answer": "yes"} == play.output("h")
