"""Records of executions that are committed and stand in no table yet, by execution.

No statement stands here; when the tables follow is decided elsewhere.
"""

from __future__ import annotations

from edge.model.executions import ORDINAL_BITS, Task, Workflow
from edge.store.staging import Staged


class Recent:
    """What is committed and stands in no table yet: the same as in the rows of ``redo``."""

    def __init__(self) -> None:
        self.rows = Staged()
        self._keys: dict[bytes, int] = {}
        """Of the executions among them, by id."""
        self._tasks: dict[int, dict[int, None]] = {}
        """Keys of the tasks among them, by the key of their execution."""

    def add(self, batch: Staged) -> None:
        """Lay what was committed last over the rest."""
        for workflow in batch.workflows.values():
            self._keys[workflow.id] = workflow.key
        for key in batch.tasks:
            self._tasks.setdefault(key >> ORDINAL_BITS, {})[key] = None
        self.rows.add(batch)

    def clear(self) -> None:
        """The tables have it."""
        self.rows.clear()
        self._keys.clear()
        self._tasks.clear()

    def workflow(self, workflow_id: bytes) -> Workflow | None:
        """The record of an execution; None = it is not among these."""
        return self.rows.workflows.get(self._keys.get(workflow_id, 0))

    def tasks(self, workflow_key: int) -> dict[int, Task]:
        """The task records of an execution that are among these, by key."""
        rows = self.rows.tasks
        return {key: rows[key] for key in self._tasks.get(workflow_key, ()) if key in rows}
