"""JOIN: waits for what it names, and gathers the outputs."""

from __future__ import annotations

import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import Playbook, fork, inline, join, step, switch


def started(*steps: dict[str, object]) -> Playbook:
    """A playbook that has been started with the case ``x``."""
    play = Playbook(*steps)
    play.start({"kind": "x"})
    return play


def test_the_record_of_a_join() -> None:
    """In progress from the beginning, under the name JOIN, with its names as input."""
    play = started(fork("f", [step("a")]), join("j", "a", name="gather"))

    task = play.task("j")
    assert ("JOIN", "JOIN", "JOIN") == (task.kind, task.type, task.name)
    assert {"joinOn": ["a"]} == play.input("j")
    assert TaskStatus.IN_PROGRESS == task.status


def test_only_outputs_that_hold_something_are_gathered() -> None:
    """An empty output leaves no key."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"))

    play.complete("a", {"n": 1})
    play.complete("b")

    assert {"a": {"n": 1}} == play.output("j")
    assert TaskStatus.COMPLETED == play.task("j").status


def test_an_empty_list_completes_at_once() -> None:
    """A JOIN that names nobody waits for nobody."""
    play = started(fork("f", [step("a")]), join("j"), step("z"))

    assert {"f": "COMPLETED", "a": "SCHEDULED", "j": "COMPLETED", "z": "SCHEDULED"} == play.states()
    assert {} == play.output("j")


def test_a_name_that_is_never_scheduled_blocks() -> None:
    """A task of another case, or of nowhere, is waited for until somebody interferes."""
    play = started(
        fork("f", [switch("s", {"x": [step("a")], "y": [step("b")]})]), join("j", "a", "b")
    )

    play.complete("a")

    assert TaskStatus.IN_PROGRESS == play.task("j").status
    assert WorkflowStatus.RUNNING == play.status
    play.complete("j", {"by": "hand"})
    assert WorkflowStatus.COMPLETED == play.status


def test_a_switch_is_finished_before_its_branch() -> None:
    """A JOIN on a SWITCH does not wait for the tasks inside."""
    play = started(fork("f", [switch("s", {"x": [step("a")]})]), join("j", "s"), step("z"))

    assert {
        "f": "COMPLETED",
        "s": "COMPLETED",
        "j": "COMPLETED",
        "a": "SCHEDULED",
        "z": "SCHEDULED",
    } == play.states()


def test_a_fork_may_be_named() -> None:
    """A FORK is finished as soon as it is scheduled, also in the middle of a branch."""
    play = started(
        fork("f", [step("a"), fork("g", [step("b")]), join("i", "b")]), join("j", "g"), step("z")
    )

    play.complete("a")

    assert TaskStatus.COMPLETED == play.task("j").status
    assert TaskStatus.SCHEDULED == play.task("z").status


def test_members_that_were_done_before_the_join() -> None:
    """Tasks that run at once are finished when the JOIN is opened."""
    play = started(
        fork("f", [inline("a", "$.n", inputParameters={"n": 5})], [step("n", "NOOP")]),
        join("j", "a", "n"),
    )

    assert {"a": {"result": 5}} == play.output("j")
    assert WorkflowStatus.COMPLETED == play.status


@pytest.mark.parametrize("mode", ["SYNC", "ASYNC", None])
def test_every_join_is_synchronous(mode: str | None) -> None:
    """Whatever its mode, the decision about its last branch ends it and goes on behind it."""
    play = started(
        fork("f", [step("a")], [step("b")]), join("j", "a", "b", joinMode=mode), step("z")
    )
    play.complete("a", {"n": 1})
    assert TaskStatus.IN_PROGRESS == play.task("j").status

    decision = play.complete("b", {"n": 2})

    assert ["b", "j", "z"] == [task.ref for task in decision.tasks]
    assert {"a": {"n": 1}, "b": {"n": 2}} == play.output("j")
    assert (TaskStatus.COMPLETED, TaskStatus.SCHEDULED) == (
        play.task("j").status,
        play.task("z").status,
    )


def test_a_retry_is_waited_for() -> None:
    """A member that fails and is tried again is not finished."""
    play = started(
        fork("f", [step("a", settings={"retryCount": 1})], [step("b")]), join("j", "a", "b")
    )
    play.complete("b")
    play.fail("a")
    assert TaskStatus.IN_PROGRESS == play.task("j").status

    play.complete("a", {"n": 2})

    assert {"a": {"n": 2}} == play.output("j")
    assert WorkflowStatus.COMPLETED == play.status


def test_a_plain_failure_ends_all() -> None:
    """The workflow fails by the member, not by the JOIN."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"))

    play.fail("a", "fog")

    assert {"f": "COMPLETED", "a": "FAILED", "b": "CANCELED", "j": "CANCELED"} == play.states()
    expected = f"Task {play.id('a')} failed with status: FAILED and reason: 'fog'"
    assert expected == play.workflow.reason


def test_an_optional_failure_completes_with_errors() -> None:
    """The JOIN says which of its members had errors."""
    play = started(
        fork("f", [step("a", optional=True)], [step("b", optional=True)], [step("c")]),
        join("j", "a", "b", "c"),
    )
    play.fail("a")
    play.fail("b")
    play.complete("c")

    task = play.task("j")
    assert TaskStatus.COMPLETED_WITH_ERRORS == task.status
    assert f"a/{play.id('a')} b/{play.id('b')} completed with errors" == task.reason
    assert WorkflowStatus.COMPLETED == play.status


