"""Back-offs, retries and deadlines of one task."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.decider import policies
from edge.model.definitions import TaskDefinition, WorkflowTask
from edge.model.executions import Task, TaskStatus

NOW_MS = 1_000_000


def definition(**fields: Any) -> TaskDefinition:
    """A task definition; times in seconds."""
    return TaskDefinition(**fields)


def task(**fields: Any) -> Task:
    """A record that was scheduled at NOW_MS."""
    blank = Task(
        ordinal=1,
        seq=1,
        ref="a",
        kind="SIMPLE",
        type="a",
        name="a",
        status=TaskStatus.SCHEDULED,
        scheduled_ms=NOW_MS,
        first_scheduled_ms=NOW_MS,
    )
    return msgspec.structs.replace(blank, **fields)


@pytest.mark.parametrize(
    ("logic", "cap", "expected"),
    [
        ("FIXED", 0, [5, 5, 5]),
        ("LINEAR_BACKOFF", 0, [10, 20, 30]),
        ("EXPONENTIAL_BACKOFF", 0, [5, 10, 20]),
        ("EXPONENTIAL_BACKOFF", 12, [5, 10, 12]),
    ],
)
def test_retry_delays(logic: Any, cap: int, expected: list[int]) -> None:
    """The table of delays before attempts one, two and three."""
    rules = definition(
        retry_logic=logic,
        retry_delay_seconds=5,
        backoff_scale_factor=2,
        max_retry_delay_seconds=cap,
    )

    assert expected == [policies.retry_delay_s(rules, attempt) for attempt in range(3)]


@pytest.mark.parametrize("logic", ["LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"])
def test_delays_saturate(logic: Any) -> None:
    """A delay that overflows 32 bits is the largest one; a cap still holds."""
    rules = definition(retry_logic=logic, retry_delay_seconds=2**30, backoff_scale_factor=2**10)

    assert 2**31 - 1 == policies.retry_delay_s(rules, 5_000)
    capped = msgspec.structs.replace(rules, max_retry_delay_seconds=60)
    assert 60 == policies.retry_delay_s(capped, 5_000)


def test_jitter_is_uniform_and_repeatable() -> None:
    """Jitter lies in 0..n, both ends included, is the same for one id, and none without n."""
    rules = definition(backoff_jitter_ms=9)

    seen = [policies.jitter_ms(rules, f"task-{number}") for number in range(500)]

    assert set(range(10)) == set(seen)
    assert seen[3] == policies.jitter_ms(rules, "task-3")
    assert 0 == policies.jitter_ms(definition(), "task-3")


@pytest.mark.parametrize(
    ("step", "attempt", "left"),
    [
        (WorkflowTask(), 0, False),
        (WorkflowTask(task_definition=definition(retry_count=1)), 0, True),
        (WorkflowTask(task_definition=definition(retry_count=1)), 1, False),
        (WorkflowTask(retry_count=0, task_definition=definition(retry_count=1)), 0, False),
        (WorkflowTask(retry_count=2, task_definition=definition(retry_count=1)), 1, True),
        (WorkflowTask(retry_count=1), 0, True),
    ],
)
def test_attempts_left(step: WorkflowTask, attempt: int, left: bool) -> None:
    """The step's retryCount wins over the definition's; without any there is no retry."""
    assert left is policies.attempts_left(step, task(status=TaskStatus.FAILED, attempt=attempt))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"status": TaskStatus.FAILED}, True),
        ({"status": TaskStatus.TIMED_OUT}, True),
        ({"status": TaskStatus.FAILED_WITH_TERMINAL_ERROR}, False),
        ({"status": TaskStatus.CANCELED}, False),
        ({"status": TaskStatus.FAILED, "kind": "SWITCH"}, False),
        ({"status": TaskStatus.FAILED, "kind": "JOIN"}, False),
    ],
)
def test_what_is_never_retried(fields: dict[str, Any], left: bool) -> None:
    """Terminal errors, cancellations and built-in kinds have no second attempt."""
    step = WorkflowTask(task_definition=definition(retry_count=5))

    assert left is policies.attempts_left(step, task(**fields))


@pytest.mark.parametrize(
    ("rules", "record", "moment_s"),
    [
        ({}, {}, 0),
        ({"total_timeout_seconds": 9}, {}, 9),
        ({"total_timeout_seconds": 9}, {"first_scheduled_ms": NOW_MS - 5_000}, 4),
        ({"timeout_seconds": 7}, {}, 0),
        ({"timeout_seconds": 7}, {"started_ms": NOW_MS, "start_delay_s": 2}, 9),
        ({"poll_timeout_seconds": 3}, {}, 3),
        # The delay counts twice, once in the base and once in the limit, as in Conductor.
        ({"poll_timeout_seconds": 3}, {"start_delay_s": 2, "callback_after_s": 2}, 7),
        ({"poll_timeout_seconds": 3}, {"started_ms": NOW_MS}, 0),
        ({"poll_timeout_seconds": 3}, {"status": TaskStatus.IN_PROGRESS}, 0),
        ({"poll_timeout_seconds": 3, "total_timeout_seconds": 2}, {}, 2),
        ({"poll_timeout_seconds": 3, "timeout_policy": "ALERT_ONLY"}, {}, 0),
        ({"total_timeout_seconds": 9}, {"status": TaskStatus.COMPLETED}, 0),
    ],
)
def test_next_deadline(rules: dict[str, Any], record: dict[str, Any], moment_s: int) -> None:
    """The earliest limit that a record may pass; what has ended or only alerts has none."""
    step = WorkflowTask(task_definition=definition(**rules))

    found = policies.next_deadline_ms(step, task(**record))

    assert (NOW_MS + moment_s * 1000 if moment_s else 0) == found


@pytest.mark.parametrize(
    ("passed", "rules", "record"),
    [
        (policies.total_timeout_passed, {"total_timeout_seconds": 9}, {}),
        (policies.poll_timeout_passed, {"poll_timeout_seconds": 9}, {}),
        (
            policies.run_time_passed,
            {"timeout_seconds": 9},
            {"status": TaskStatus.IN_PROGRESS, "started_ms": NOW_MS},
        ),
    ],
)
def test_a_limit_is_passed_at_its_deadline(
    passed: Any, rules: dict[str, Any], record: dict[str, Any]
) -> None:
    """The moment that a timer is set to is the first at which the limit counts as passed."""
    limits, one = definition(**rules), task(**record)
    deadline_ms = policies.next_deadline_ms(WorkflowTask(task_definition=limits), one)

    assert NOW_MS + 9_000 == deadline_ms
    assert passed(limits, one, deadline_ms)
    assert not passed(limits, one, deadline_ms - 1)
    assert not passed(definition(), one, deadline_ms + 10**9)
