"""Skip and jump: going ahead, or back, without running what lies between."""

from __future__ import annotations

import pytest

from edge.decider import flow
from edge.model.decision import Jump, Rerun, Skip
from edge.model.errors import Conflict, IllegalState, InvalidInput
from edge.model.executions import TaskStatus
from tests.unit.edge.playbook import Playbook, fork, join, step, switch

# Skip.


def test_a_skipped_task_counts_as_done_when_the_flow_comes() -> None:
    """Its output is seen, and the flow goes on behind it."""
    play = Playbook(step("a"), step("b"), step("c", inputParameters={"n": "${b.output.n}"}))
    play.start()
    play.do(Skip("b", b'{"i":1}', b'{"n":7}'))
    assert ["1 a 0 SCHEDULED", "2 b 0 SKIPPED"] == play.rows()
    play.complete("a")

    assert {"n": 7} == play.input("c")
    play.complete("c")
    assert "COMPLETED" == play.status


def test_several_tasks_in_a_row_and_the_last_one() -> None:
    """The workflow ends when all that is left is skipped."""
    play = Playbook(step("a"), step("b"), step("c"))
    play.start()
    play.do(Skip("b"))
    play.do(Skip("c"))
    play.complete("a")

    assert "COMPLETED" == play.status


def test_a_join_does_not_wait_for_what_is_skipped() -> None:
    """Neither for a task that would still come, nor for one of a case that was not chosen."""
    never = switch("s", {"x": [step("n")], "y": [step("m")]})
    play = Playbook(fork("f", [never], [step("c")]), join("j", "n", "c"), step("z"))
    play.start({"kind": "y"})
    play.complete("m")
    play.complete("c")
    assert "IN_PROGRESS" == play.task("j").status
    play.do(Skip("n"))

    assert ("COMPLETED", "SCHEDULED") == (play.task("j").status, play.task("z").status)


def test_a_skipped_fork_is_skipped_with_its_branches() -> None:
    """Nobody begins them, so the JOIN behind it waits for none of them."""
    play = Playbook(step("a"), fork("f", [step("b")], [step("c")]), join("j", "b", "c"), step("z"))
    play.start()
    play.do(Skip("f"))
    play.complete("a")

    assert {
        "a": "COMPLETED", "f": "SKIPPED", "b": "SKIPPED", "c": "SKIPPED", "j": "COMPLETED",
        "z": "SCHEDULED",
    } == play.states()  # fmt: skip


def test_a_skipped_switch_is_skipped_with_what_joins_name() -> None:
    """Nobody comes to its cases any more."""
    inner = switch("s", {"x": [switch("i", {"x": [step("a")]})], "y": [step("b")]})
    exclusive = step("e", "EXCLUSIVE_JOIN", joinOn=["a", "b"])
    play = Playbook(step("p"), fork("f", [inner, exclusive], [step("q")]), join("j", "e", "a", "q"))
    play.start({"kind": "x"})
    play.do(Skip("s"))
    play.complete("p")
    play.complete("q")

    assert "COMPLETED" == play.status
    assert dict.fromkeys("sab", "SKIPPED") == {ref: play.states()[ref] for ref in "sab"}
    assert "i" not in play.states()


def test_what_cannot_be_skipped() -> None:
    """With Conductor's words."""
    play = Playbook(step("a"), step("b"))
    play.start()
    with pytest.raises(IllegalState, match="does not exist in the WorkflowDefinition play"):
        play.do(Skip("nowhere"))
    with pytest.raises(IllegalState, match="referenced a has already been processed"):
        play.do(Skip("a"))
    play.pause()
    with pytest.raises(IllegalState, match="is not running"):
        play.do(Skip("b"))


# Jump.


def test_a_jump_ahead_passes_by_what_lies_between() -> None:
    """What is open is given up and is no failure of the workflow."""
    play = Playbook(step("a"), step("b"), step("c", inputParameters={"k": 0}))
    play.start()
    play.do(Jump("c", b'{"k":1,"l":2}'))

    assert {"a": "SKIPPED", "b": "SKIPPED", "c": "SCHEDULED"} == play.states()
    assert {"k": 1, "l": 2} == play.input("c")
    play.complete("c")
    assert "COMPLETED" == play.status


def test_a_jump_back_runs_everything_from_there_again() -> None:
    """Records from the target on are gone."""
    play = Playbook(step("a"), step("b"), step("c"))
    play.start()
    play.complete("a")
    play.complete("b")
    play.do(Jump("b"))

    assert {"a": "COMPLETED", "b": "SCHEDULED"} == play.states()
    play.complete("b")
    play.complete("c")
    assert "COMPLETED" == play.status


def test_a_jump_back_begins_with_the_first_attempt() -> None:
    """Earlier attempts are gone too: no two records have a reference and a number."""
    play = Playbook(step("a", retryCount=1), step("b"))
    play.start()
    play.update("a", TaskStatus.FAILED)
    play.complete("a")
    play.do(Jump("a"))

    assert ["1 a 0 SCHEDULED"] == play.rows()