def test_a_permissive_failure_waits_for_the_others() -> None:
    """The JOIN fails when all members are finished, with the reasons of those that failed."""
    play = started(
        fork("f", [step("a", permissive=True)], [step("b", permissive=True)], [step("c")]),
        join("j", "a", "b", "c"),
        step("z"),
    )
    play.fail("a", "fog")
    play.update("b", TaskStatus.CANCELED, reason="snow")
    assert TaskStatus.IN_PROGRESS == play.task("j").status

    play.complete("c", {"n": 1})

    assert TaskStatus.FAILED == play.task("j").status
    assert "fog snow" == play.task("j").reason
    assert {"c": {"n": 1}} == play.output("j")
    expected = f"Task {play.id('j')} failed with status: FAILED and reason: 'fog snow'"
    assert expected == play.workflow.reason
    assert WorkflowStatus.FAILED == play.status


def test_cancelled_members_cancel_the_join() -> None:
    """When every failure is a cancellation, the workflow is TERMINATED."""
    play = started(
        fork("f", [step("a", permissive=True)], [step("b", optional=True)]), join("j", "a", "b")
    )
    play.fail("b")

    play.update("a", TaskStatus.CANCELED)

    assert TaskStatus.CANCELED == play.task("j").status
    assert "" == play.task("j").reason
    assert WorkflowStatus.TERMINATED == play.status


@pytest.mark.parametrize("flag", ["optional", "permissive"])
def test_a_lenient_join_lets_the_flow_go_on(flag: str) -> None:
    """The flags of the JOIN itself count as they do for any task."""
    play = started(
        fork("f", [step("a", permissive=True)]), join("j", "a", **{flag: True}), step("z")
    )
    play.fail("a")

    status = "COMPLETED_WITH_ERRORS" if flag == "optional" else "FAILED"
    assert {"f": "COMPLETED", "a": "FAILED", "j": status, "z": "SCHEDULED"} == play.states()
    play.complete("z")
    # What was let through is remembered at the end.
    assert WorkflowStatus.FAILED == play.status


def test_a_join_is_never_retried() -> None:
    """It is built in: its task definition gives it no second attempt."""
    play = started(
        fork("f", [step("a", permissive=True)]), join("j", "a", settings={"retryCount": 3})
    )

    play.fail("a")

    assert 0 == play.task("j").attempt
    assert WorkflowStatus.FAILED == play.status


def test_a_join_without_a_fork() -> None:
    """A JOIN may stand anywhere; what it names has finished long before."""
    play = started(step("a"), join("j", "a"), step("z"))

    play.complete("a", {"n": 1})

    assert {"a": {"n": 1}} == play.output("j")
    assert TaskStatus.SCHEDULED == play.task("z").status


def test_one_task_may_be_in_several_joins() -> None:
    """Every JOIN that names it hears of it."""
    play = started(
        fork("f", [step("a")], [fork("g", [step("b")]), join("i", "a", "b")]), join("j", "a", "i")
    )
    play.complete("b")
    play.complete("a", {"n": 1})

    assert {"a": {"n": 1}} == play.output("i")
    assert {"a": {"n": 1}, "i": {"a": {"n": 1}}} == play.output("j")


# A script of the author's.


def scripted(expression: str, *refs: str) -> Playbook:
    """A fork of two tasks whose JOIN has a script in real JavaScript."""
    play = Playbook(
        fork("f", [step("a")], [step("b")]),
        join("j", *(refs or ("a", "b")), expression=expression, evaluatorType="javascript"),
        step("z"),
    )
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start()
    return play


def test_a_script_may_be_content_with_less() -> None:
    """The first branch is enough; the other one still belongs to the workflow."""
    play = scripted("$.joinOn.some(ref => $[ref] && $[ref].status == 'COMPLETED')")
    play.complete("a", {"n": 1})

    assert {"a": {"n": 1}} == play.output("j")
    assert ("SCHEDULED", "SCHEDULED") == (play.task("z").status, play.task("b").status)
    play.complete("z")
    assert "RUNNING" == play.status
    play.complete("b")
    assert "COMPLETED" == play.status


def test_a_script_may_say_how_the_join_ends() -> None:
    """Status, reason and output are the script's."""
    play = scripted(
        "$.a && $.a.output.n > 1 ? {status: 'FAILED', reasonForIncompletion: 'too much', "
        "outputData: {n: $.a.output.n}} : false"
    )
    play.complete("a", {"n": 2})

    assert ("FAILED", "too much") == (play.task("j").status, play.task("j").reason)
    assert {"n": 2} == play.output("j")
    assert "FAILED" == play.status


def test_a_script_that_never_says_yes_does_not_block() -> None:
    """When all have finished nobody would ask again."""
    play = scripted("false")
    play.complete("a")
    assert "IN_PROGRESS" == play.task("j").status
    play.complete("b")

    assert "COMPLETED" == play.task("j").status


def test_a_script_that_breaks_fails_the_join() -> None:
    """So does one that answers a status that is none; one that waits, waits."""
    broken = scripted("$.nowhere.x")
    assert "FAILED" == broken.task("j").status
    odd = scripted("({status: 'DONE'})")
    assert "FAILED" == odd.task("j").status
    waiting = scripted("({status: 'IN_PROGRESS'})")
    assert "IN_PROGRESS" == waiting.task("j").status
