"""What becomes of a task: answers, moments that come, workers that go silent."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.decision import Lease, LogLine, TimerDue, UpdateTask
from edge.model.errors import NotFound
from edge.model.executions import TaskStatus, WorkflowStatus, task_uuid
from tests.unit.edge.playbook import NOW_MS, WORKFLOW_ID, Playbook, fork, join, step

RETRY = {"timeoutPolicy": "RETRY", "retryCount": 1, "retryDelaySeconds": 0}
POLICIES = ["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]


def started(*steps: dict[str, Any], **fields: Any) -> Playbook:
    """A playbook that has been started."""
    play = Playbook(*steps, **fields)
    play.start()
    return play


# Answers.


def test_an_answer_is_written_with_the_lease() -> None:
    """Who had the task, since when and how often is written with what comes of it."""
    play = started(step("a"))

    play.after(9).complete("a", {"n": 1}, lease=Lease("w-1", NOW_MS + 4_000, 2))

    task = play.task("a")
    assert NOW_MS + 4_000 == task.started_ms
    assert play.now_ms == task.updated_ms == task.ended_ms
    assert "w-1" == task.worker
    assert 2 == task.polls


def test_an_answer_without_a_lease_starts_now() -> None:
    """Somebody who never polled may answer too; the answer names the worker."""
    play = started(step("a"))

    play.after(9).complete("a", worker="w-2")

    assert play.now_ms == play.task("a").started_ms
    assert "w-2" == play.task("a").worker


def test_a_start_is_kept_over_callbacks() -> None:
    """The first hand-over of an attempt is its start, however often it is handed out again."""
    play = started(step("a"))
    play.update("a", TaskStatus.IN_PROGRESS, lease=Lease("w-1", NOW_MS, 1), callback_after_s=30)
    assert 30 == play.task("a").callback_after_s

    play.after(40).complete("a", lease=Lease("w-2", play.now_ms, 2))

    task = play.task("a")
    assert NOW_MS == task.started_ms
    assert "w-2" == task.worker
    assert 2 == task.polls
    assert 0 == task.callback_after_s == task.deliver_ms


def test_a_hand_over_uses_the_delay_up() -> None:
    """A task that was handed out is not invisible any more, however its lease ends."""
    play = started(step("a", startDelay=4))
    assert 4 == play.task("a").callback_after_s

    play.after(9).silent("a", Lease("w", NOW_MS + 4_000, 1))

    assert 0 == play.task("a").callback_after_s
    assert 4 == play.task("a").start_delay_s


def test_an_anonymous_lease_keeps_the_worker() -> None:
    """A hand-over without a name does not wipe out a known one."""
    play = started(step("a"))
    play.update("a", TaskStatus.IN_PROGRESS, worker="w-1")

    play.complete("a", lease=Lease(None, NOW_MS, 2))

    assert "w-1" == play.task("a").worker


def test_a_reason_is_cut() -> None:
    """Five hundred characters of a reason are kept; a result wipes out an old one."""
    play = started(step("a", settings={"retryCount": 1}))
    play.fail("a", "x" * 600)
    assert "x" * 500 == play.task("a").reason

    play.complete("a")
    assert play.task("a").reason is None


def test_log_lines_are_kept_even_of_the_late() -> None:
    """Lines come with an answer, also with one that changes nothing else."""
    play = started(step("a"))
    logs = (("one", NOW_MS), ("two", NOW_MS + 1))

    first = play.complete("a", logs=logs)
    late = play.do(UpdateTask(1, TaskStatus.FAILED, logs=(("three", NOW_MS + 2),)))

    assert (LogLine(1, "one", NOW_MS), LogLine(1, "two", NOW_MS + 1)) == first.logs
    assert (LogLine(1, "three", NOW_MS + 2),) == late.logs
    assert () == late.tasks


def test_an_unknown_task_is_not_found() -> None:
    """An answer to a record that a restart took away, or that never was, names its id."""
    play = started(step("a"))

    with pytest.raises(NotFound, match=f"No such task found by id: {task_uuid(WORKFLOW_ID, 9)}"):
        play.do(UpdateTask(9, TaskStatus.COMPLETED))


@pytest.mark.parametrize("status", [TaskStatus.IN_PROGRESS, TaskStatus.SCHEDULED])
@pytest.mark.parametrize("kind", ["HUMAN", "WAIT", "HTTP"])
def test_a_task_of_the_engine_stays_in_progress(kind: str, status: TaskStatus) -> None:
    """Only a worker's task goes back into a queue."""
    play = started(step("a", kind))

    play.update("a", status, {"n": 1}, callback_after_s=30)

    assert TaskStatus.IN_PROGRESS == play.task("a").status
    assert {"n": 1} == play.output("a")
    assert 0 == play.task("a").deliver_ms


