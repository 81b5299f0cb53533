"""What is done to a whole workflow: pause, resume, terminate, retry, restart."""

from __future__ import annotations

import msgspec
import pytest

from edge.model.decision import Admit, Skip
from edge.model.errors import BatonError, Conflict, IllegalState, NotFound
from edge.model.executions import TaskStatus, WorkflowStatus, workflow_uuid
from tests.unit.edge.playbook import (
    NOW_MS,
    WORKFLOW_ID,
    Playbook,
    fork,
    inline,
    join,
    step,
    switch,
    terminate,
)

ID = workflow_uuid(WORKFLOW_ID)
LIMITED = {"timeoutPolicy": "TIME_OUT_WF", "timeoutSeconds": 60}


def started(*steps: dict[str, object], **fields: object) -> Playbook:
    """A playbook that has been started."""
    play = Playbook(*steps, **fields)
    play.start()
    return play


def ended() -> Playbook:
    """A workflow that has completed."""
    play = started(step("a"))
    play.complete("a")
    return play


# Start.


def test_start_sets_the_clock_of_the_workflow() -> None:
    """Only TIME_OUT_WF with a limit gives the workflow a deadline."""
    assert NOW_MS + 60_000 == started(step("a"), **LIMITED).workflow.due_ms
    assert 0 == started(step("a"), timeoutSeconds=60).workflow.due_ms
    assert 0 == started(step("a"), timeoutPolicy="TIME_OUT_WF").workflow.due_ms


# Pause and resume.


def test_pausing_twice_is_once() -> None:
    """A paused workflow is paused already."""
    play = started(step("a"))
    assert not play.pause().empty

    assert play.pause().empty
    assert WorkflowStatus.PAUSED == play.status


def test_the_ended_cannot_be_paused() -> None:
    """The answer is a conflict with Conductor's words."""
    with pytest.raises(Conflict, match=f"Workflow {ID} has ended, status cannot be updated."):
        ended().pause()


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_only_the_paused_can_be_resumed(status: str) -> None:
    """The answer is an illegal state that names the status."""
    play = started(step("a")) if status == "RUNNING" else ended()
    expected = f"The workflow {ID} is not PAUSED so cannot resume. Current status is {status}"

    with pytest.raises(IllegalState, match=expected):
        play.resume()


def test_resume_starts_the_clock_again() -> None:
    """The time of the pause does not count against the workflow's limit."""
    play = started(step("a"), **LIMITED)
    play.after(50).pause()

    play.after(50).resume()

    assert play.now_ms == play.workflow.last_retried_ms
    assert play.now_ms + 60_000 == play.workflow.due_ms


def test_resume_draws_every_consequence_in_order() -> None:
    """A failure and a success of the pause: the failure is retried, the JOIN waits for it."""
    play = started(
        fork("f", [step("a")], [step("b", settings={"retryCount": 1})]), join("j", "a", "b")
    )
    play.pause()
    play.complete("a", {"n": 1})
    play.fail("b")
    assert TaskStatus.IN_PROGRESS == play.task("j").status

    play.resume()

    assert {"f": "COMPLETED", "a": "COMPLETED", "b": "SCHEDULED", "j": "IN_PROGRESS"} == (
        play.states()
    )
    play.complete("b")
    assert WorkflowStatus.COMPLETED == play.status


def test_resume_completes_what_finished_during_the_pause() -> None:
    """When the last task ends during a pause, the workflow ends with the resume."""
    play = started(step("a"))
    play.pause()
    play.complete("a", {"n": 1})
    assert WorkflowStatus.PAUSED == play.status

    play.resume()

    assert WorkflowStatus.COMPLETED == play.status
    assert {"n": 1} == play.result


# Terminate.


@pytest.mark.parametrize("paused", [False, True])
def test_terminate_cancels_what_is_open(paused: bool) -> None:
    """A running or paused workflow becomes TERMINATED with the caller's reason."""
    play = started(step("a"), step("b"))
    if paused:
        play.pause()

    play.terminate("not today")

    assert WorkflowStatus.TERMINATED == play.status
    assert "not today" == play.workflow.reason
    assert {"a": "CANCELED"} == play.states()
    assert 0 == play.workflow.failed_task


def test_terminating_twice_is_once() -> None:
    """A terminated workflow stays as it is, its reason too."""
    play = started(step("a"))
    play.terminate("first")

    assert play.terminate("second").empty
    assert "first" == play.workflow.reason


def test_the_failed_can_be_terminated() -> None:
    """FAILED becomes TERMINATED; COMPLETED does not."""
    play = started(step("a"))
    play.fail("a")

    play.terminate("give up")

    assert WorkflowStatus.TERMINATED == play.status
    with pytest.raises(Conflict, match="Cannot terminate a COMPLETED workflow."):
        ended().terminate()


