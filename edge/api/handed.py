"""Which queue a task came from that a worker has at present, so that nobody has to read it again.

A hint only: what is missing here is read from the engine.
"""

from __future__ import annotations

from collections import OrderedDict

_KEPT = 10_000
"""Tasks in the hands of workers; the oldest are forgotten first, and cost a read each then."""


class Handed:
    """Queue names by task id."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, str] = OrderedDict()

    def note(self, task_id: str, queue: str) -> None:
        """A worker has got this task."""
        self._queues[task_id] = queue
        if len(self._queues) > _KEPT:
            self._queues.popitem(last=False)

    def take(self, task_id: str) -> str | None:
        """The queue of a task that is reported now; None when it is not known."""
        return self._queues.pop(task_id, None)