def test_a_negative_callback_is_none() -> None:
    """A worker that asks for the past gets its task back at once."""
    play = started(step("a"))

    play.update("a", TaskStatus.IN_PROGRESS, callback_after_s=-5)

    assert 0 == play.task("a").deliver_ms


def test_progress_does_not_lose_a_moment_that_has_passed() -> None:
    """A timer that is late by a moment is still heard after a sign of progress."""
    wait = started(step("w", "WAIT", inputParameters={"duration": "10 s"}))
    wait.after(10).update("w", TaskStatus.IN_PROGRESS)
    assert 0 < wait.task("w").due_ms <= wait.now_ms
    wait.timer("w")
    assert TaskStatus.COMPLETED == wait.task("w").status

    slow = started(step("a", settings={**RETRY, "totalTimeoutSeconds": 10}))
    slow.after(10).update("a", TaskStatus.IN_PROGRESS)
    slow.timer("a")
    assert TaskStatus.TIMED_OUT == slow.task("a").status


def test_progress_sets_the_run_time_limit() -> None:
    """Once started, a task has its run time limit even when nobody holds it."""
    play = started(step("a", settings={**RETRY, "timeoutSeconds": 20, "pollTimeoutSeconds": 5}))
    assert NOW_MS + 5_000 == play.task("a").due_ms

    play.after(1).update("a", TaskStatus.IN_PROGRESS, lease=Lease("w", NOW_MS, 1))

    assert NOW_MS + 20_000 == play.task("a").due_ms


# Moments: the table of timeouts, each with each policy.

TOTAL = (
    "Task {id}/a exceeded total timeout of 10 seconds (elapsed 11 seconds across all attempts "
    "including retry delays). Timeout policy: {policy}"
)
POLL = (
    "Task poll timed out after 11 seconds. Poll timeout configured as 10 seconds. "
    "Timeout policy configured to {policy}"
)
RUN = (
    "Task timed out after 11 seconds. Timeout configured as 10 seconds. "
    "Timeout policy configured to {policy}"
)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("setting", "lease", "message"),
    [
        ("totalTimeoutSeconds", None, TOTAL),
        ("totalTimeoutSeconds", Lease("w", NOW_MS, 1), TOTAL),
        ("pollTimeoutSeconds", None, POLL),
        ("timeoutSeconds", Lease("w", NOW_MS, 1), RUN),
    ],
)
def test_limits_by_policy(setting: str, lease: Lease | None, message: str, policy: str) -> None:
    """RETRY tries again, TIME_OUT_WF ends the workflow at once, ALERT_ONLY does nothing."""
    rules = {"retryCount": 1, "retryDelaySeconds": 0, "timeoutPolicy": policy, setting: 10}
    play = started(step("a", optional=True, permissive=True, settings=rules))
    first, reason = play.snapshot.tasks[1], message.format(id=play.id("a"), policy=policy)

    decision = play.after(11).timer("a", lease)

    if policy == "ALERT_ONLY":
        assert decision.empty
        return
    timed_out = play.snapshot.tasks[first.ordinal]
    assert TaskStatus.TIMED_OUT == timed_out.status
    assert reason == timed_out.reason
    assert (lease.worker if lease else None) == timed_out.worker
    assert (lease.polls if lease else 0) == timed_out.polls
    if policy == "TIME_OUT_WF":
        assert WorkflowStatus.TIMED_OUT == play.status
        assert reason == play.workflow.reason
        assert 1 == play.workflow.failed_task
        assert 1 == len(play.rows())
    elif setting == "totalTimeoutSeconds":
        # There is no time for another attempt, although one is left.
        assert WorkflowStatus.TIMED_OUT == play.status
        assert "No further retries will be attempted." in str(play.workflow.reason)
    else:
        assert ["1 a 0 TIMED_OUT", "2 a 1 SCHEDULED"] == play.rows()