def test_a_jump_to_a_join_waits_for_nobody() -> None:
    """Branches that were begun are given up, the others count as skipped."""
    play = Playbook(step("a"), fork("f", [step("b")], [step("c")]), join("j", "b", "c"), step("z"))
    play.start()
    play.do(Jump("j"))
    assert ("COMPLETED", "SCHEDULED") == (play.task("j").status, play.task("z").status)
    begun = Playbook(fork("f", [step("b")], [step("c")]), join("j", "b", "c"), step("z"))
    begun.start()
    begun.do(Jump("j"))
    assert ("SKIPPED", "SCHEDULED") == (begun.task("b").status, begun.task("z").status)


def test_a_jump_to_a_join_keeps_what_its_members_have_made() -> None:
    """Also of those that began after it, as the later tasks of a branch do."""
    play = Playbook(
        fork("f", [step("a"), step("b")], [step("c"), step("d")], [step("e")]),
        join("j", "b", "d", "e"),
        step("z"),
    )
    play.start()
    play.complete("a")
    play.complete("b", {"n": 1})
    play.complete("c")
    play.do(Jump("j"))

    assert ({"b": {"n": 1}}, "SCHEDULED") == (play.output("j"), play.task("z").status)
    assert {
        "a": "COMPLETED",
        "b": "COMPLETED",
        "c": "COMPLETED",
        "d": "SKIPPED",
        "e": "SKIPPED",
    } == {ref: status for ref, status in play.states().items() if ref in "abcde"}
    play.complete("z")
    assert "COMPLETED" == play.status


def test_a_jump_to_the_join_of_a_dynamic_fork() -> None:
    """What the fork has named counts, not what the definition says."""
    inputs = {"forkTaskName": "shot", "forkTaskInputs": [{}, {}]}
    steps = (
        step("a"),
        step("f", "FORK_JOIN_DYNAMIC", inputParameters=inputs),
        join("j", "nobody"),
        step("z"),
    )
    begun = Playbook(*steps)
    begun.start()
    begun.complete("a")
    begun.complete("_shot_1", {"n": 1})
    begun.do(Jump("j"))
    assert ({"_shot_1": {"n": 1}}, "SCHEDULED") == (begun.output("j"), begun.task("z").status)

    ahead = Playbook(*steps)
    ahead.start()
    ahead.do(Jump("j"))
    assert "SCHEDULED" == ahead.task("z").status


def test_a_jump_back_to_a_join_lets_what_followed_it_go() -> None:
    """Its members stay as they are, and are gathered once more."""
    play = Playbook(step("x"), fork("f", [step("a"), step("b")]), join("j", "b"), step("z"))
    play.start()
    for ref in ("x", "a"):
        play.complete(ref)
    play.complete("b", {"n": 1})
    play.do(Jump("j"))

    assert ["1 x 0 COMPLETED", "2 f 0 COMPLETED", "3 a 0 COMPLETED"] == play.rows()[:3]
    assert ({"b": {"n": 1}}, "SCHEDULED") == (play.output("j"), play.task("z").status)


def test_a_jump_leaves_what_stands_before() -> None:
    """Though it is younger: the JOIN did not wait for it, so it ran beside the target."""
    play = Playbook(fork("f", [step("a")], [step("b"), step("c")]), join("j", "a"), step("z"))
    play.start()
    for ref in ("a", "b", "c"):
        play.complete(ref)
    play.do(Jump("z"))

    assert {"a": "COMPLETED", "c": "COMPLETED", "z": "SCHEDULED"} == {
        ref: status for ref, status in play.states().items() if ref in "acz"
    }


def test_a_jump_leaves_nothing_that_is_still_to_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a decision had left to a later one does not begin behind the jump."""
    monkeypatch.setattr(flow.run_agenda, "__kwdefaults__", {"limit": 1})
    inner = [step("n", "NOOP"), step("b")]
    play = Playbook(step("a"), switch("s", {"x": inner}), step("c"))
    play.start({"kind": "x"})
    play.complete("a")
    assert {"a": "COMPLETED", "s": "COMPLETED", "n": "COMPLETED"} == play.states()
    play.do(Jump("c"))
    for _ in "sn":
        play.after(1).timer()

    assert {"a": "COMPLETED", "s": "COMPLETED", "n": "COMPLETED", "c": "SCHEDULED"} == play.states()


def test_where_one_cannot_jump() -> None:
    """To no task, into a branch, or in a workflow that has ended."""
    play = Playbook(switch("s", {"x": [step("a")]}), step("b"))
    play.start({"kind": "x"})
    with pytest.raises(InvalidInput, match="does not exist"):
        play.do(Jump("nowhere"))
    with pytest.raises(InvalidInput, match="stands inside s"):
        play.do(Jump("a"))
    play.terminate("enough")
    with pytest.raises(Conflict, match="only a RUNNING one"):
        play.do(Jump("b"))


def test_a_rerun_behind_a_jump_does_not_wait_for_what_the_jump_gave_up() -> None:
    """The JOIN opens again, and the other branch was left before it came to its member."""
    play = Playbook(
        fork("f", [step("a")], [step("b"), step("c"), step("d")]), join("j", "a", "d"), step("z")
    )
    play.start()
    play.complete("a")
    play.do(Jump("z"))
    play.complete("z")
    play.do(Rerun(play.task("a").ordinal))
    play.complete("a", {"n": 1})

    assert ({"a": {"n": 1}}, "SCHEDULED") == (play.output("j"), play.task("z").status)
    play.complete("z")
    assert "COMPLETED" == play.status
