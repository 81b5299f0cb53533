"""DO_WHILE: iterations, conditions, lists, what is kept, and loops in loops."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.model.executions import TaskStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import Playbook, Step, fork, inline, join, step, switch

COUNT = "if ($.loop['iteration'] < $.n) { true; } else { false; }"


def loop(*body: Step, **fields: Any) -> Step:
    """A loop named ``loop`` that runs while its count is below the input ``n``."""
    fields.setdefault("loopCondition", COUNT)
    fields.setdefault("inputParameters", {"n": "${workflow.input.n}"})
    return step("loop", "DO_WHILE", loopOver=list(body), **fields)


def play_of(*steps: Step, **fields: Any) -> Playbook:
    """A playbook with real JavaScript."""
    play = Playbook(*steps, **fields)
    play.scripts = EVALUATORS  # type: ignore[assignment]
    return play


def test_two_iterations() -> None:
    """Trace F of the reference: records, suffixes and the loop's output."""
    play = play_of(loop(step("s")), step("z"))
    play.start({"n": 2})
    play.complete("s__1", {"v": 1})
    play.complete("s__2", {"v": 2})

    assert [
        "1 loop 0 COMPLETED", "2 s__1 0 COMPLETED", "3 s__2 0 COMPLETED", "4 z 0 SCHEDULED",
    ] == play.rows()  # fmt: skip
    assert {"1": {"s": {"v": 1}}, "2": {"s": {"v": 2}}, "iteration": 2} == play.output("loop")
    assert (1, 2) == (play.task("s__1").iteration, play.task("s__2").iteration)
    assert (2, 1, 0) == tuple(play.task(ref).shown_iteration for ref in ("loop", "s__1", "z"))


def test_a_loop_without_a_body_fails() -> None:
    """As definitions that came with data may have one: they are held against no rule."""
    play = play_of(loop(), step("z"))
    play.start({"n": 2})

    assert ("FAILED_WITH_TERMINAL_ERROR", "FAILED") == (play.task("loop").status, play.status)
    assert "The loop has no tasks: loopOver is empty" == play.task("loop").reason


def test_a_loop_that_runs_keeps_no_copy_of_its_iterations() -> None:
    """Its record stays small, yet expressions see all of it."""
    body = step("s", inputParameters={"all": "${loop.output}", "last": "${s.output.v}"})
    play = play_of(loop(body))
    play.start({"n": 3})
    play.complete("s__1", {"v": 1})

    assert b'{"iteration":2}' == play.task("loop").output
    assert {"all": {"1": {"s": {"v": 1}}, "iteration": 2}, "last": 1} == play.input("s__2")


def test_a_long_loop_writes_little_for_each_iteration() -> None:
    """The bytes of the loop's own record do not grow with the iterations."""
    play = play_of(loop(step("s")))
    play.start({"n": 40})
    sizes = []
    for number in range(1, 40):
        decision = play.complete(f"s__{number}", {"text": "x" * 100})
        sizes.append(sum(len(msgspec.json.encode(task)) for task in decision.tasks))

    assert max(sizes) < min(sizes) + 50


def test_the_body_runs_at_least_once() -> None:
    """The condition is asked after an iteration, not before."""
    play = play_of(loop(step("s")))
    play.start({"n": 0})
    play.complete("s__1")

    assert "COMPLETED" == play.status


def test_a_condition_that_throws_fails_the_loop() -> None:
    """The message names the condition; nothing is retried."""
    play = play_of(loop(step("s"), loopCondition="$.nowhere.x"))
    play.start({"n": 1})
    play.complete("s__1")

    task = play.task("loop")
    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is task.status
    assert (task.reason or "").startswith("Unable to evaluate condition $.nowhere.x, exception ")
    assert "FAILED" == play.status


def test_only_booleans_and_positive_numbers_are_true() -> None:
    """Strings are false, even ``"true"``."""
    for condition, runs in (("'true'", 1), ("0", 1), ("-1", 1), ("$.loop.iteration < 3", 3)):
        play = play_of(loop(inline("s", "1"), loopCondition=condition))
        play.start()

        assert runs == play.task("loop").laps
        assert "COMPLETED" == play.status


def test_the_condition_sees_outputs_without_suffix() -> None:
    """Every reference of the body is its output map, the newest one."""
    play = play_of(loop(step("s"), loopCondition="$.s.more"))
    play.start()
    play.complete("s__1", {"more": True})
    play.complete("s__2", {"more": False})

    assert "COMPLETED" == play.status
    assert 2 == play.task("loop").laps


