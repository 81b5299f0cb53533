"""How a workflow moves: the flags, the successors, and the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.decider.draft import Draft, Visit
from edge.decider.flow import TOO_DEEP, run_agenda
from edge.model.decision import Start, UpdateVariables
from edge.model.executions import ORDINAL_BITS, Task, TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import (
    NOW_MS,
    Playbook,
    Step,
    fork,
    inline,
    join,
    sources,
    step,
    switch,
    terminate,
)

FLAGS = [
    pytest.param(False, False, id="plain"),
    pytest.param(True, False, id="optional"),
    pytest.param(False, True, id="permissive"),
    pytest.param(True, True, id="both"),
]
ENDS = [
    (TaskStatus.FAILED, WorkflowStatus.FAILED),
    (TaskStatus.TIMED_OUT, WorkflowStatus.TIMED_OUT),
    (TaskStatus.FAILED_WITH_TERMINAL_ERROR, WorkflowStatus.FAILED),
    (TaskStatus.CANCELED, WorkflowStatus.TERMINATED),
]


def flagged(optional: bool, permissive: bool, retries: int = 0) -> Step:
    """A task with flags."""
    rules = {"retryCount": retries, "retryDelaySeconds": 0}
    return step("a", optional=optional, permissive=permissive, settings=rules)


@pytest.mark.parametrize(("optional", "permissive"), FLAGS)
@pytest.mark.parametrize(("status", "workflow_status"), ENDS)
def test_flags_matrix(
    optional: bool, permissive: bool, status: TaskStatus, workflow_status: WorkflowStatus
) -> None:
    """What a failure without attempts left means for its record, its successor and the whole."""
    play = Playbook(flagged(optional, permissive), step("b"))
    play.start()

    play.update("a", status, reason="why")

    if optional:
        assert ["1 a 0 COMPLETED_WITH_ERRORS", "2 b 0 SCHEDULED"] == play.rows()
        play.complete("b")
        assert WorkflowStatus.COMPLETED == play.status
    elif permissive:
        assert [f"1 a 0 {status}", "2 b 0 SCHEDULED"] == play.rows()
        play.complete("b")
        assert WorkflowStatus.FAILED == play.status
        expected = f"Task {play.id('a')} failed with status: {status} and reason: 'why'"
        assert expected == play.workflow.reason
    else:
        assert [f"1 a 0 {status}"] == play.rows()
        assert workflow_status == play.status
        expected = f"Task {play.id('a')} failed with status: {workflow_status} and reason: 'why'"
        assert expected == play.workflow.reason
        assert 1 == play.workflow.failed_task


@pytest.mark.parametrize(("optional", "permissive"), FLAGS)
@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.TIMED_OUT])
def test_attempts_come_before_flags(optional: bool, permissive: bool, status: TaskStatus) -> None:
    """While attempts are left, a failure is retried whatever the flags say."""
    play = Playbook(flagged(optional, permissive, retries=1), step("b"))
    play.start()

    play.update("a", status)

    assert [f"1 a 0 {status}", "2 a 1 SCHEDULED"] == play.rows()


@pytest.mark.parametrize(("optional", "permissive"), FLAGS)
@pytest.mark.parametrize(
    ("status", "workflow_status"),
    [
        (TaskStatus.FAILED, WorkflowStatus.FAILED),
        (TaskStatus.TIMED_OUT, WorkflowStatus.TIMED_OUT),
    ],
)
def test_a_spent_total_budget_ends_everything(
    optional: bool, permissive: bool, status: TaskStatus, workflow_status: WorkflowStatus
) -> None:
    """When the time for all attempts is used up, neither attempts left nor a flag helps."""
    rules = {"retryCount": 3, "totalTimeoutSeconds": 10, "timeoutPolicy": "RETRY"}
    play = Playbook(step("a", optional=optional, permissive=permissive, settings=rules), step("b"))
    play.start()

    play.after(11).update("a", status)

    assert workflow_status == play.status
    assert (
        f"Task {play.id('a')}/a exceeded total timeout of 10 seconds (elapsed 11 seconds across "
        "all attempts). No further retries will be attempted." == play.workflow.reason
    )


def test_a_failure_without_a_reason_is_null_in_the_message() -> None:
    """The texts are Java's: no reason is ``null``."""
    plain, lenient = Playbook(step("a")), Playbook(step("a", permissive=True))
    for play in (plain, lenient):
        play.start()
        play.fail("a", None)
        assert str(play.workflow.reason).endswith("and reason: 'null'")


