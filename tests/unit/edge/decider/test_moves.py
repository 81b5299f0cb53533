"""Rerun and upgrade."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.calls import Launch, Pull
from edge.model.decision import Admit, Jump, Launched, Rerun, Retry, Skip, UpdateTask, Upgrade
from edge.model.errors import Conflict, InvalidInput
from edge.model.executions import TaskStatus
from edge.model.snapshot import Snapshot
from tests.unit.edge.playbook import Playbook, fork, inline, join, pin, step, switch

BROKEN = TaskStatus.FAILED_WITH_TERMINAL_ERROR


def failed_at_b() -> Playbook:
    """``a`` is done, ``b`` has failed, ``c`` was never reached."""
    play = Playbook(step("a"), step("b"), step("c"))
    play.start({"x": 1})
    play.complete("a", {"n": 1})
    play.update("b", BROKEN, reason="broken")
    return play


# Rerun.


def test_a_whole_rerun_begins_anew() -> None:
    """New input, the same id, the same creation time, and the variables stay."""
    play = failed_at_b()
    created_ms = play.workflow.created_ms
    play.after(9).do(Rerun(input=b'{"x":2}', correlation_id="again"))

    assert ["1 a 0 SCHEDULED"] == play.rows()
    assert (b'{"x":2}', "again", created_ms) == (
        play.workflow.input,
        play.workflow.correlation_id,
        play.workflow.created_ms,
    )
    assert play.workflow.id == play.workflow.rerun_from


def test_a_rerun_from_a_task_resets_it_in_place() -> None:
    """The same record, with the input that was given; what came later is gone."""
    play = Playbook(step("a"), step("b"), step("c"))
    play.start()
    for ref in ("a", "b", "c"):
        play.complete(ref, {"from": ref})
    target = play.task("b")
    decision = play.do(Rerun(target.ordinal, task_input=b'{"y":1}'))
    again = play.task("b")

    assert ["1 a 0 COMPLETED", "2 b 0 SCHEDULED"] == play.rows()
    assert (target.ordinal, b'{"y":1}', b"{}", 0) == (
        again.ordinal, again.input, again.output, again.polls,
    )  # fmt: skip
    assert (target.ordinal,) == decision.queued
    play.complete("b")
    play.complete("c")
    assert "COMPLETED" == play.status


def test_a_rerun_from_inside_a_branch_opens_the_join_again() -> None:
    """And lets what was cancelled beside it go on, in the record that it has."""
    play = Playbook(fork("f", [step("a"), step("b")], [step("c")]), join("j", "b", "c"))
    play.start()
    play.complete("a")
    play.update("b", BROKEN)
    assert "CANCELED" == play.task("c").status
    play.do(Rerun(play.task("b").ordinal))

    assert [
        "1 f 0 COMPLETED", "2 a 0 COMPLETED", "3 c 0 SCHEDULED", "4 j 0 IN_PROGRESS",
        "5 b 0 SCHEDULED",
    ] == play.rows()  # fmt: skip
    play.complete("b")
    play.complete("c")
    assert "COMPLETED" == play.status


def test_a_rerun_from_a_task_of_the_engines_own_comes_to_it_again() -> None:
    """A case is chosen anew, a fork is put together anew."""
    play = Playbook(
        switch("s", {"x": [step("a")], "y": [step("b")]}), inline("i", "$.v"), step("z")
    )
    play.start({"kind": "x"})
    play.complete("a")
    play.terminate("enough")
    play.do(Rerun(play.task("s").ordinal, input=b'{"kind":"y"}'))

    assert "SCHEDULED" == play.task("b").status
    assert play.snapshot.find("a") is None


def test_a_rerun_from_inside_a_loop_goes_back_to_that_iteration() -> None:
    """Later iterations are gone, and the loop counts on from there."""
    loop = step("loop", "DO_WHILE", loopOver=[step("s")], loopCondition="$.more")
    play = Playbook({**loop, "inputParameters": {"more": "${workflow.input.more}"}})
    play.start({"more": True})
    for number in (1, 2):
        play.complete(f"s__{number}")
    play.terminate("enough")
    play.do(Rerun(play.task("s__1").ordinal, input=b'{"more":false}'))

    assert {"loop": "IN_PROGRESS", "s__1": "SCHEDULED"} == play.states()
    assert 1 == play.task("loop").laps
    play.complete("s__1")
    assert "COMPLETED" == play.status


def test_a_rerun_from_inside_a_branch_leaves_the_other_branches() -> None:
    """They are younger, and nobody would begin them again; neither would anybody open the JOIN."""
    play = Playbook(
        fork("f", [step("a"), step("b")], [step("c"), step("d")]), join("j", "b", "d"), step("z")
    )
    play.start()
    for ref in ("a", "c", "b", "d", "z"):
        play.complete(ref)
    play.do(Rerun(play.task("a").ordinal))

    assert {
        "f": "COMPLETED", "a": "SCHEDULED", "c": "COMPLETED", "d": "COMPLETED", "j": "IN_PROGRESS",
    } == play.states()  # fmt: skip
    for ref in ("a", "b", "z"):
        play.complete(ref)
    assert "COMPLETED" == play.status


def test_a_rerun_from_a_join_leaves_its_branches() -> None:
    """It was opened before their later tasks, yet waits for them."""
    play = Playbook(fork("f", [step("a"), step("b")], [step("c")]), join("j", "b", "c"), step("z"))
    play.start()
    for ref in ("a", "c", "b", "z"):
        play.complete(ref)
    play.do(Rerun(play.task("j").ordinal))

    assert {
        "f": "COMPLETED", "a": "COMPLETED", "b": "COMPLETED", "c": "COMPLETED", "j": "COMPLETED",
        "z": "SCHEDULED",
    } == play.states()  # fmt: skip


def test_a_rerun_inside_a_loop_over_a_list_keeps_the_item() -> None:
    """The body sees what it saw the first time."""
    item = {"item": "${loop.output.loopItem}", "at": "${loop.output.loopIndex}"}
    body = [step("s"), step("t", inputParameters=item)]
    play = Playbook(step("loop", "DO_WHILE", loopOver=body, items="${workflow.input.list}"))
    play.start({"list": ["a", "b"]})
    for ref in ("s__1", "t__1", "s__2"):
        play.complete(ref)
    play.terminate("enough")
    play.do(Rerun(play.task("s__1").ordinal))
    play.complete("s__1")

    assert {"item": "a", "at": 0} == play.input("t__1")


def test_a_rerun_from_a_task_that_takes_messages_asks_for_them_again() -> None:
    """Some may wait already, and nobody would say so."""
    play = Playbook(step("p", "PULL_WORKFLOW_MESSAGES"))
    play.start()
    play.terminate("enough")
    (call,) = play.do(Rerun(1)).calls

    assert Pull(play.task("p").ordinal, batch=1, blocking=True) == call


def test_a_rerun_from_a_sub_workflow_starts_a_new_child() -> None:
    """At once, in the same record; what ran beside it stays."""
    play = Playbook(step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"}), step("z"))
    play.start()
    play.do(Launched(1, bytes(range(16))))
    play.terminate("enough")
    decision = play.do(Rerun(1))
    (call,) = decision.calls

    assert isinstance(call, Launch)
    assert ("SCHEDULED", b"") == (play.task("c").status, play.task("c").child)


def test_a_join_waits_for_what_a_rerun_begins_anew() -> None:
    """Also for a task whose record is made anew, and not before that has finished."""
    play = Playbook(fork("f", [step("w", "WAIT")], [step("a")]), join("j", "w", "a"), step("z"))
    play.start()
    play.update("w", BROKEN)
    play.do(Rerun(play.task("w").ordinal))
    play.complete("a")

    assert "IN_PROGRESS" == play.task("j").status
    play.complete("w")
    assert ("COMPLETED", "SCHEDULED") == (play.task("j").status, play.task("z").status)


def test_a_rerun_from_a_sub_workflow_in_a_loop_goes_back_to_its_iteration() -> None:
    """Later iterations are gone, as with any other task, and come again."""
    child = step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
    play = Playbook(
        step("loop", "DO_WHILE", loopOver=[child, step("s")], items="${workflow.input.list}")
    )
    play.start({"list": ["a", "b"]})
    for number in (1, 2):
        play.do(Launched(play.task(f"c__{number}").ordinal, bytes([number] * 16)))
        play.complete(f"c__{number}")
        play.complete(f"s__{number}")
    assert "COMPLETED" == play.status
    play.do(Rerun(play.task("c__1").ordinal))

    assert {"loop": "IN_PROGRESS", "c__1": "SCHEDULED"} == play.states()
    play.do(Launched(play.task("c__1").ordinal, bytes([3] * 16)))
    for ref in ("c__1", "s__1"):
        play.complete(ref)
    play.do(Launched(play.task("c__2").ordinal, bytes([4] * 16)))
    for ref in ("c__2", "s__2"):
        play.complete(ref)
    assert "COMPLETED" == play.status


def test_a_rerun_leaves_what_was_passed_by() -> None:
    """A JOIN that a jump has passed by waits for nobody again."""
    play = Playbook(fork("f", [step("a"), step("b")]), join("j", "b"), step("z"))
    play.start()
    play.do(Jump("z"))
    play.terminate("enough")
    play.do(Rerun(play.task("z").ordinal))

    skipped = dict.fromkeys("abj", "SKIPPED")
    assert {"f": "COMPLETED", **skipped, "z": "SCHEDULED"} == play.states()
    play.complete("z")
    assert "COMPLETED" == play.status


def ran_beside() -> Playbook:
    """The JOIN did not wait for a branch: ``z`` is older than ``c``, and what follows it younger."""
    flow = fork("f", [step("a")], [step("b"), step("c")])
    play = Playbook(flow, join("j", "a"), step("z"), step("y", retryCount=1))
    play.start()
    for ref in ("a", "b", "z"):
        play.complete(ref)
    play.update("y", TaskStatus.FAILED)
    return play


def test_a_rerun_lets_what_ran_beside_come_again() -> None:
    """It did not come of the target, yet it is taken away with what is younger."""
    play = ran_beside()
    play.complete("y")
    play.complete("c")
    play.do(Rerun(play.task("c").ordinal))

    assert {"a": "COMPLETED", "z": "COMPLETED", "c": "SCHEDULED", "y": "SCHEDULED"} == {
        ref: state for ref, state in play.states().items() if ref in "aczy"
    }
    assert [0] == [task.attempt for task in play.snapshot.in_order() if task.ref == "y"]
    play.complete("c")
    play.complete("y")
    assert "COMPLETED" == play.status


def test_a_rerun_lets_the_first_of_a_case_come_again() -> None:
    """Its SWITCH is older than the target and stays; a retry has made it younger."""
    flow = fork("f", [step("a")], [step("b")])
    play = Playbook(flow, join("j", "a"), switch("s", {"x": [step("c"), step("d")]}))
    play.start({"kind": "x"})
    play.complete("a")
    play.terminate("enough")
    play.retry()
    play.do(UpdateTask(play.task("b").ordinal, BROKEN))
    assert play.task("b").seq < play.task("c").seq
    play.do(Rerun(play.task("b").ordinal))
    play.complete("b")
    play.complete("c")
    play.complete("d")

    assert "COMPLETED" == play.status


@pytest.mark.parametrize("status", ["FAILED", "COMPLETED"])
def test_a_rerun_leaves_what_stands_before(status: str) -> None:
    """However young it is; if it has failed, it is tried again."""
    play = ran_beside()
    play.complete("y")
    play.update("c", TaskStatus(status))
    assert status == play.status
    play.do(Rerun(play.task("z").ordinal))

    expected = "COMPLETED" if status == "COMPLETED" else "SCHEDULED"
    assert ("SCHEDULED", expected) == (play.states()["z"], play.states()["c"])
    assert "y" not in play.states()


def test_a_rerun_in_a_loop_sees_the_iteration_that_it_goes_back_to() -> None:
    """What earlier steps of that iteration have made, though later iterations are gone."""
    body = [step("a"), step("b", inputParameters={"x": "${a.output.n}"})]
    play = Playbook(step("l", "DO_WHILE", loopOver=body, inputParameters={"items": [1, 2]}))
    play.start()
    play.complete("a__1", {"n": 1})
    play.complete("b__1")
    play.complete("a__2", {"n": 2})
    play.terminate("enough")
    play.do(Rerun(play.task("b__1").ordinal))
    play.do(UpdateTask(play.task("b__1").ordinal, TaskStatus.FAILED))
    play.retry()

    assert {"x": 1} == play.input("b__1")


def test_a_rerun_keeps_younger_attempts_of_what_stands_before() -> None:
    """A retry has made them, and the flow would never come there again."""
    play = Playbook(step("a", permissive=True), step("b"), step("c"))
    play.start()
    play.update("a", BROKEN)
    play.complete("b")
    play.complete("c")
    assert "FAILED" == play.status
    play.retry()
    play.complete("a", {"n": 1})
    play.do(Rerun(play.task("c").ordinal))

    assert ["a", "a", "b", "c"] == sorted(task.ref for task in play.snapshot.in_order())
    assert ({"n": 1}, "SCHEDULED") == (play.output("a"), play.task("c").status)


def test_a_rerun_leaves_a_join_that_had_ended_without_its_members() -> None:
    """Somebody has completed it: what it waited for does not come again by the rerun."""
    play = Playbook(fork("f", [step("a"), step("b")]), join("j", "b"), step("z"))
    play.start()
    play.complete("j", {"by": "hand"})
    play.terminate("enough")
    play.do(Rerun(play.task("z").ordinal))

    assert ("COMPLETED", "SCHEDULED") == (play.task("j").status, play.task("z").status)


def test_a_rerun_from_an_attempt_knows_the_earlier_ones() -> None:
    """A loop that keeps its last iterations takes all attempts of the others away."""
    wait = step("w", "WAIT", retryCount=1)
    items = {"items": [1, 2], "keepLastN": 1}
    play = Playbook(step("l", "DO_WHILE", loopOver=[wait], inputParameters=items))
    play.start()
    play.update("w__1", TaskStatus.FAILED)
    play.terminate("enough")
    play.do(Rerun(play.task("w__1").ordinal))
    play.complete("w__1")
    play.complete("w__2")

    assert ["l", "w__2"] == [task.ref for task in play.snapshot.in_order()]


def test_a_rerun_from_a_start_of_another_with_an_input() -> None:
    """What is posted is laid over what the step says, which names the workflow."""
    parameters = {"startWorkflow": {"name": "other"}, "n": 1}
    play = Playbook(step("s", "START_WORKFLOW", inputParameters=parameters), step("z"))
    play.start()
    play.do(Launched(1, bytes(range(16))))
    play.terminate("enough")
    (call,) = play.do(Rerun(1, task_input=b'{"n":2}')).calls

    assert isinstance(call, Launch)
    assert ("other", 2) == (call.name, play.input("s")["n"])


@pytest.mark.parametrize(
    ("posted", "child_input"),
    [
        (b'{"n":2}', b'{"n":2}'),
        (b'{"workflowInput":{"n":3}}', b'{"n":3}'),
        (b'{"subWorkflowName":"other"}', b'{"n":1}'),
    ],
)
def test_a_rerun_from_a_sub_workflow_with_an_input(posted: bytes, child_input: bytes) -> None:
    """What is posted is the child's input, or fields of the task's own."""
    param = {"name": "child"}
    play = Playbook(
        step("c", "SUB_WORKFLOW", subWorkflowParam=param, inputParameters={"n": 1}), step("z")
    )
    play.start()
    play.do(Launched(1, bytes(range(16))))
    play.terminate("enough")
    (call,) = play.do(Rerun(1, task_input=posted)).calls

    assert isinstance(call, Launch)
    assert child_input == call.input
    assert ("other" if b"other" in posted else "child") == call.name


@pytest.mark.parametrize(
    "skipped", [step("b"), step("b", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})]
)
def test_a_rerun_from_a_skipped_task_comes_to_it(skipped: dict[str, Any]) -> None:
    """Its record holds neither a queue nor an input, so the step begins with a new one."""
    play = Playbook(step("a"), {**skipped, "inputParameters": {"n": 1}})
    play.start()
    play.do(Skip("b"))
    play.complete("a")
    assert "COMPLETED" == play.status
    play.do(Rerun(play.task("b").ordinal))

    assert {"a": "COMPLETED", "b": "SCHEDULED"} == play.states()
    assert play.task("b").queue is not None
    assert 1 == msgspec.json.decode(play.task("b").input).get("workflowInput", {"n": 1})["n"]


def test_a_rerun_from_an_attempt_keeps_its_number() -> None:
    """Also where the step is come to anew: no two records have a reference and a number."""
    play = Playbook(step("w", "WAIT"))
    play.start()
    play.update("w", BROKEN)
    play.do(Retry())
    play.terminate("enough")
    play.do(Rerun(play.task("w").ordinal))

    assert ["1 w 0 FAILED_WITH_TERMINAL_ERROR", "2 w 1 IN_PROGRESS"] == play.rows()


def test_a_rerun_beside_what_ended_the_workflow_ends_it_again() -> None:
    """As a retry does; the JOIN of the branch that it ended would wait for ever."""
    end = step("end", "TERMINATE", inputParameters={"terminationStatus": "FAILED"})
    play = Playbook(fork("f", [end, step("never")], [step("a")]), join("j", "never", "a"))
    play.start()
    play.do(Rerun(play.task("a").ordinal))

    assert "FAILED" == play.status
    assert {"f": "COMPLETED", "end": "COMPLETED", "a": "CANCELED", "j": "CANCELED"} == play.states()
    play.do(Rerun(play.task("end").ordinal))
    assert ("FAILED", 1) == (play.status, play.task("end").attempt)


def test_what_cannot_be_rerun() -> None:
    """A running workflow, and a task that is not there."""
    play = Playbook(step("a"))
    play.start()
    with pytest.raises(Conflict, match="not in terminal state"):
        play.do(Rerun())
    play.terminate("enough")
    with pytest.raises(InvalidInput, match=r"Task .* not found"):
        play.do(Rerun(77))


# Upgrade.


def upgraded(play: Playbook, *steps: object, command: Upgrade | None = None) -> Playbook:
    """The execution with another definition pinned to it, and the command obeyed."""
    pinned = pin(*steps, version=2)  # type: ignore[arg-type]
    pinned = msgspec.structs.replace(pinned, key=2)
    tasks = list(play.snapshot.tasks.values())
    play.snapshot = Snapshot(play.workflow, pinned, tasks)
    play.do(command or Upgrade())
    return play


def test_what_is_under_way_goes_on_in_the_new_definition() -> None:
    """New steps before it count as done, with the outputs that were given."""
    play = Playbook(step("a"), step("b"), step("c"))
    play.start()
    play.complete("a")
    new = step("new")
    play = upgraded(
        play, step("a"), new, step("b"), step("d", inputParameters={"n": "${new.output.n}"}),
        command=Upgrade(input=b'{"x":9}', outputs={"new": {"n": 3}}),
    )  # fmt: skip

    assert {"a": "COMPLETED", "new": "SKIPPED", "b": "SCHEDULED"} == play.states()
    assert (2, b'{"x":9}') == (play.workflow.version, play.workflow.input)
    play.complete("b")
    assert {"n": 3} == play.input("d")
    play.complete("d")
    assert "COMPLETED" == play.status


def test_what_the_new_definition_lacks_is_given_up() -> None:
    """The flow goes on with the first step that has no record."""
    play = Playbook(step("a"), step("old"))
    play.start()
    play.complete("a")
    play = upgraded(play, step("a"), step("b"))

    assert {"a": "COMPLETED", "old": "CANCELED", "b": "SCHEDULED"} == play.states()
    play.complete("b")
    assert "COMPLETED" == play.status


def test_one_that_waits_for_its_turn_goes_on_by_the_new_definition() -> None:
    """Nothing is scheduled before its turn has come."""
    play = Playbook(step("a"))
    play.start(rate_limit_key="k", rate_limited=True)

    play = upgraded(play, step("b"))
    assert [] == play.rows()
    play.do(Admit())
    assert {"b": "SCHEDULED"} == play.states()


def test_one_that_waits_for_its_turn_cannot_jump() -> None:
    """It would pass those that wait in front of it."""
    play = Playbook(step("a"))
    play.start(rate_limit_key="k", rate_limited=True)

    with pytest.raises(Conflict, match="waits for its turn"):
        play.do(Jump("a"))
