"""Rows that wait to be written: those of the request that is being carried out, and the batch's.

No statement stands here, and nothing is read.
"""

from __future__ import annotations

from edge.model.decision import Decision
from edge.model.executions import Task, Workflow, split_task_key, task_key

LogRow = tuple[int, int, str]
"""Task key, epoch milliseconds, line."""


class Staged:
    """What shall be written together, each row once and in its last form."""

    def __init__(self) -> None:
        self.workflows: dict[int, Workflow] = {}
        self.tasks: dict[int, Task] = {}
        self.dropped: set[int] = set()
        """Keys of task records that are taken away; no key is ever used again."""
        self.removed: dict[int, bytes] = {}
        """Executions that are taken away whole: key and id."""
        self.logs: list[LogRow] = []

    def __len__(self) -> int:
        """Rows that are to be written or taken away."""
        records = len(self.workflows) + len(self.tasks) + len(self.logs)
        return records + len(self.dropped) + len(self.removed)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be done."""
        return not (self.tasks or self.workflows or self.logs or self.dropped or self.removed)

    def take(self, workflow_key: int, decision: Decision) -> None:
        """Take over what a decision wants written."""
        for ordinal in decision.dropped:
            self._drop(task_key(workflow_key, ordinal))
        if decision.workflow is not None:
            self.workflows[workflow_key] = decision.workflow
        first = task_key(workflow_key, 0)
        for task in decision.tasks:
            self.tasks[first | task.ordinal] = task
        if decision.logs:
            self.logs += [
                (first | line.ordinal, line.created_ms, line.line) for line in decision.logs
            ]

    def remove(self, workflow_key: int, workflow_id: bytes) -> None:
        """Take a whole execution away, and whatever of it was waiting."""
        self.workflows.pop(workflow_key, None)
        for key in [key for key in self.tasks if split_task_key(key)[0] == workflow_key]:
            del self.tasks[key]
        self.logs = [row for row in self.logs if split_task_key(row[0])[0] != workflow_key]
        self.removed[workflow_key] = workflow_id

    def add(self, later: Staged) -> None:
        """Lay what was staged later over this."""
        for key, workflow_id in later.removed.items():
            self.remove(key, workflow_id)
        for key in later.dropped:
            self._drop(key)
        self.workflows.update(later.workflows)
        self.tasks.update(later.tasks)
        if later.logs:
            self.logs += later.logs

    def clear(self) -> None:
        """Forget everything."""
        for rows in (self.workflows, self.tasks, self.dropped, self.removed, self.logs):
            # Mostly there is nothing in most of them.
            if rows:
                rows.clear()

    def _drop(self, key: int) -> None:
        self.tasks.pop(key, None)
        self.dropped.add(key)