def test_several_permissive_failures_are_all_named() -> None:
    """The message of the end has a sentence for each."""
    play = Playbook(step("a", permissive=True), step("b", permissive=True))
    play.start()
    play.fail("a", "one")
    play.fail("b", "two")

    assert (
        f"Task {play.id('a')} failed with status: FAILED and reason: 'one'. "
        f"Task {play.id('b')} failed with status: FAILED and reason: 'two'" == play.workflow.reason
    )
    assert ["a", "b"] == play.workflow.failed_refs
    assert 0 == play.workflow.failed_task


def test_a_permissive_failure_that_was_retried_well_is_forgiven() -> None:
    """Only the newest attempt counts at the end; the failed name is kept all the same."""
    play = Playbook(step("a", permissive=True, settings={"retryCount": 1}))
    play.start()
    play.fail("a")
    play.complete("a")

    assert WorkflowStatus.COMPLETED == play.status
    assert play.workflow.reason is None
    assert ["a"] == play.workflow.failed_refs


def test_the_flow_climbs_out_of_cases_and_branches() -> None:
    """The last task of a nested list leads to what follows the step around it."""
    play = Playbook(
        switch("s1", {"x": [switch("s2", {"x": [step("a")]})]}),
        fork("f", [switch("s3", {"x": [step("b")]}), step("c")], [step("d")]),
        join("j", "c", "d"),
        step("z"),
    )
    play.start({"kind": "x"})
    for ref in ("a", "b", "d", "c", "z"):
        play.complete(ref)

    assert ["s1", "s2", "a", "f", "s3", "b", "d", "j", "c", "z"] == [
        row.split()[1] for row in play.rows()
    ]
    assert WorkflowStatus.COMPLETED == play.status


def test_a_failed_lenient_switch_is_passed_by() -> None:
    """When the script of an optional SWITCH fails, the flow goes on behind it."""
    play = Playbook(
        switch(
            "s", {"x": [step("a")]}, evaluatorType="javascript", expression="fail", optional=True
        ),
        step("z"),
    )

    play.start({"kind": "x"})

    assert ["1 s 0 COMPLETED_WITH_ERRORS", "2 z 0 SCHEDULED"] == play.rows()


# Output.


def test_output_parameters_make_the_output() -> None:
    """The output is what the definition says, seen from the end."""
    play = Playbook(step("a"), step("b"), outputParameters={"n": "${a.output.n}", "k": "v"})
    play.start()
    play.complete("a", {"n": 3})
    play.complete("b", {"n": 4})

    assert {"n": 3, "k": "v"} == play.result


def test_without_parameters_the_last_task_makes_the_output() -> None:
    """The last record's output, or the failing one's."""
    good, bad = (
        Playbook(step("a"), step("b")),
        Playbook(fork("f", [step("a")], [step("b")]), join("j", "a", "b")),
    )
    for play in (good, bad):
        play.start()
    good.complete("a", {"n": 1})
    good.complete("b", {"n": 2})
    bad.update("a", TaskStatus.FAILED, {"e": 1})

    assert {"n": 2} == good.result
    assert {"e": 1} == bad.result


def test_a_failure_also_has_an_output() -> None:
    """Output parameters are resolved on failure and termination alike."""
    failed = Playbook(step("a"), outputParameters={"s": "${a.status}"})
    ended = Playbook(step("a"), outputParameters={"s": "${a.status}"})
    failed.start()
    ended.start()

    failed.fail("a")
    ended.terminate()

    assert {"s": "FAILED"} == failed.result
    # The output is made before the open tasks are cancelled.
    assert {"s": "SCHEDULED"} == ended.result


