"""``decide``: the rules that break naive re-implementations, and the reference traces."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from edge.decider.decide import decide
from edge.model.decision import Command, Lease, Start, UpdateTask
from edge.model.executions import Task, TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import (
    NOW_MS,
    Playbook,
    fork,
    inline,
    join,
    sources,
    step,
    switch,
    terminate,
)

DONE = TaskStatus.COMPLETED


def test_rule_01_a_retry_is_a_new_record() -> None:
    """A retry gets a new id, retryCount + 1, its predecessor's number and a new seq."""
    play = Playbook(step("a", settings={"retryCount": 2}), step("b"))
    play.start()
    first = play.task("a")

    play.after(5).fail("a", "lens cap on")

    old, new = play.snapshot.tasks[first.ordinal], play.task("a")
    assert ["1 a 0 FAILED", "2 a 1 SCHEDULED"] == play.rows()
    assert first.ordinal == new.retried_from
    assert first.ordinal != new.ordinal
    assert old.retried
    assert not new.retried
    assert NOW_MS == first.scheduled_ms == new.first_scheduled_ms
    assert NOW_MS + 5_000 == new.scheduled_ms
    assert "lens cap on" == new.reason


def test_rule_02_response_timeout_ignores_the_policy() -> None:
    """Silence is TIMED_OUT and then retried, even where a timeout would end the workflow."""
    settings = {"retryCount": 1, "timeoutPolicy": "TIME_OUT_WF", "responseTimeoutSeconds": 5}
    play = Playbook(step("a", settings=settings))
    play.start()
    first = play.id("a")

    play.after(5).silent("a", Lease("w", NOW_MS, 1))

    assert ["1 a 0 TIMED_OUT", "2 a 1 SCHEDULED"] == play.rows()
    assert WorkflowStatus.RUNNING == play.status
    assert (
        f"responseTimeout: 5 exceeded for the taskId: {first} with Task Definition: a"
        == play.task("a").reason
    )


@pytest.mark.parametrize(
    ("logic", "delays_s"),
    [
        ("FIXED", [5, 5, 5]),
        ("LINEAR_BACKOFF", [10, 20, 30]),
        ("EXPONENTIAL_BACKOFF", [5, 10, 12]),
    ],
)
def test_rule_03_back_off_and_its_cap(logic: str, delays_s: list[int]) -> None:
    """Only LINEAR_BACKOFF scales; the cap comes after; the attempt is not handed out before."""
    cap = 12 if logic == "EXPONENTIAL_BACKOFF" else 0
    play = Playbook(
        step(
            "a",
            settings={
                "retryCount": 3,
                "retryLogic": logic,
                "retryDelaySeconds": 5,
                "backoffScaleFactor": 2,
                "maxRetryDelaySeconds": cap,
            },
        )
    )
    play.start()

    seen: list[int] = []
    for _ in range(3):
        play.fail("a")
        task = play.task("a")
        seen.append(task.start_delay_s)
        assert play.now_ms + task.start_delay_s * 1000 == task.deliver_ms
        assert task.callback_after_s == task.start_delay_s

    assert delays_s == seen


def test_rule_03_jitter_may_exceed_the_cap() -> None:
    """Jitter comes on top of the capped delay, in milliseconds, also of a delay of zero."""
    settings = {"retryCount": 9, "retryDelaySeconds": 0, "backoffJitterMs": 900}
    play = Playbook(step("a", settings=settings))
    play.start()

    waits: list[int] = []
    for _ in range(9):
        play.fail("a")
        waits.append(max(0, play.task("a").deliver_ms - play.now_ms))

    assert all(0 <= wait <= 900 for wait in waits)
    assert 1 < len(set(waits))
    assert 0 == play.task("a").start_delay_s


def test_rule_04_optional_counts_after_the_retries() -> None:
    """An optional task is retried first and becomes COMPLETED_WITH_ERRORS only then."""
    settings = {"retryCount": 1, "retryDelaySeconds": 0}
    play = Playbook(step("a", optional=True, settings=settings), step("b"))
    play.start()

    play.fail("a")
    assert ["1 a 0 FAILED", "2 a 1 SCHEDULED"] == play.rows()

    play.fail("a")
    assert ["1 a 0 FAILED", "2 a 1 COMPLETED_WITH_ERRORS", "3 b 0 SCHEDULED"] == play.rows()