# Restart.


def test_restart_begins_again_under_the_same_id() -> None:
    """Records go, input and variables stay, numbers of records are not used again."""
    play = Playbook(
        step("set", "SET_VARIABLE", inputParameters={"n": "${workflow.input.n}"}),
        step("a"),
        **LIMITED,
    )
    play.start({"n": 5})
    play.after(10).fail("a", "broken")
    play.retry()
    play.fail("a")

    dropped = play.after(10).restart().dropped

    assert (1, 2, 3) == dropped
    assert ["1 set 0 COMPLETED", "2 a 0 SCHEDULED"] == play.rows()
    assert [4, 5] == sorted(play.snapshot.tasks)
    assert WorkflowStatus.RUNNING == play.status
    assert {"n": 5} == play.variables
    workflow = play.workflow
    assert play.now_ms == workflow.created_ms
    assert 0 == workflow.ended_ms == workflow.failed_task == workflow.last_retried_ms
    assert workflow.reason is None
    assert [] == workflow.failed_refs == workflow.failed_names
    assert b"{}" == workflow.output
    assert play.now_ms + 60_000 == workflow.due_ms


def test_numbers_survive_a_restart_that_leaves_no_records() -> None:
    """The next number is kept with the workflow, not only with its records."""
    play = started(step("a"))
    play.terminate()
    play.restart()
    play.terminate()
    play.restart()

    assert [3] == list(play.snapshot.tasks)
    assert 3 == play.workflow.next_ordinal


def test_only_the_ended_can_be_restarted() -> None:
    """A running workflow, and a completed one that says so, cannot."""
    with pytest.raises(Conflict, match=f"Workflow: {ID} is not in terminal state"):
        started(step("a")).restart()

    play = started(step("a"), restartable=False)
    play.complete("a")
    with pytest.raises(NotFound, match=f"Workflow: {ID} is non-restartable"):
        play.restart()


def test_a_failed_workflow_restarts_even_if_it_is_not_restartable() -> None:
    """The field speaks of completed executions only."""
    play = started(step("a"), restartable=False)
    play.fail("a")

    play.restart()

    assert ["1 a 0 SCHEDULED"] == play.rows()


# Retry.


def test_retry_gives_failed_tasks_another_attempt() -> None:
    """A new record without delay; the workflow forgets why it had failed."""
    play = started(
        step("a", settings={"retryDelaySeconds": 60, "backoffJitterMs": 999}),
        **LIMITED,
    )
    for _ in range(4):
        play.fail("a", "dark")
    assert WorkflowStatus.FAILED == play.status

    play.after(100).retry()

    task = play.task("a")
    assert "5 a 4 SCHEDULED" == play.rows()[-1]
    assert 0 == task.deliver_ms == task.start_delay_s
    assert WorkflowStatus.RUNNING == play.status
    assert play.workflow.reason is None
    assert 0 == play.workflow.ended_ms == play.workflow.failed_task
    assert [] == play.workflow.failed_refs == play.workflow.failed_names
    assert play.now_ms == play.workflow.last_retried_ms
    assert play.now_ms + 60_000 == play.workflow.due_ms

    play.fail("a")
    assert WorkflowStatus.FAILED == play.status


def test_retry_resolves_inputs_again_over_the_old_ones() -> None:
    """A new attempt sees today's values; what is no parameter any more stays."""
    play = started(
        step("set", "SET_VARIABLE", inputParameters={"n": 1}),
        step("a", inputParameters={"n": "${workflow.variables.n}", "s": "${a.status}"}),
    )
    assert {"n": 1, "s": None} == play.input("a")
    play.fail("a")

    play.retry()

    assert {"n": 1, "s": "FAILED"} == play.input("a")


def test_retry_takes_the_oldest_first() -> None:
    """New attempts come in the order of the records that they replace."""
    play = started(
        fork("f", [step("a", settings={"retryCount": 1})], [step("b")]), join("j", "a", "b")
    )
    play.fail("a")
    play.fail("b")

    play.retry()

    assert ["6 b 1 SCHEDULED", "7 a 2 SCHEDULED"] == play.rows()[-2:]


def test_retry_of_the_running_or_the_completed_is_refused() -> None:
    """The texts and statuses are Conductor's."""
    with pytest.raises(NotFound, match="Workflow is still running.  status=RUNNING"):
        started(step("a")).retry()
    with pytest.raises(Conflict, match="There are no retryable tasks! Use restart if you want to"):
        ended().retry()


