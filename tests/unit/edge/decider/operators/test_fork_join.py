"""FORK_JOIN: goes on in all branches at once."""

from __future__ import annotations

from edge.model.executions import WorkflowStatus
from tests.unit.edge.playbook import Playbook, fork, join, step


def test_the_record_of_a_fork() -> None:
    """It is finished at once, under the name FORK."""
    play = Playbook(
        fork("f", [step("a")], name="split", inputParameters={"n": "${workflow.input.n}"}),
        join("j", "a"),
    )

    play.start({"n": 1})

    task = play.task("f")
    assert ("FORK_JOIN", "FORK", "FORK") == (task.kind, task.type, task.name)
    assert {"n": 1} == play.input("f")
    assert ["1 f 0 COMPLETED", "2 a 0 SCHEDULED", "3 j 0 IN_PROGRESS"] == play.rows()


def test_a_branch_without_tasks_is_none() -> None:
    """As definitions that came with data may have: they are held against no rule."""
    play = Playbook(fork("f", [], [step("a")]), join("j", "a"))

    play.start()

    assert {"f": "COMPLETED", "a": "SCHEDULED", "j": "IN_PROGRESS"} == play.states()


def test_branches_advance_on_their_own() -> None:
    """A slow branch holds nobody up; the JOIN does not wait for what it does not name."""
    play = Playbook(
        fork("f", [step("a1"), step("a2")], [step("b1"), step("b2")]), join("j", "a2"), step("z")
    )
    play.start()
    for ref in ("b1", "a1", "a2"):
        play.complete(ref)

    assert {
        "f": "COMPLETED",
        "a1": "COMPLETED",
        "b1": "COMPLETED",
        "j": "COMPLETED",
        "b2": "SCHEDULED",
        "a2": "COMPLETED",
        "z": "SCHEDULED",
    } == play.states()
    play.complete("z")
    assert WorkflowStatus.RUNNING == play.status
    play.complete("b2")
    assert WorkflowStatus.COMPLETED == play.status


def test_forks_nest() -> None:
    """A fork inside a branch has a JOIN of its own."""
    play = Playbook(
        fork("f", [fork("g", [step("a")], [step("b")]), join("i", "a", "b")], [step("c")]),
        join("j", "i", "c"),
    )
    play.start()
    assert ["f", "g", "a", "b", "i", "c", "j"] == [row.split()[1] for row in play.rows()]

    play.complete("a", {"n": 1})
    play.complete("c")
    play.complete("b")

    assert {"i": {"a": {"n": 1}}} == play.output("j")
    assert WorkflowStatus.COMPLETED == play.status


def test_a_fork_without_a_join_ends_the_workflow() -> None:
    """The message is Conductor's; a retry meets the same end."""
    for steps in ([fork("f", [step("a")])], [fork("f", [step("a")]), step("z")]):
        play = Playbook(*steps)

        play.start()
        expected = "Fork task definition is not followed by a join task.  Check the blueprint"
        assert expected == play.workflow.reason
        assert ["1 f 0 FAILED"] == play.rows()

        play.retry()
        assert WorkflowStatus.FAILED == play.status
        assert ["1 f 0 FAILED", "2 f 1 FAILED"] == play.rows()