def test_the_condition_sees_variables_as_they_are_now() -> None:
    """Its inputs are resolved anew after each iteration."""
    body = step("v", "SET_VARIABLE", inputParameters={"k": "${loop.output.iteration}"})
    play = play_of(
        loop(body, inputParameters={"k": "${workflow.variables.k}"}, loopCondition="$.k < 4")
    )
    play.start()

    assert 4 == play.task("loop").laps
    assert {"k": 4} == play.variables


def test_a_list_is_gone_through() -> None:
    """Item and index reach the body; without a condition the list's end is the loop's."""
    body = step(
        "s", inputParameters={"item": "${loop.output.loopItem}", "at": "${loop.output.loopIndex}"}
    )
    for fields in (
        {"items": "${workflow.input.list}", "inputParameters": {}},
        {"inputParameters": {"_items": "${workflow.input.list}"}},
        {"inputParameters": {"items": "${workflow.input.list}"}},
    ):
        play = play_of(loop(body, loopCondition=None, **fields))
        play.start({"list": ["a", "b"]})
        play.complete("s__1")

        assert {"item": "b", "at": 1} == play.input("s__2")
        play.complete("s__2")
        assert "COMPLETED" == play.status
        assert 2 == play.output("loop")["iteration"]


def test_a_list_with_a_condition_ends_with_either() -> None:
    """Both have to say yes."""
    play = play_of(
        loop(inline("s", "1"), items="${workflow.input.list}", loopCondition="$.loopIndex < 1")
    )
    play.start({"list": [1, 2, 3, 4]})

    assert 2 == play.task("loop").laps


def test_an_empty_list_runs_nothing() -> None:
    """The body has no record, and the flow goes on; a single value is a list of one."""
    play = play_of(loop(step("s"), items="${workflow.input.list}", loopCondition=None), step("z"))
    play.start({"list": []})

    assert {"loop": "COMPLETED", "z": "SCHEDULED"} == play.states()
    assert {"iteration": 0} == play.output("loop")
    single = play_of(loop(inline("s", "1"), items="${workflow.input.list}", loopCondition=None))
    single.start({"list": {"one": 1}})
    assert 1 == single.task("loop").laps


def test_only_the_last_iterations_are_kept() -> None:
    """Older ones leave the output and the records."""
    play = play_of(loop(step("s"), inputParameters={"n": 5, "keepLastN": 2}))
    play.start()
    for number in range(1, 6):
        play.complete(f"s__{number}", {"v": number})

    assert ["4", "5", "iteration"] == list(play.output("loop"))
    assert {"loop", "s__4", "s__5"} == play.states().keys()


def test_iterations_of_sync_tasks_alone_that_are_not_kept_are_never_written() -> None:
    """A record that is made and dropped within one decision costs nothing on the disk."""
    play = play_of(loop(inline("s", "1"), inputParameters={"n": 50, "keepLastN": 2}))
    decision = play.start()

    assert 3 == len(decision.tasks)
    assert () == decision.dropped


def test_outputs_need_not_be_captured() -> None:
    """``captureOutput: false`` keeps the count alone."""
    play = play_of(loop(inline("s", "1"), inputParameters={"n": 3, "captureOutput": False}))
    play.start()

    assert {"iteration": 3} == play.output("loop")


def test_an_iteration_waits_for_all_that_runs_inside() -> None:
    """A branch that no JOIN waits for still belongs to its iteration."""
    play = play_of(loop(fork("f", [step("a")], [step("b")]), join("j", "a")))
    play.start({"n": 2})
    play.complete("a__1")

    assert "COMPLETED" == play.task("j__1").status
    assert 1 == play.task("loop").laps
    play.complete("b__1")
    assert 2 == play.task("loop").laps
    assert "SCHEDULED" == play.task("a__2").status


def test_branches_and_cases_inside() -> None:
    """Whatever is created for an iteration has its suffix, and leads on within it."""
    body = switch("sw", {"x": [step("a"), step("b")]}, inputParameters={"kind": "x"})
    play = play_of(loop(body, step("c")))
    play.start({"n": 2})
    for ref in ("a__1", "b__1", "c__1", "a__2", "b__2", "c__2"):
        play.complete(ref, {"from": ref})

    assert "COMPLETED" == play.status
    assert {"sw", "a", "b", "c"} == play.output("loop")["2"].keys()


def test_an_attempt_that_is_retried_is_not_the_end_of_the_iteration() -> None:
    """The output is that of the last attempt."""
    play = play_of(loop(step("s", settings={"retryCount": 1, "retryDelaySeconds": 0})))
    play.start({"n": 1})
    play.fail("s__1")

    assert 1 == play.task("s__1").attempt
    play.complete("s__1", {"v": 1})
    assert {"1": {"s": {"v": 1}}, "iteration": 1} == play.output("loop")


