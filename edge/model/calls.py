"""What a decision asks of other executions: start one for a task, tell one something.

How it is carried out, in the same transaction, stands elsewhere.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.model.executions import EMPTY

MAX_DEPTH = 50
"""Executions inside each other, failure workflows included. A definition that starts itself for ever
ends here, with a failed task, long before it fills the disk."""


class Launch(msgspec.Struct, frozen=True):
    """Start an execution; the asking one is told with ``Launched`` or ``LaunchFailed``."""

    ordinal: int
    """Of the task that asks; 0 = the workflow itself, whose failure workflow this is."""
    name: str
    version: int | None = None
    """None = the latest."""
    definition: dict[str, Any] | None = None
    """Runs instead of a registered one."""
    input: bytes = EMPTY
    correlation_id: str | None = None
    priority: int | None = None
    """None = 0."""
    task_to_domain: dict[str, str] = {}
    created_by: str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: str | None = None
    child: bool = False
    """Whether its end is the end of the asking task."""
    depth: int = 1
    """How many executions stand around it."""
    explains: bool = False
    """The whole asking execution goes along as ``failedWorkflow``."""


class Tell(msgspec.Struct, frozen=True):
    """Have a command obeyed by another execution; one that is gone, or refuses, is left alone."""

    workflow_id: bytes
    command: Any
    """A ``Command``; named so that the two modules need not know each other."""
    refused: Any = None
    """What the asking one is told when the other is gone, or has ended and refuses; None = nothing."""


class Pull(msgspec.Struct, frozen=True):
    """Hand messages that were sent to this execution to one of its tasks."""

    ordinal: int
    """Of the task that asks."""
    batch: int
    """Messages at most."""
    blocking: bool
    """True: the task waits while there are none. False: it ends without any."""


Call = Launch | Tell | Pull