def test_retry_of_what_never_started_is_refused() -> None:
    """A failed workflow without tasks has nothing to retry."""
    play = Playbook(step("a"))
    play.terminate()

    with pytest.raises(Conflict, match="Workflow has not started yet"):
        play.retry()


def test_retry_reopens_the_join_in_place() -> None:
    """A cancelled JOIN waits again in its old record, for the attempts that are under way."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"), step("z"))
    play.complete("b", {"b": 1})
    play.fail("a")
    assert TaskStatus.CANCELED == play.task("j").status

    play.retry()
    assert [
        "1 f 0 COMPLETED",
        "2 a 0 FAILED",
        "3 b 0 COMPLETED",
        "4 j 0 IN_PROGRESS",
        "5 a 1 SCHEDULED",
    ] == play.rows()

    play.complete("a", {"a": 2})
    assert {"a": {"a": 2}, "b": {"b": 1}} == play.output("j")
    assert "6 z 0 SCHEDULED" == play.rows()[-1]


@pytest.mark.parametrize(
    "status",
    [TaskStatus.TIMED_OUT, TaskStatus.FAILED_WITH_TERMINAL_ERROR, TaskStatus.FAILED],
)
def test_retry_reopens_a_join_however_it_ended(status: TaskStatus) -> None:
    """A JOIN that timed out, or was failed by hand, waits again like any other."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"))
    play.update("j", status)
    assert WorkflowStatus.RUNNING != play.status

    play.retry()

    assert {"f": "COMPLETED", "a": "SCHEDULED", "b": "SCHEDULED", "j": "IN_PROGRESS"} == (
        play.states()
    )
    assert (0, 1) == (play.task("j").ended_ms, play.task("j").attempt)
    assert play.task("j").reason is None


def test_a_reopened_join_has_its_time_again() -> None:
    """The limit of a JOIN runs from the moment at which it was opened again."""
    rules = {"timeoutSeconds": 30, "timeoutPolicy": "RETRY"}
    play = started(fork("f", [step("a")]), join("j", "a", settings=rules))
    play.after(30).timer("j")
    assert WorkflowStatus.TIMED_OUT == play.status

    play.after(100).retry()

    assert play.now_ms + 30_000 == play.task("j").due_ms


def test_retry_of_a_permissive_failure_reopens_its_join() -> None:
    """Tasks that a permissive failure let through are not run a second time."""
    play = started(
        fork("f", [step("a", permissive=True), step("c")], [step("b")]), join("j", "a", "b", "c")
    )
    play.fail("a", "fog")
    play.complete("c")
    play.complete("b")
    assert TaskStatus.FAILED == play.task("j").status
    assert WorkflowStatus.FAILED == play.status

    play.retry()
    assert {
        "f": "COMPLETED",
        "a": "SCHEDULED",
        "b": "COMPLETED",
        "c": "COMPLETED",
        "j": "IN_PROGRESS",
    } == play.states()

    play.complete("a")
    assert WorkflowStatus.COMPLETED == play.status
    assert 6 == len(play.rows())


def test_retry_follows_what_had_finished_before_the_end() -> None:
    """A result of a pause that ended in a termination is followed after the retry."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"), step("z"))
    play.pause()
    play.complete("a")
    play.terminate()

    play.retry()
    play.complete("b")

    assert TaskStatus.SCHEDULED == play.task("z").status


def test_retry_completes_a_join_that_waits_for_nobody() -> None:
    """A JOIN that was cancelled although its members had finished ends with the retry."""
    play = started(
        fork("f", [step("a"), switch("sw", {"x": []}, evaluatorType="nobody")], [step("b")]),
        join("j", "a"),
    )
    play.complete("a")
    assert {"a": "COMPLETED", "b": "CANCELED", "f": "COMPLETED", "sw": "FAILED"} == {
        ref: state for ref, state in play.states().items() if ref != "j"
    }

    play.retry()

    assert TaskStatus.COMPLETED == play.task("j").status
    assert WorkflowStatus.FAILED == play.status


def test_retry_ends_a_reopened_join_whose_members_are_done() -> None:
    """A JOIN that was failed by hand, and let through, completes when its members have."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", permissive=True), step("z"))
    play.fail("j", "by hand")
    for ref in ("a", "z", "b"):
        play.complete(ref)
    assert WorkflowStatus.FAILED == play.status

    # Something else has to have failed as well, for a JOIN alone is nothing to retry.
    with pytest.raises(Conflict, match="There are no retryable tasks!"):
        play.retry()

    both = started(
        fork("f", [step("a")], [step("b", permissive=True)]), join("j", "a", permissive=True)
    )
    both.fail("j", "by hand")
    both.complete("a")
    both.fail("b")
    both.retry()
    assert TaskStatus.COMPLETED == both.task("j").status

    both.complete("b")
    assert WorkflowStatus.COMPLETED == both.status