def test_the_end_cancels_what_is_open() -> None:
    """No open record outlives its workflow, and no moment is waited for any more."""
    play = Playbook(
        fork("f", [step("a")], [step("w", "WAIT", inputParameters={"duration": "1 m"})]),
        join("j", "a", "w"),
        timeoutPolicy="TIME_OUT_WF",
        timeoutSeconds=99,
    )
    play.start()
    assert 0 < play.task("w").due_ms

    play.after(1).fail("a")

    assert {"f": "COMPLETED", "a": "FAILED", "w": "CANCELED", "j": "CANCELED"} == play.states()
    assert 0 == play.task("w").due_ms == play.workflow.due_ms
    assert play.now_ms == play.task("w").ended_ms == play.workflow.ended_ms


# Faults.


def test_a_decision_leaves_what_is_too_much_to_the_next() -> None:
    """The moment of the workflow is due at once, and the next decision goes on where it stopped."""
    play = Playbook(step("a", "NOOP"), step("b", "NOOP"))
    draft = Draft(play.snapshot, NOW_MS, sources())
    draft.add(Visit(draft.snapshot.pinned.definition.tasks[0]), TaskStatus.COMPLETED)

    run_agenda(draft, limit=1)
    play.snapshot = draft.snapshot

    assert NOW_MS == play.workflow.due_ms
    assert ["1 a 0 COMPLETED", "2 b 0 COMPLETED"] == play.rows()
    play.timer()
    assert WorkflowStatus.COMPLETED == play.status
    assert 0 == play.workflow.due_ms


def test_what_was_left_is_not_forgotten_by_another_command() -> None:
    """A command that comes before the next decision does not take what is done for the end."""
    play = Playbook(step("a", "NOOP"), step("b", "NOOP"), step("c"))
    draft = Draft(play.snapshot, NOW_MS, sources())
    draft.add(Visit(draft.snapshot.pinned.definition.tasks[0]), TaskStatus.COMPLETED)

    run_agenda(draft, limit=1)
    play.snapshot = draft.snapshot
    play.do(UpdateVariables(b"{}"))

    assert (WorkflowStatus.RUNNING, "SCHEDULED") == (play.status, play.task("c").status)


def test_an_execution_has_a_greatest_number_of_records() -> None:
    """Beyond the numbers that a key can hold, the workflow fails with a message."""
    play = Playbook(step("a"))
    full = 1 << ORDINAL_BITS
    play.snapshot.workflow = msgspec.structs.replace(play.workflow, next_ordinal=full)
    play.snapshot.next_ordinal = full

    play.do(Start())

    assert WorkflowStatus.FAILED == play.status
    assert "an execution cannot have more than 16777215 tasks" == play.workflow.reason
    assert {} == play.result
    assert {} == play.snapshot.tasks


def test_a_record_may_bring_its_own_step() -> None:
    """A record that the definition does not hold is followed by the step that it carries."""
    play = Playbook(step("a"))
    play.start()
    own = b'{"name":"x","taskReferenceName":"x","type":"SIMPLE","optional":true}'
    stray = Task(
        ordinal=2, seq=2, ref="x", kind="SIMPLE", type="x", name="x", status=TaskStatus.SCHEDULED
    )
    play.snapshot.put(msgspec.structs.replace(stray, step=own))

    play.fail("x")

    assert {"a": "SCHEDULED", "x": "COMPLETED_WITH_ERRORS"} == play.states()


def test_a_record_of_an_iteration_belongs_to_its_step() -> None:
    """The suffix of an iteration is no part of the step's reference."""
    play = Playbook(step("a", optional=True))
    looped = Task(
        ordinal=1, seq=1, ref="a__2", kind="SIMPLE", type="a", name="a", status=TaskStatus.SCHEDULED
    )
    play.snapshot.put(msgspec.structs.replace(looped, iteration=2, suffix="__2"))

    play.fail("a__2")

    assert {"a__2": "COMPLETED_WITH_ERRORS"} == play.states()


def test_a_successor_in_an_iteration_gets_its_suffix() -> None:
    """What follows inside an iteration belongs to the same iteration."""
    play = Playbook(step("a"), step("b"))
    looped = Task(
        ordinal=1, seq=1, ref="a__2", kind="SIMPLE", type="a", name="a", status=TaskStatus.SCHEDULED
    )
    play.snapshot.put(msgspec.structs.replace(looped, iteration=2, suffix="__2"))

    play.complete("a__2")

    assert ["1 a__2 0 COMPLETED", "2 b__2 0 SCHEDULED"] == play.rows()
    assert 2 == play.task("b__2").iteration


