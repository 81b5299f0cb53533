"""Records that have ended and are under way once more, as the decider makes them."""

from __future__ import annotations

from edge.model.calls import Launch, Tell
from edge.model.decision import ChildEnded, ChildReopened, Launched, Rerun, Retry
from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import Playbook, Step, fork, join, step

FIRST = bytes(range(20, 32)) + bytes(4)
SECOND = bytes(range(40, 52)) + bytes(4)


def sub(ref: str) -> Step:
    """A SUB_WORKFLOW step."""
    return step(ref, "SUB_WORKFLOW", subWorkflowParam={"name": "child"})


def ended_around(*others: list[Step]) -> Playbook:
    """A fork whose first branch has a child; it has failed, and the others were cancelled."""
    refs = [branch[-1]["taskReferenceName"] for branch in others]
    play = Playbook(fork("f", [sub("c")], *others), join("j", "c", *refs))
    play.start()
    play.do(Launched(play.task("c").ordinal, FIRST))
    if "d" in refs:
        play.do(Launched(play.task("d").ordinal, SECOND))
    play.do(ended(play, "c", FIRST))
    assert "FAILED" == play.status
    return play


def ended(play: Playbook, ref: str, child: bytes) -> ChildEnded:
    """A child has failed."""
    return ChildEnded(
        play.task(ref).ordinal, child, "child.1/id", WorkflowStatus.FAILED, b"{}", "why"
    )


def test_what_was_cancelled_beside_a_child_goes_on_in_its_record() -> None:
    """It has one record, as in Conductor, whose number counts the attempts."""
    play = ended_around([step("b")], [step("w", "WAIT", inputParameters={"duration": "9 s"})])
    before = {ref: play.task(ref).ordinal for ref in ("b", "c", "j")}
    decision = play.do(ChildReopened(before["c"], FIRST, "retried"))

    assert [
        "1 f 0 COMPLETED", "2 c 0 IN_PROGRESS", "3 b 1 SCHEDULED", "5 j 0 IN_PROGRESS",
        "6 w 1 IN_PROGRESS",
    ] == play.rows()  # fmt: skip
    assert before == {ref: play.task(ref).ordinal for ref in before}
    assert before["b"] in decision.queued
    assert "RUNNING" == play.status


def test_a_child_beside_a_child_is_under_way_before_it_says_so() -> None:
    """Or the JOIN that waits for both would take it for cancelled, and end the workflow."""
    play = ended_around([sub("d")])
    decision = play.do(ChildReopened(play.task("c").ordinal, FIRST, "reran"))
    other = play.task("d")
    (told,) = [call for call in decision.calls if isinstance(call, Tell)]

    assert "RUNNING" == play.status
    assert (TaskStatus.IN_PROGRESS, SECOND, 0) == (other.status, other.child, other.attempt)
    assert (SECOND, Retry()) == (told.workflow_id, told.command)
    play.do(told.refused)
    assert ("TERMINATED", "CANCELED") == (play.status, play.task("d").status)


def test_a_child_that_cannot_be_retried_leaves_its_task_as_it_was() -> None:
    """Here one that had failed, which a permissive task lets pass."""
    play = Playbook(fork("f", [sub("c")], [{**sub("d"), "permissive": True}]), join("j", "c", "d"))
    play.start()
    play.do(Launched(play.task("c").ordinal, FIRST))
    play.do(Launched(play.task("d").ordinal, SECOND))
    play.do(ended(play, "d", SECOND))
    play.do(ended(play, "c", FIRST))
    decision = play.do(ChildReopened(play.task("c").ordinal, FIRST, "retried"))
    (told,) = [call for call in decision.calls if isinstance(call, Tell)]
    assert "IN_PROGRESS" == play.task("d").status
    play.do(told.refused)

    assert ("RUNNING", "FAILED") == (play.status, play.task("d").status)


def test_what_failed_beside_the_target_of_a_rerun_begins_anew_in_its_record() -> None:
    """With a new child, without the reason, and as the attempt that it was."""
    play = ended_around([step("b")], [sub("d")])
    decision = play.do(Rerun(play.task("b").ordinal))
    launches = [call.ordinal for call in decision.calls if isinstance(call, Launch)]

    assert [
        "1 f 0 COMPLETED", "2 c 0 SCHEDULED", "3 b 0 SCHEDULED", "4 d 0 SCHEDULED",
        "5 j 0 IN_PROGRESS",
    ] == play.rows()  # fmt: skip
    assert (b"", None, b"{}") == (
        play.task("c").child,
        play.task("c").reason,
        play.task("c").output,
    )
    assert [play.task("c").ordinal, play.task("d").ordinal] == launches
