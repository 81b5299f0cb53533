"""Executions with those that stand inside them, read as of one commit.

Nothing is written here.
"""

from __future__ import annotations

from edge.model.executions import Task
from edge.model.requests import ExecutionView
from edge.store.committed import Records


def read_tree(records: Records, workflow_id: bytes) -> list[ExecutionView]:
    """An execution and those inside it that have not ended, depth first; empty = unknown."""
    found: list[ExecutionView] = []
    waiting = [workflow_id]
    while waiting:
        workflow = records.workflow(waiting.pop())
        if workflow is None:
            continue
        tasks = sorted(records.tasks(workflow.key), key=lambda t: t.seq)
        found.append(ExecutionView(workflow, records.pinned(workflow.pinned), tasks))
        waiting += [task.child for task in reversed(tasks) if is_running_child(task)]
    return found


def is_running_child(task: Task) -> bool:
    """Whether a task waits for an execution that it has started."""
    return task.kind == "SUB_WORKFLOW" and bool(task.child) and not task.status.terminal
