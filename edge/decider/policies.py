"""How long to wait and when to give up: back-offs, retries and deadlines of one task.

No record is changed here.
"""

from __future__ import annotations

import zlib

from edge.model.definitions import TaskDefinition, WorkflowDefinition, WorkflowTask
from edge.model.elapsed import NO_JUMPS, Jumps
from edge.model.executions import Task, TaskStatus, Workflow

REASON_LIMIT = 500
"""Characters of a worker's reason that are kept, as in Conductor."""

_INT_MAX = 2**31 - 1
"""Delays saturate here, as 32-bit integers do in Conductor."""

BUILT_IN = frozenset(
    {"DECISION", "SWITCH", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"}
)
"""Kinds that are never retried by themselves."""

SYSTEM_KINDS = BUILT_IN | frozenset(
    {
        "HTTP",
        "UPDATE_SECRET",
        "INLINE",
        "JSON_JQ_TRANSFORM",
        "LAMBDA",
        "TERMINATE",
        "SET_VARIABLE",
        "WAIT",
        "HUMAN",
        "EVENT",
        "NOOP",
    }
    | {"SUB_WORKFLOW", "START_WORKFLOW", "TERMINATE_WORKFLOW", "UPDATE_TASK", "GET_WORKFLOW"}
    | {"YIELD", "PULL_WORKFLOW_MESSAGES"}
)
"""Kinds that the engine runs itself: an IN_PROGRESS update leaves them in progress. HTTP_POLL is
none of them: it asks to be called back, as workers do."""

_NO_DEFINITION = TaskDefinition(retry_count=0, response_timeout_seconds=0)


def settings(step: WorkflowTask) -> TaskDefinition:
    """The task definition that was pinned to a step at the start."""
    return step.task_definition or _NO_DEFINITION


def held_back(step: WorkflowTask) -> bool:
    """Whether a limit of its definition may keep a task waiting: only its queue knows."""
    definition = settings(step)
    return bool(definition.concurrent_exec_limit or definition.rate_limit_per_frequency)


def attempts_left(step: WorkflowTask, task: Task) -> bool:
    """Whether another attempt may follow a failed one, deadlines aside."""
    if not task.status.retriable or task.kind in BUILT_IN:
        return False
    allowed = step.retry_count if step.retry_count is not None else settings(step).retry_count
    return allowed > task.attempt


def total_timeout_passed(
    definition: TaskDefinition, task: Task, now_ms: int, jumps: Jumps = NO_JUMPS
) -> bool:
    """Whether the time for all attempts together is used up."""
    limit_ms = definition.total_timeout_seconds * 1000
    return 0 < limit_ms <= jumps.passed_ms(task.first_scheduled_ms, now_ms)


def retry_delay_s(definition: TaskDefinition, attempt: int) -> int:
    """Seconds before the attempt that follows attempt number ``attempt`` (0 first), no jitter."""
    delay = definition.retry_delay_seconds
    if definition.retry_logic == "LINEAR_BACKOFF":
        delay = delay * definition.backoff_scale_factor * (attempt + 1)
    elif definition.retry_logic == "EXPONENTIAL_BACKOFF":
        # The power saturates by itself before it is multiplied.
        delay = delay * min(2 ** min(attempt, 31), _INT_MAX)
    delay = min(delay, _INT_MAX)
    cap = definition.max_retry_delay_seconds
    return min(delay, cap) if cap > 0 else delay


def jitter_ms(definition: TaskDefinition, task_id: str) -> int:
    """Milliseconds added after the cap, uniform over task ids and the same for one id always."""
    if definition.backoff_jitter_ms <= 0:
        return 0
    return zlib.crc32(task_id.encode()) % (definition.backoff_jitter_ms + 1)


def workflow_deadline_ms(
    definition: WorkflowDefinition, workflow: Workflow, jumps: Jumps = NO_JUMPS
) -> int:
    """When an execution times out; 0 = never. A retry and a resume start the time anew."""
    if definition.timeout_policy != "TIME_OUT_WF" or definition.timeout_seconds <= 0:
        return 0
    start_ms = workflow.last_retried_ms or workflow.created_ms
    return jumps.moment_ms(start_ms, definition.timeout_seconds * 1000)


def next_deadline_ms(step: WorkflowTask, task: Task, jumps: Jumps = NO_JUMPS) -> int:
    """The next moment at which this record has to be looked at; 0 = never.

    A task that a worker holds has its response and run-time deadlines in the lease; what is found
    here must survive a restart.
    """
    if task.status.terminal:
        return 0
    definition = settings(step)
    if definition.timeout_policy == "ALERT_ONLY" or not (
        definition.total_timeout_seconds
        or definition.timeout_seconds
        or definition.poll_timeout_seconds
    ):
        return 0
    delay_s = task.start_delay_s
    moments = [
        _after(task.first_scheduled_ms, 0, definition.total_timeout_seconds, jumps),
        _after(task.started_ms, delay_s, definition.timeout_seconds, jumps),
    ]
    if task.status is TaskStatus.SCHEDULED and not task.started_ms:
        delay_s += task.callback_after_s
        limit_s = definition.poll_timeout_seconds or 0
        moments.append(_after(task.scheduled_ms, delay_s, limit_s, jumps))
    return min((moment for moment in moments if moment), default=0)


def _after(start_ms: int, delay_s: int, limit_s: int, jumps: Jumps) -> int:
    if not start_ms or limit_s <= 0:
        return 0
    return jumps.moment_ms(start_ms, (delay_s + limit_s) * 1000)


def poll_timeout_passed(
    definition: TaskDefinition, task: Task, now_ms: int, jumps: Jumps = NO_JUMPS
) -> bool:
    """Whether nobody took the task in time."""
    limit_s = definition.poll_timeout_seconds or 0
    if task.status is not TaskStatus.SCHEDULED or task.started_ms or limit_s <= 0:
        return False
    allowed_ms = (task.start_delay_s + task.callback_after_s + limit_s) * 1000
    return jumps.passed_ms(task.scheduled_ms, now_ms) >= allowed_ms


def run_time_passed(
    definition: TaskDefinition, task: Task, now_ms: int, jumps: Jumps = NO_JUMPS
) -> bool:
    """Whether the attempt has been running for longer than it may."""
    if not task.started_ms or definition.timeout_seconds <= 0:
        return False
    allowed_ms = (task.start_delay_s + definition.timeout_seconds) * 1000
    return jumps.passed_ms(task.started_ms, now_ms) >= allowed_ms
