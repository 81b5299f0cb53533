"""An execution as it changes: read again whenever the daemon hints that it has.

Nothing is printed here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from edge.cli.client import Client, Refused, Unreachable

ENDED = frozenset({"COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"})
OPEN = frozenset({"SCHEDULED", "IN_PROGRESS"})
"""Of a task."""

_FIRST_LOOK_S = 0.05
_LAST_LOOK_S = 1.0
"""Between two looks where there are no hints: quick at first, a second later on."""

_PATIENCE = 60
"""Seconds that a daemon may be away, as when it restarts; nothing is lost meanwhile."""


class State(NamedTuple):
    """One thing that an execution or a task of it has become."""

    at_ms: int
    ref: str
    """Of the task; empty = the execution itself."""
    status: str
    attempt: int
    """1 = the first."""
    reason: str


def changes(
    daemon: Client, workflow_id: str, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """The execution as it is now, and again after each change, until it has ended.

    Args:
        daemon: where it is.
        workflow_id: which one.
        pause: waits for so many seconds.

    Raises:
        Refused: there is no such execution.
        Unreachable: the daemon has been away for too long.
    """
    away = _PATIENCE
    while True:
        try:
            for execution in _until_cut_off(daemon, workflow_id, pause):
                yield execution
                away = 0
                if execution["status"] in ENDED:
                    return
        except Unreachable:
            # Whoever has seen it once waits for it: a daemon that restarts goes on where it was.
            if away >= _PATIENCE:
                raise
        away += 1
        pause(_LAST_LOOK_S)


def hints(
    daemon: Client, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """What the daemon says of all its executions, as long as it is there.

    A stream that ends is opened again; what happened in between is not told.

    Raises:
        Refused: the daemon has no such stream, or too many are open.
        Unreachable: it has been away for too long.
    """
    away = _PATIENCE
    while True:
        try:
            for hint in daemon.hints():
                away = 0
                yield hint
        except Unreachable:
            if away >= _PATIENCE:
                raise
        away += 1
        pause(_LAST_LOOK_S)


def states(execution: dict[str, Any], told: dict[str, str]) -> list[State]:
    """What is new since the last time.

    Args:
        execution: as it is now.
        told: what has been told already, by id; it is kept up to date here.
    """
    found: list[State] = []
    key = execution["workflowId"]
    ended = execution["status"] in ENDED
    if told.get(key) != execution["status"]:
        at_ms = execution["updateTime"] if key in told else execution["createTime"]
        told[key] = execution["status"]
        reason = execution.get("reasonForIncompletion") or ""
        at_ms = execution["endTime"] if ended else at_ms
        found.append(State(at_ms, "", execution["status"], 1, reason))
    for task in execution["tasks"]:
        if told.get(task["taskId"]) == task["status"]:
            continue
        told[task["taskId"]] = task["status"]
        found.append(_state(task))
    # Sorted by time, and stable: what happened at once stays in its order, the end at the end.
    return sorted(found, key=lambda one: (ended and not one.ref, one.at_ms))


def _state(task: dict[str, Any]) -> State:
    times = {"SCHEDULED": "scheduledTime", "IN_PROGRESS": "startTime"}
    at_ms = task.get(times.get(task["status"], "endTime")) or task.get("updateTime") or 0
    return State(
        at_ms,
        task["referenceTaskName"],
        task["status"],
        task.get("retryCount", 0) + 1,
        task.get("reasonForIncompletion") or "",
    )


def _until_cut_off(
    daemon: Client, workflow_id: str, pause: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    """Reads after each hint; where there are none, looks again and again."""
    try:
        for hint in daemon.hints():
            if hint.get("workflowId", workflow_id) == workflow_id:
                yield daemon.call("GET", "workflow", workflow_id)
                # A burst of a thousand hints is not worth a thousand looks.
                pause(_FIRST_LOOK_S)
    except Refused:
        # Too many streams are open, or it is another server with the same API.
        yield from _looks(daemon, workflow_id, pause)


def _looks(
    daemon: Client, workflow_id: str, pause: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    pause_s, before = _FIRST_LOOK_S, ""
    while True:
        execution: dict[str, Any] = daemon.call("GET", "workflow", workflow_id)
        yield execution
        now = repr([(task["taskId"], task["status"]) for task in execution["tasks"]])
        pause_s = _FIRST_LOOK_S if now != before else min(pause_s * 1.5, _LAST_LOOK_S)
        before = now
        pause(pause_s)