# Side by side in one decision.


def test_retries_of_tasks_that_run_at_once_come_before_the_join() -> None:
    """A task that fails while its fork is scheduled is retried before the JOIN looks at it."""
    play = Playbook(
        fork("f", [inline("a", "slow", settings={"retryCount": 1}, optional=True)], [step("b")]),
        join("j", "a"),
        step("z"),
    )

    play.start()

    assert [
        "1 f 0 COMPLETED",
        "2 a 0 FAILED",
        "3 b 0 SCHEDULED",
        "4 j 0 COMPLETED_WITH_ERRORS",
        "5 a 1 COMPLETED_WITH_ERRORS",
        "6 z 0 SCHEDULED",
    ] == play.rows()


def test_terminate_beside_other_branches_of_the_same_decision() -> None:
    """A TERMINATE that is the first of a branch ends the workflow when the fork is scheduled."""
    play = Playbook(fork("f", [terminate("t", "FAILED")], [step("b")]), join("j", "t", "b"))

    play.start()

    assert WorkflowStatus.FAILED == play.status
    assert {"f": "COMPLETED", "t": "COMPLETED", "b": "CANCELED", "j": "CANCELED"} == play.states()


def deepest(most: int = 100_000) -> int:
    """Lists inside each other that JSON can be read back from at the depth of a test."""
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        try:
            msgspec.json.decode(b"[" * middle + b"]" * middle)
            low = middle
        except RecursionError:
            high = middle
    return low


def too_deep(**fields: Any) -> Playbook:
    """An execution whose output would be deeper than anything that it was given."""
    depth = deepest() - 70
    output: Any = "${workflow.input.deep}"
    for _ in range(90):
        output = [output]
    play = Playbook(*fields.pop("steps", [step("a")]), outputParameters={"out": output}, **fields)
    document = b"[" * depth + b"]" * depth
    play.snapshot.workflow = msgspec.structs.replace(
        play.workflow, input=b'{"deep":' + document + b"}"
    )
    play.do(Start())
    return play


def test_an_output_that_is_too_deep_keeps_no_execution_from_its_end() -> None:
    """It has none then, and one that would have completed fails."""
    ended = too_deep()
    ended.terminate("enough")
    completed = too_deep()
    completed.complete("a")

    assert ("TERMINATED", "enough", b"{}") == (
        ended.status, ended.workflow.reason, ended.workflow.output,
    )  # fmt: skip
    assert ("FAILED", TOO_DEEP, b"{}") == (
        completed.status, completed.workflow.reason, completed.workflow.output,
    )  # fmt: skip


def test_an_input_that_is_too_deep_fails_the_workflow() -> None:
    """Whoever finished the task before it is not refused."""
    deep: Any = "${workflow.input.deep}"
    for _ in range(90):
        deep = [deep]
    play = too_deep(steps=[step("a"), step("b", inputParameters={"in": deep})])
    play.complete("a")

    assert ("FAILED", TOO_DEEP) == (play.status, play.workflow.reason)
    assert "COMPLETED" == play.task("a").status


def test_loops_that_gather_what_is_too_deep_can_be_cancelled() -> None:
    """Their records then say where they were."""
    body = step("s")
    for number in range(25):
        body = step(f"loop{number}", "DO_WHILE", loopOver=[body], loopCondition="$.more",
                    inputParameters={"more": True})  # fmt: skip
    play = Playbook(body)
    play.start()
    done = play.complete("s" + "__1" * 25, {"x": 1}).tasks[0]
    # Alone it can be read; inside the iterations of so many loops it cannot.
    depth = deepest() - 70
    deep = b'{"x":' + b"[" * depth + b"]" * depth + b"}"
    play.snapshot.put(msgspec.structs.replace(play.snapshot.tasks[done.ordinal], output=deep))
    play.terminate("enough")

    assert "TERMINATED" == play.status
    assert {"iteration": 1} == play.output("loop24")