def test_a_permissive_failure_fails_the_loop() -> None:
    """The iteration is finished, the loop is not gone on with."""
    play = play_of(loop(step("s", permissive=True), step("t")))
    play.start({"n": 3})
    play.fail("s__1", "no light")
    play.complete("t__1")

    assert "FAILED" == play.task("loop").status
    assert "no light " == play.task("loop").reason
    assert "FAILED" == play.status


def test_loops_in_loops() -> None:
    """Suffixes stand side by side; each inner loop starts at 1 again."""
    inner = step("inner", "DO_WHILE", loopOver=[step("s")], loopCondition="$.inner.iteration < 2")
    play = play_of(loop(inner, step("t")), step("z"))
    play.start({"n": 2})
    for ref in ("s__1__1", "s__1__2", "t__1", "s__2__1", "s__2__2", "t__2"):
        play.complete(ref, {"from": ref})

    assert ["loop", "inner__1", "s__1__1", "s__1__2", "t__1", "inner__2", "s__2__1", "s__2__2",
            "t__2", "z"] == [task.ref for task in play.snapshot.in_order()]  # fmt: skip
    output = play.output("loop")
    assert {"from": "s__2__1"} == output["2"]["inner"]["1"]["s"]
    assert {"from": "t__2"} == output["2"]["t"]
    assert "SCHEDULED" == play.task("z").status


def test_references_with_two_underscores_are_found() -> None:
    """A name of the author's that looks like a suffix is none."""
    play = play_of(loop(step("my__shot"), step("next__1")))
    play.start({"n": 1})
    play.complete("my__shot__1")
    play.complete("next__1__1")

    assert "COMPLETED" == play.status
    assert {"my__shot", "next__1"} == play.output("loop")["1"].keys()


def test_a_retry_goes_on_at_the_iteration_that_failed() -> None:
    """The loop's record is taken up again in place: it was cancelled, and has not failed."""
    play = play_of(loop(step("s"), step("t")))
    play.start({"n": 2})
    play.complete("s__1", {"v": 1})
    play.complete("t__1")
    play.complete("s__2")
    play.update("t__2", TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    assert "CANCELED" == play.task("loop").status
    play.retry()

    assert ("IN_PROGRESS", 0, 2) == (
        play.task("loop").status, play.task("loop").attempt, play.task("loop").laps,
    )  # fmt: skip
    assert b'{"iteration":2}' == play.task("loop").output
    play.complete("t__2")
    assert "COMPLETED" == play.status
    assert {"v": 1} == play.output("loop")["1"]["s"]


def test_a_loop_whose_condition_failed_can_be_retried() -> None:
    """The condition is asked again, with what the variables are now."""
    play = play_of(
        loop(step("s"), inputParameters={"k": "${workflow.variables.k}"}, loopCondition="$.k.on")
    )
    play.start()
    play.complete("s__1")
    assert "FAILED" == play.status
    play.snapshot.put_workflow(
        msgspec.structs.replace(play.workflow, variables=b'{"k":{"on":false}}')
    )
    play.retry()

    assert "COMPLETED" == play.status


def test_an_endless_loop_is_cut_into_pieces_and_can_be_terminated() -> None:
    """One decision does so much and no more; the next goes on; a terminate comes between."""
    play = play_of(loop(inline("s", "1"), loopCondition="true", inputParameters={"keepLastN": 2}))
    play.start()
    laps = play.task("loop").laps

    assert 100 < laps < 1_000
    assert "RUNNING" == play.status
    assert play.now_ms == play.workflow.due_ms
    play.timer()
    assert laps < play.task("loop").laps
    play.terminate("enough")
    assert "TERMINATED" == play.status


def test_in_a_fork_a_loop_begins_when_the_fork_is_open() -> None:
    """The records stand in Conductor's order: the branches, the JOIN, then what the loops run."""
    deep = step("deep", "DO_WHILE", loopOver=[step("t")], loopCondition="false")
    inner = fork("g", [deep], [step("u")])
    play = play_of(
        fork("f", [loop(step("s"))], [step("b")], [inner, join("k", "deep", "u")]),
        join("j", "loop", "b", "k"),
    )
    play.start({"n": 1})

    assert [
        "1 f 0 COMPLETED", "2 loop 0 IN_PROGRESS", "3 b 0 SCHEDULED", "4 g 0 COMPLETED",
        "5 deep 0 IN_PROGRESS", "6 u 0 SCHEDULED", "7 k 0 IN_PROGRESS", "8 j 0 IN_PROGRESS",
        "9 s__1 0 SCHEDULED", "10 t__1 0 SCHEDULED",
    ] == play.rows()  # fmt: skip
    for ref in ("s__1", "t__1", "b", "u"):
        play.complete(ref)
    assert "COMPLETED" == play.status
