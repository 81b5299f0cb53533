"""PULL_WORKFLOW_MESSAGES: asks for messages, and waits while there are none."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.calls import Pull
from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, step


def _pull(ref: str = "p", **parameters: Any) -> dict[str, Any]:
    return step(ref, "PULL_WORKFLOW_MESSAGES", inputParameters=parameters)


@pytest.mark.parametrize(
    ("parameters", "batch", "blocking"),
    [
        ({}, 1, True),
        ({"batchSize": 7, "blocking": False}, 7, False),
        ({"batchSize": 0}, 1, True),
        ({"batchSize": 1_000}, 100, True),
        ({"batchSize": 2.9}, 2, True),
        ({"batchSize": "7", "blocking": "false"}, 1, True),
        ({"batchSize": True, "blocking": None}, 1, True),
        ({"batchSize": "${workflow.input.n}"}, 3, True),
    ],
)
def test_what_is_asked_for(parameters: dict[str, Any], batch: int, blocking: bool) -> None:
    """One message and patience, unless the input says otherwise in so many numbers."""
    play = Playbook(_pull(**parameters))

    decision = play.start({"n": 3})

    assert (Pull(1, batch, blocking),) == decision.calls
    assert TaskStatus.IN_PROGRESS == play.task("p").status


def test_what_is_taken_ends_the_task() -> None:
    """The output is that of the answer, and the flow goes on."""
    play = Playbook(_pull(), step("z"))
    play.start()
    play.complete("p", {"count": 0, "messages": []})

    assert {"count": 0, "messages": []} == play.output("p")
    assert TaskStatus.SCHEDULED == play.task("z").status
    assert WorkflowStatus.RUNNING == play.status
