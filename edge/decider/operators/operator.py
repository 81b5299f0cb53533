"""The contract that every operator keeps.

No operator stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edge.decider.draft import Draft, Visit
from edge.model.calls import Launch
from edge.model.decision import Launched
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import Task

Schedule = Callable[[Draft, Visit], None]
"""Schedules another step: the first of a branch, for example."""


class Operator(NamedTuple):
    """Both halves of a task type."""

    schedule: Callable[[Draft, Visit, Schedule], None]
    """The flow has come to a step of this type: create its records."""
    due: Callable[[Draft, Task], None] | None = None
    """The moment in ``due_ms`` has come; None = the type waits for no moment of its own."""
    branch: Callable[[WorkflowTask, JsonObject], list[WorkflowTask]] | None = None
    """The steps that a completed record has led into, from the step and the record's output: the
    last of them, not the record, leads to what follows. None = the type leads into none."""
    begin: Callable[[Draft, Task, Schedule], None] | None = None
    """Begins what a completed record opens at once, as far as it is not begun: the flow may have
    broken in the middle of it, and goes on when the workflow is retried. None = it opens nothing."""
    member: Callable[[Draft, Task], None] | None = None
    """A reference that an open record waits for has finished; None = the type waits for none."""
    alone: Callable[[Draft, Task], None] | None = None
    """Nothing is open but records that wait for others, so none of these will come by itself; None =
    that makes no difference."""
    lap: Callable[[Draft, Task, Schedule], None] | None = None
    """All records inside an open record have settled; None = the type holds none."""
    launch: Callable[[Draft, Task], Launch] | None = None
    """The execution that a SCHEDULED record asks for; None = the type asks for none."""
    launched: Callable[[Draft, Task, Launched], None] | None = None
    """That execution has been started."""
