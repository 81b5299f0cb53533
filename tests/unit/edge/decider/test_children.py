"""News of other executions, as one execution takes them."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.calls import MAX_DEPTH, Launch, Tell
from edge.model.decision import (
    Adopted,
    ChildEnded,
    ChildReopened,
    Launched,
    LaunchFailed,
    LaunchNow,
    Terminate,
)
from edge.model.executions import TaskStatus, WorkflowStatus, task_bytes
from tests.unit.edge.playbook import WORKFLOW_ID, Playbook, Step, step

CHILD = bytes(range(20, 32)) + bytes(4)
OTHER = bytes(range(40, 52)) + bytes(4)


def sub(**fields: Any) -> Step:
    """A SUB_WORKFLOW step."""
    return step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"}, **fields)


def running(**fields: Any) -> Playbook:
    """An execution whose child runs."""
    play = Playbook(sub(**fields), step("z"))
    play.start()
    play.do(Launched(1, CHILD))
    return play


def ended(status: WorkflowStatus, child: bytes = CHILD) -> ChildEnded:
    """The end of a child."""
    return ChildEnded(1, child, "child.1/id", status, b'{"n":1}', "why")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (WorkflowStatus.COMPLETED, TaskStatus.COMPLETED),
        (WorkflowStatus.FAILED, TaskStatus.FAILED),
        (WorkflowStatus.TIMED_OUT, TaskStatus.TIMED_OUT),
        (WorkflowStatus.TERMINATED, TaskStatus.CANCELED),
    ],
)
def test_the_end_of_a_child_is_the_end_of_its_task(
    status: WorkflowStatus, expected: TaskStatus
) -> None:
    """With its output, and a reason unless all is well."""
    play = running()
    play.do(ended(status))
    task = play.task("c")

    assert expected is task.status
    assert 1 == play.output("c")["n"]
    good = status is WorkflowStatus.COMPLETED
    assert (None if good else "Sub workflow child.1/id failure reason: why") == task.reason
    assert ("RUNNING" if good else status) == play.status


def test_a_child_of_an_earlier_attempt_is_ignored() -> None:
    """Only the child that the task waits for can end it."""
    play = running()
    play.do(ended(WorkflowStatus.FAILED, OTHER))

    assert "IN_PROGRESS" == play.task("c").status


def test_an_attempt_after_a_failure_launches_another_child() -> None:
    """At once, or after the delay through its queue."""
    play = running(settings={"retryCount": 2, "retryDelaySeconds": 0})
    decision = play.do(ended(WorkflowStatus.FAILED))
    (call,) = decision.calls
    assert isinstance(call, Launch)
    assert 2 == call.ordinal

    slow = running(settings={"retryCount": 1, "retryDelaySeconds": 5})
    decision = slow.do(ended(WorkflowStatus.FAILED))
    assert () == decision.calls
    assert (2,) == decision.queued
    (call,) = slow.after(5).do(LaunchNow(2)).calls
    assert isinstance(call, Launch)


def test_a_task_that_ends_without_its_child_ends_the_child() -> None:
    """By a terminate, a timeout, or an update from outside."""
    slow = running(settings={"timeoutSeconds": 5, "responseTimeoutSeconds": 1})
    for decision in (
        running().terminate("enough"),
        running().complete("c"),
        slow.after(6).timer("c"),
    ):
        (call,) = (one for one in decision.calls if isinstance(one, Tell))
        assert CHILD == call.workflow_id
        assert isinstance(call.command, Terminate)
        assert WORKFLOW_ID == call.command.by_parent


def test_a_child_is_told_why_its_parent_has_ended() -> None:
    """In Java's words, where nobody gave a reason."""
    for reason, told in (("enough", "enough"), (None, "null")):
        (call,) = (one for one in running().do(Terminate(reason)).calls if isinstance(one, Tell))

        assert isinstance(call.command, Terminate)
        assert f"Parent workflow has been terminated with reason: {told}" == call.command.reason


def test_what_cannot_be_started_fails_its_task() -> None:
    """With the words of the refusal."""
    play = Playbook(sub())
    play.start()
    play.do(LaunchFailed(1, "no such workflow"))

    assert ("FAILED", "no such workflow") == (play.task("c").status, play.task("c").reason)


def test_a_child_tells_its_parent() -> None:
    """Its end, and that it runs once more."""
    parent = task_bytes(OTHER, 3)
    play = Playbook(step("a"))
    play.start(parent=parent)
    (call,) = play.update("a", TaskStatus.FAILED_WITH_TERMINAL_ERROR).calls

    assert isinstance(call, Tell)
    assert OTHER == call.workflow_id
    assert isinstance(call.command, ChildEnded)
    assert (3, WORKFLOW_ID) == (call.command.ordinal, call.command.child)
    (call,) = play.retry().calls
    assert isinstance(call, Tell)
    assert ChildReopened(3, WORKFLOW_ID, "retried") == call.command


def test_an_adopted_execution_tells_its_new_parent() -> None:
    """At once when it has ended already."""
    play = Playbook(step("a"))
    play.start()
    assert () == play.do(Adopted(task_bytes(OTHER, 1))).calls
    (call,) = play.complete("a").calls
    assert isinstance(call, Tell)
    assert OTHER == call.workflow_id

    done = Playbook(step("a"))
    done.start()
    done.complete("a")
    (call,) = done.do(Adopted(task_bytes(OTHER, 1))).calls
    assert isinstance(call, Tell)


def test_an_optional_task_is_not_reopened() -> None:
    """Nobody waits for its child."""
    play = running(optional=True)
    play.do(ended(WorkflowStatus.FAILED))
    decision = play.do(ChildReopened(1, CHILD, "retried"))

    assert decision.empty
    assert "COMPLETED_WITH_ERRORS" == play.task("c").status


def test_depth_has_an_end() -> None:
    """Too deep a child is not asked for, and neither is a failure workflow."""
    play = Playbook(sub(), failureWorkflow="cleanup")
    decision = play.start(depth=MAX_DEPTH)

    assert () == decision.calls
    assert "FAILED" == play.status
    assert "failed to start" in play.result["conductor.failure_workflow"]