def test_rule_04_permissive_fails_at_the_end() -> None:
    """A permissive task stays FAILED, the flow goes on, and the workflow fails when all is done."""
    play = Playbook(step("a", permissive=True), step("b"))
    play.start()

    play.fail("a", "no light")
    assert ["1 a 0 FAILED", "2 b 0 SCHEDULED"] == play.rows()
    assert WorkflowStatus.RUNNING == play.status

    play.complete("b")
    assert WorkflowStatus.FAILED == play.status
    expected = f"Task {play.id('a')} failed with status: FAILED and reason: 'no light'"
    assert expected == play.workflow.reason
    assert ["a"] == play.workflow.failed_refs == play.workflow.failed_names


def test_rule_05_default_case_only_for_an_absent_key() -> None:
    """A case without tasks is a case: the default is not taken for it."""
    steps = (switch("sw", {"none": []}, defaultCase=[step("d")]), step("z"))
    empty, absent = Playbook(*steps), Playbook(*steps)

    empty.start({"kind": "none"})
    absent.start({"kind": "other"})

    assert ["1 sw 0 COMPLETED", "2 z 0 SCHEDULED"] == empty.rows()
    assert ["1 sw 0 COMPLETED", "2 d 0 SCHEDULED"] == absent.rows()


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.5, "3.5"),
        ([1, 2], "[1, 2]"),
        ({"k": "v"}, "{k=v}"),
        ("Cam ", "Cam "),
    ],
)
def test_rule_06_switch_compares_java_text(value: Any, key: str) -> None:
    """The key is the value's text in Java's form; nothing is trimmed or folded."""
    play = Playbook(switch("sw", {key: [step("hit")]}, defaultCase=[step("miss")]))

    play.start({"kind": value})

    assert "hit" in play.states()
    assert {"evaluationResult": [key], "selectedCase": key} == play.output("sw")


def test_rule_07_switch_expression_is_not_substituted() -> None:
    """The expression of a SWITCH is taken as it stands; its parameters are resolved."""
    play = Playbook(
        switch(
            "sw",
            {"cam": [step("hit")]},
            expression="${workflow.input.kind}",
            inputParameters={"${workflow.input.kind}": "${workflow.input.kind}"},
        )
    )

    play.start({"kind": "cam"})

    assert ["1 sw 0 COMPLETED", "2 hit 0 SCHEDULED"] == play.rows()


def test_rule_08_expressions_are_resolved_once_at_scheduling() -> None:
    """An input is fixed when its task is scheduled, and a result is not resolved again."""
    play = Playbook(
        step("a", inputParameters={"x": "${workflow.variables.v}", "y": "${workflow.input.t}"}),
        step("set", "SET_VARIABLE", inputParameters={"v": 2}),
        step("b", inputParameters={"x": "${workflow.variables.v}"}),
    )
    play.start({"t": "${workflow.input.t}"})
    assert {"x": None, "y": "${workflow.input.t}"} == play.input("a")

    play.complete("a")
    assert {"x": None, "y": "${workflow.input.t}"} == play.input("a")
    assert {"x": 2} == play.input("b")


def test_rule_09_a_missing_path_is_null_or_its_text() -> None:
    """Missing is null as a whole value, ``null`` inside text; objects take Java's form."""
    parameters = {
        "whole": "${workflow.input.none}",
        "inside": "<${workflow.input.none}>",
        "object": "o=${workflow.input.o}",
    }
    play = Playbook(step("a", inputParameters=parameters))

    play.start({"o": {"k": {"z": 3.5}}})

    assert {"whole": None, "inside": "<null>", "object": "o={k={z=3.5}}"} == play.input("a")


def test_rule_10_template_literals_become_null_unless_escaped() -> None:
    """``${}`` in a script is an expression of the engine; ``$${}`` leaves it to the script."""
    play = Playbook(
        inline("lost", "`${name}`", optional=True), inline("kept", "`$${name}`", optional=True)
    )

    play.start()

    assert "`null`" == play.input("lost")["expression"]
    assert "`${name}`" == play.input("kept")["expression"]


def test_rule_14_the_definition_is_the_one_of_the_start() -> None:
    """The settings that count are those in the pinned definition, also in a restart."""
    play = Playbook(step("a", settings={"retryCount": 1}))
    play.start()
    play.fail("a")
    play.fail("a")

    play.restart()
    play.fail("a")

    assert ["1 a 0 FAILED", "2 a 1 SCHEDULED"] == play.rows()