@pytest.mark.parametrize("policy", POLICIES)
def test_response_timeout_by_policy(policy: str) -> None:
    """Silence has the same effect under every policy, and the lease is written."""
    rules = {**RETRY, "timeoutPolicy": policy, "responseTimeoutSeconds": 5}
    play = started(step("a", settings=rules))

    play.after(5).silent("a", Lease("w", NOW_MS, 1), elapsed_s=5)

    old = play.snapshot.tasks[1]
    assert ["1 a 0 TIMED_OUT", "2 a 1 SCHEDULED"] == play.rows()
    assert (NOW_MS, "w", 1) == (old.started_ms, old.worker, old.polls)


@pytest.mark.parametrize("policy", POLICIES)
def test_run_time_of_a_held_task_by_policy(policy: str) -> None:
    """The limit of a whole attempt follows the policy, in the hands of a worker too."""
    rules = {**RETRY, "timeoutPolicy": policy, "timeoutSeconds": 10}
    play = started(step("a", settings=rules))

    decision = play.after(11).silent("a", Lease("w", NOW_MS, 1), whole=True, elapsed_s=11)

    if policy == "ALERT_ONLY":
        assert decision.empty
    else:
        assert RUN.format(policy=policy) == play.snapshot.tasks[1].reason
        assert (policy == "TIME_OUT_WF") is (play.status is WorkflowStatus.TIMED_OUT)


@pytest.mark.parametrize(
    ("policy", "status"),
    [("TIME_OUT_WF", WorkflowStatus.TIMED_OUT), ("ALERT_ONLY", WorkflowStatus.RUNNING)],
)
@pytest.mark.parametrize("paused", [False, True])
def test_workflow_timeout(policy: str, status: WorkflowStatus, paused: bool) -> None:
    """A workflow that may, ends when its time is over, also while it is paused."""
    play = started(step("a"), timeoutPolicy=policy, timeoutSeconds=60)
    if paused:
        play.pause()
        status = WorkflowStatus.PAUSED if status is WorkflowStatus.RUNNING else status

    play.after(61).timer()

    assert status == play.status
    if status is WorkflowStatus.TIMED_OUT:
        assert (
            "Workflow timed out after 61 seconds. Timeout configured as 60 seconds. "
            "Timeout policy configured to TIME_OUT_WF" == play.workflow.reason
        )
        assert TaskStatus.CANCELED == play.task("a").status


def test_workflow_timeout_counts_from_the_last_retry() -> None:
    """A timer from before a resume comes too early and changes nothing."""
    play = started(step("a"), timeoutPolicy="TIME_OUT_WF", timeoutSeconds=60)
    play.after(30).pause()
    play.resume()
    assert play.after(31).timer().empty

    play.after(31).timer()

    assert "Workflow timed out after 62 seconds." in str(play.workflow.reason)


def test_a_moment_before_its_time_changes_nothing() -> None:
    """A timer that fires early leaves everything as it is."""
    play = started(step("a", settings={**RETRY, "pollTimeoutSeconds": 10}))

    assert play.after(9).timer("a").empty


def test_a_timer_of_a_held_task_waits_for_its_run_time() -> None:
    """The poll limit does not count for a task that somebody holds; the next moment is set."""
    rules = {**RETRY, "pollTimeoutSeconds": 10, "timeoutSeconds": 30}
    play = started(step("a", settings=rules))

    play.after(10).timer("a", Lease("w", NOW_MS + 5_000, 1))

    assert ["1 a 0 SCHEDULED"] == play.rows()
    assert NOW_MS + 35_000 == play.task("a").due_ms


