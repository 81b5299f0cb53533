"""The shapes of a synchronous answer, field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.api import runs
from edge.model.requests import ExecutionView
from edge.steering import Blocked
from edge.wire import Encoder
from tests.unit.edge.playbook import Playbook, step

_SHARED = {
    "responseType", "targetWorkflowId", "targetWorkflowStatus", "requestId", "workflowId",
    "signalTimeout", "priority", "correlationId", "input", "output", "variables", "tasks",
    "createTime", "updateTime", "status",
}  # fmt: skip
_OF_A_TASK = {
    "taskType", "taskId", "referenceTaskName", "retryCount", "taskDefName", "workflowType",
    "retriedTaskId", "reasonForIncompletion", "createdBy",
}  # fmt: skip


def _shown(strategy: str) -> tuple[Any, set[str]]:
    play = Playbook(step("a", settings={"retryCount": 1, "retryDelaySeconds": 0}))
    play.start(correlation_id="corr")
    play.fail("a", worker="w")
    view = ExecutionView(play.workflow, play.snapshot.pinned, list(play.snapshot.in_order()))
    task = msgspec.structs.replace(play.task("a"), worker="w")
    run = runs.RUNS[strategy](Encoder(), Blocked(view, view, task), "r1")
    assert run is not None
    return msgspec.json.decode(msgspec.json.encode(run)), set(run)


@pytest.mark.parametrize("strategy", ["TARGET_WORKFLOW", "BLOCKING_WORKFLOW"])
def test_the_run_of_a_workflow(strategy: str) -> None:
    """Both the fields of new clients and those of older ones."""
    run, fields = _shown(strategy)

    assert fields >= _SHARED
    assert (strategy, "r1", 2) == (run["responseType"], run["requestId"], len(run["tasks"]))


@pytest.mark.parametrize("strategy", ["BLOCKING_TASK", "BLOCKING_TASK_INPUT"])
def test_the_run_of_a_task(strategy: str) -> None:
    """The worker stands as its maker, the attempt before it is named."""
    run, fields = _shown(strategy)

    assert fields == _SHARED | _OF_A_TASK
    assert ("a", 1, "w") == (run["referenceTaskName"], run["retryCount"], run["createdBy"])


def test_nothing_blocks() -> None:
    """There is no task to show."""
    play = Playbook(step("a"))
    play.start()
    view = ExecutionView(play.workflow, play.snapshot.pinned, list(play.snapshot.in_order()))

    assert runs.RUNS["BLOCKING_TASK"](Encoder(), Blocked(view, view, None), "r") is None