def test_rule_16_updates_of_the_finished_are_ignored() -> None:
    """A finished task, and any task of a finished workflow, stays as it is."""
    play = Playbook(step("a"), step("b"))
    play.start()
    play.complete("a", {"n": 1})

    late = play.fail("a", "late")
    assert late.empty
    assert {"n": 1} == play.output("a")

    play.terminate("enough")
    assert play.complete("b").empty
    assert TaskStatus.CANCELED == play.task("b").status


def test_rule_17_in_progress_puts_the_task_back() -> None:
    """A worker's IN_PROGRESS makes the task SCHEDULED again, invisible for the callback time."""
    play = Playbook(step("a"))
    play.start()

    play.after(3).update("a", TaskStatus.IN_PROGRESS, {"done": 40}, callback_after_s=30)

    task = play.task("a")
    assert TaskStatus.SCHEDULED == task.status
    assert play.now_ms + 30_000 == task.deliver_ms
    assert 30 == task.callback_after_s
    assert {"done": 40} == play.output("a")
    assert ["1 a 0 SCHEDULED"] == play.rows()

    play.update("a", TaskStatus.IN_PROGRESS)
    assert 0 == play.task("a").deliver_ms


def test_rule_18_output_replaces_or_merges() -> None:
    """An update's output replaces the stored one; by reference it is laid over it."""
    play = Playbook(step("a"), step("b"))
    play.start()
    play.update("a", TaskStatus.IN_PROGRESS, {"x": 1, "y": 1})
    play.update("a", TaskStatus.IN_PROGRESS, {"y": 2})
    assert {"y": 2} == play.output("a")

    play.complete("a", {"z": 3}, merge=True)
    assert {"y": 2, "z": 3} == play.output("a")


def test_rule_20_a_pause_stops_only_what_comes_next() -> None:
    """Queued tasks stay queued and their results are kept; successors wait for the resume."""
    play = Playbook(step("a"), step("b"))
    play.start()
    play.pause()
    assert TaskStatus.SCHEDULED == play.task("a").status

    play.complete("a", {"n": 1})
    assert ["1 a 0 COMPLETED"] == play.rows()
    assert {"n": 1} == play.output("a")
    assert WorkflowStatus.PAUSED == play.status

    play.resume()
    assert ["1 a 0 COMPLETED", "2 b 0 SCHEDULED"] == play.rows()


# Reference traces.


def test_trace_a_a_task_fails_twice() -> None:
    """A: the second failure ends the workflow and is named by it."""
    play = Playbook(step("a", settings={"retryCount": 1}))
    play.start()

    play.fail("a")
    play.fail("a", "still broken")

    assert ["1 a 0 FAILED", "2 a 1 FAILED"] == play.rows()
    assert play.snapshot.tasks[1].retried
    assert WorkflowStatus.FAILED == play.status
    assert 2 == play.workflow.failed_task
    assert ["a"] == play.workflow.failed_refs
    expected = f"Task {play.id('a')} failed with status: FAILED and reason: 'still broken'"
    assert expected == play.workflow.reason


def test_trace_b_an_optional_task_fails() -> None:
    """B: the flow goes on."""
    play = Playbook(step("a", optional=True), step("b"))
    play.start()

    play.fail("a")

    assert ["1 a 0 COMPLETED_WITH_ERRORS", "2 b 0 SCHEDULED"] == play.rows()


def test_trace_c_a_switch() -> None:
    """C: into the case and out of it; straight on when no case matches."""
    steps = (switch("sw", {"cam": [step("x")]}), step("y"))
    hit, miss = Playbook(*steps), Playbook(*steps)

    hit.start({"kind": "cam"})
    assert ["1 sw 0 COMPLETED", "2 x 0 SCHEDULED"] == hit.rows()
    hit.complete("x")
    assert ["1 sw 0 COMPLETED", "2 x 0 COMPLETED", "3 y 0 SCHEDULED"] == hit.rows()

    miss.start({"kind": "?"})
    assert ["1 sw 0 COMPLETED", "2 y 0 SCHEDULED"] == miss.rows()