def test_run_time_spans_the_callbacks_of_an_attempt() -> None:
    """The limit counts from the first hand-over, not from the last."""
    play = started(step("a", settings={**RETRY, "timeoutSeconds": 10}))
    play.update("a", TaskStatus.IN_PROGRESS, lease=Lease("w", NOW_MS, 1))

    play.after(11).timer("a", Lease("w", play.now_ms - 1_000, 2))

    assert RUN.format(policy="RETRY") == play.snapshot.tasks[1].reason


def test_an_alert_does_not_keep_a_wait_from_ending() -> None:
    """A limit that only alerts leaves the task's own moment in force."""
    rules = {"timeoutPolicy": "ALERT_ONLY", "totalTimeoutSeconds": 5, "timeoutSeconds": 5}
    play = started(step("w", "WAIT", inputParameters={"duration": "10 s"}, settings=rules))

    play.after(10).timer("w")

    assert TaskStatus.COMPLETED == play.task("w").status


def test_limits_apply_to_waits_and_joins() -> None:
    """Whatever is in progress has the limits of the task definition of its name."""
    rules = {**RETRY, "timeoutSeconds": 10, "retryCount": 0}
    play = started(
        fork("f", [step("w", "WAIT", optional=True, settings=rules)]),
        join("j", "w", settings=rules),
    )

    play.after(10).timer("w")
    assert TaskStatus.COMPLETED_WITH_ERRORS == play.task("w").status
    assert TaskStatus.COMPLETED_WITH_ERRORS == play.task("j").status


def test_late_moments_are_ignored() -> None:
    """Timers and leases of what has ended, or is not there, change nothing."""
    play = started(step("a"), step("b"))
    play.complete("a")

    assert play.do(TimerDue(1)).empty
    assert play.do(TimerDue(99)).empty
    assert play.silent("a", Lease("w", NOW_MS, 1)).empty

    lease = Lease("w", NOW_MS, 1)
    play.terminate()
    assert play.timer("b").empty
    assert play.timer().empty
    assert play.silent("b", lease).empty


def test_a_lease_that_was_answered_cannot_expire() -> None:
    """An expiry that crossed the worker's answer on its way is void."""
    play = started(step("a"))
    lease = Lease("w", NOW_MS, 1)
    play.update("a", TaskStatus.IN_PROGRESS, lease=lease)

    assert play.silent("a", lease).empty
    assert not play.silent("a", Lease("w", NOW_MS, 2)).empty


def test_a_limit_that_passes_in_a_pause_counts_from_the_resume_on() -> None:
    """Nothing happens to the record before, and its timer is due at once after."""
    play = started(step("a", settings={**RETRY, "pollTimeoutSeconds": 10}))
    play.pause()
    play.after(10).timer("a")
    assert ["1 a 0 SCHEDULED"] == play.rows()
    assert 0 == play.task("a").due_ms

    play.resume()
    assert 0 < play.task("a").due_ms <= play.now_ms
    play.timer("a")

    assert ["1 a 0 TIMED_OUT", "2 a 1 SCHEDULED"] == play.rows()


def test_a_silent_worker_keeps_its_task_through_a_pause() -> None:
    """The lease is asked after again by whoever keeps it."""
    play = started(step("a", settings=RETRY))
    play.pause()

    assert play.silent("a", Lease("w", NOW_MS, 1)).empty


def test_a_wait_keeps_its_moment_when_a_limit_passes_in_a_pause() -> None:
    """Only the limit waits for the resume."""
    parameters = {"duration": "20 s"}
    settings = {"totalTimeoutSeconds": 10}
    play = started(step("w", "WAIT", inputParameters=parameters, settings=settings))
    play.pause()
    play.after(10).timer("w")
    assert NOW_MS + 20_000 == play.task("w").due_ms
    play.after(10).timer("w")

    assert ["1 w 0 COMPLETED"] == play.rows()