def test_a_timed_out_workflow_without_failed_tasks_goes_on() -> None:
    """A workflow that ran out of time between two tasks is retried with its successor."""
    play = started(step("a"), step("b"), **LIMITED)
    play.pause()
    play.complete("a")
    play.after(60).timer()
    assert WorkflowStatus.TIMED_OUT == play.status

    play.retry()

    assert {"a": "COMPLETED", "b": "SCHEDULED"} == play.states()


def test_what_terminate_ended_it_ends_again() -> None:
    """A retry never goes on behind a TERMINATE: that task decides again."""
    play = started(fork("f", [terminate("t", "FAILED"), step("x")], [step("b")]), join("j", "x"))
    assert WorkflowStatus.FAILED == play.status

    play.retry()

    assert WorkflowStatus.FAILED == play.status
    assert 1 == play.task("t").attempt
    assert [] == play.snapshot.open_tasks()


def test_a_retry_runs_engine_tasks_at_once() -> None:
    """A failed task of the engine's own gets its new attempt in the same decision."""
    play = started(inline("a", "fail"), step("b"))
    assert WorkflowStatus.FAILED == play.status

    play.retry()

    assert ["1 a 0 FAILED_WITH_TERMINAL_ERROR", "2 a 1 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert WorkflowStatus.FAILED == play.status


def test_a_refused_command_changes_nothing() -> None:
    """The Snapshot is as it was when a command cannot be obeyed."""
    play = ended()
    before = dict(play.snapshot.tasks), play.workflow

    for refused in (play.pause, play.resume, play.terminate, play.retry):
        with pytest.raises(BatonError):
            refused()

    assert before == (play.snapshot.tasks, play.workflow)


# Turns: an execution that has to wait because of its rate limit.


def waiting(*steps: dict[str, object], **fields: object) -> Playbook:
    """A playbook whose start had to wait."""
    play = Playbook(*steps, **fields)
    play.start(rate_limit_key="k", rate_limited=True)
    return play


def test_one_that_waits_has_no_tasks_and_does_not_end() -> None:
    """Its first task comes when it is let in, once."""
    play = waiting(step("a"), step("b"))
    assert ("RUNNING", []) == (play.status, play.rows())

    play.do(Admit())
    assert (["1 a 0 SCHEDULED"], False) == (play.rows(), play.workflow.rate_limited)
    assert play.do(Admit()).empty
    play.complete("a")
    assert {"a": "COMPLETED", "b": "SCHEDULED"} == play.states()


def test_one_that_is_put_off_is_due_at_once() -> None:
    """Its timer lets others look at it again; the deadline of the workflow comes back."""
    play = waiting(step("a"), **LIMITED)

    play.do(Admit(later=True))
    assert (NOW_MS, True) == (play.workflow.due_ms, play.workflow.rate_limited)
    play.timer()
    assert (NOW_MS + 60_000, []) == (play.workflow.due_ms, play.rows())


def test_one_that_ends_waits_no_more() -> None:
    """Nor is it let in afterwards, nor in a pause."""
    play = waiting(step("a"))
    play.pause()
    play.do(Admit())
    assert play.workflow.rate_limited
    play.resume()
    assert [] == play.rows()

    play.terminate()
    play.do(Admit())
    assert ("TERMINATED", False, []) == (play.status, play.workflow.rate_limited, play.rows())


def test_a_retry_that_waits_tries_again_when_it_is_let_in() -> None:
    """Nothing of it moves before, whatever happens to the workflow in the meantime."""
    play = started(fork("f", [step("a")], [step("b")]), join("j", "a", "b"))
    play.update("a", TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    play.snapshot.put_workflow(msgspec.structs.replace(play.workflow, rate_limited=True))

    play.retry()
    before = play.states()
    play.pause()
    play.resume()
    play.timer()
    assert before == play.states()
    assert ("RUNNING", "FAILED_WITH_TERMINAL_ERROR") == (play.status, before["a"])

    play.do(Admit())
    assert ["SCHEDULED", "SCHEDULED", "IN_PROGRESS"] == [play.states()[r] for r in ("a", "b", "j")]


def test_a_terminate_that_was_skipped_is_not_tried_again() -> None:
    """Only one that has ended the workflow ends it once more."""
    play = waiting(step("a"), terminate("t", "COMPLETED"), step("b"))
    play.do(Skip("t"))

    play.do(Admit())
    play.complete("a")
    assert ["1 t 0 SKIPPED", "2 a 0 COMPLETED"] == play.rows()