def test_trace_d_a_fork() -> None:
    """D: the fork, the first of each branch, the JOIN; then the branches on their own."""
    play = Playbook(
        fork("f", [step("a1"), step("a2")], [step("b1")]), join("j", "a2", "b1"), step("z")
    )
    play.start()
    assert [
        "1 f 0 COMPLETED",
        "2 a1 0 SCHEDULED",
        "3 b1 0 SCHEDULED",
        "4 j 0 IN_PROGRESS",
    ] == play.rows()

    play.complete("a1")
    assert "5 a2 0 SCHEDULED" == play.rows()[-1]
    play.complete("a2", {"a": 1})
    assert TaskStatus.IN_PROGRESS == play.task("j").status
    play.complete("b1", {"b": 2})

    assert {"a2": {"a": 1}, "b1": {"b": 2}} == play.output("j")
    assert ["6 z 0 SCHEDULED"] == play.rows()[5:]


def test_trace_i_a_wait_during_a_pause() -> None:
    """I: the wait ends although the workflow is paused; its successor comes with the resume."""
    play = Playbook(step("w", "WAIT", inputParameters={"duration": "10 s"}), step("b"))
    play.start()
    play.after(2).pause()

    play.after(8).timer("w")
    assert ["1 w 0 COMPLETED"] == play.rows()

    play.after(20).resume()
    assert ["1 w 0 COMPLETED", "2 b 0 SCHEDULED"] == play.rows()


def test_trace_j_terminate_inside_a_branch() -> None:
    """J: the other branch and the JOIN are cancelled, the output is the task's."""
    play = Playbook(
        fork(
            "f",
            [step("a"), terminate("t", "COMPLETED", workflowOutput={"n": "${a.output.n}"})],
            [step("b")],
        ),
        join("j", "t", "b"),
    )
    play.start()

    play.complete("a", {"n": 5})

    assert {
        "f": "COMPLETED",
        "a": "COMPLETED",
        "b": "CANCELED",
        "j": "CANCELED",
        "t": "COMPLETED",
    } == play.states()
    assert WorkflowStatus.COMPLETED == play.status
    assert {"n": 5} == play.result


# The function itself.


def test_same_commands_same_bytes() -> None:
    """The same commands at the same times give the same decisions, byte by byte."""

    def played() -> list[bytes]:
        settings = {"retryCount": 2, "backoffJitterMs": 500}
        play = Playbook(
            fork("f", [step("a", settings=settings)], [step("b")]),
            join("j", "a", "b"),
            step("e", "EVENT", sink="mqtt:x/y"),
        )
        play.start({"n": 1})
        play.fail("a")
        play.complete("b")
        play.after(9).complete("a")
        return [msgspec.msgpack.encode(decision) for decision in play.decisions]

    assert played() == played()


def test_an_unknown_command_is_a_fault() -> None:
    """What is no command is a bug of the caller and not decided on."""
    play = Playbook(step("a"))

    with pytest.raises(AssertionError):
        decide(play.snapshot, cast(Command, object()), NOW_MS, sources())


def test_a_definition_that_cannot_be_followed_fails_the_workflow() -> None:
    """A record whose step is unknown ends the workflow with a message that names it."""
    play = Playbook(step("a"))
    stray = Task(ordinal=1, seq=1, ref="b", kind="SIMPLE", type="b", name="b", status=DONE)
    play.snapshot.put(msgspec.structs.replace(stray, status=TaskStatus.SCHEDULED))

    play.do(UpdateTask(1, DONE))

    assert WorkflowStatus.FAILED == play.status
    assert "the definition has no task with the reference b" == play.workflow.reason


# Cost.


class CountingRecords(dict[int, Task]):
    """Records that count how often they are looked at."""

    looks = 0

    def __getitem__(self, key: int) -> Task:
        self.looks += 1
        return super().__getitem__(key)

    def get(self, key: int, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)

    def values(self) -> Any:
        self.looks += len(self)
        return super().values()

    def items(self) -> Any:
        self.looks += len(self)
        return super().items()

    def __iter__(self) -> Any:
        self.looks += len(self)
        return super().__iter__()


@pytest.mark.parametrize("branches", [100, 10_000])
def test_a_decision_on_a_wide_fork_looks_at_few_records(branches: int) -> None:
    """One branch's answer costs the same whether there are a hundred branches or ten thousand."""
    refs = [f"t{number}" for number in range(branches)]
    play = Playbook(
        fork("f", *([step(ref), step(f"{ref}b")] for ref in refs)), join("j", *refs), step("z")
    )
    decide(play.snapshot, Start(), NOW_MS, sources())
    records = CountingRecords(play.snapshot.tasks)
    play.snapshot.tasks = records

    decision = decide(play.snapshot, UpdateTask(50, DONE), NOW_MS, sources())

    assert 2 == len(decision.tasks)
    assert 30 > records.looks
