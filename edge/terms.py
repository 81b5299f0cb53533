"""What the settings of a task say to whoever hands it out, worked out once for each step.

Nothing is handed out here.
"""

from __future__ import annotations

import msgspec

from edge.model.definitions import TaskDefinition, WorkflowTask
from edge.model.executions import Pinned, Task
from edge.store.pending import OpenTask
from edge.store.slots import Limit

_STEPS = 2_000
"""Steps whose terms are kept ready; a device runs a few definitions. Beyond that all are forgotten,
and worked out again as they are wanted."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """Of the tasks of one step."""

    limit: Limit
    response_ms: int = 0
    """Silence allowed, in milliseconds; 0 = any."""
    run_ms: int = 0
    """Run time allowed to an attempt, in milliseconds; 0 = any."""
    wanted: tuple[str, ...] = ()
    """Names of what is handed over beside the input."""


class KnownTerms:
    """The terms of the steps that are in use."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str], Terms] = {}

    def of(self, pinned: Pinned, task: Task | OpenTask) -> Terms:
        """The terms of a task.

        Args:
            pinned: the definitions that its execution started with.
            task: of it.
        """
        if task.step is not None:
            step = msgspec.json.decode(task.step, type=WorkflowTask)
            return _terms(task.name, step.task_definition)
        key = (pinned.key, task.step_ref, task.name)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _STEPS:
                self._known.clear()
            place = pinned.outline.place(task.step_ref)
            definition = None if place is None else place.step.task_definition
            known = self._known[key] = _terms(task.name, definition)
        return known


def limit_of(name: str, definition: TaskDefinition | None) -> Limit:
    """How many tasks of a definition may be in progress, and be handed over in its window."""
    if definition is None:
        return Limit(name)
    at_once = max(0, definition.concurrent_exec_limit or 0)
    per_window = max(0, definition.rate_limit_per_frequency or 0)
    if not per_window:
        return Limit(name, at_once)
    window_ms = max(1, definition.rate_limit_frequency_in_seconds or 1) * 1000
    return Limit(name, at_once, per_window, window_ms)


def _terms(name: str, definition: TaskDefinition | None) -> Terms:
    limit = limit_of(name, definition)
    if definition is None:
        return Terms(limit)
    run_s = 0 if definition.timeout_policy == "ALERT_ONLY" else definition.timeout_seconds
    return Terms(
        limit,
        # Definitions that a step brings along are held against no rule.
        max(0, definition.response_timeout_seconds) * 1000,
        max(0, run_s) * 1000,
        tuple(definition.runtime_metadata or ()),
    )
