"""Messages that were sent to an execution: who in it waits for them.

The messages themselves are kept elsewhere.
"""

from __future__ import annotations

from edge.decider.draft import Draft
from edge.decider.operators import pull_workflow_messages as pull
from edge.model.decision import MessagesArrived, PullLater


def arrived(draft: Draft, _: MessagesArrived) -> None:
    """Let the tasks that wait for messages ask again, the one that has waited longest first."""
    for task in draft.snapshot.open_tasks():
        if task.kind == pull.KIND:
            pull.ask(draft, task)


def pull_later(draft: Draft, command: PullLater) -> None:
    """Have a task ask again in a transaction of its own."""
    task = draft.snapshot.tasks[command.ordinal]
    draft.change(task, due_ms=draft.now_ms + 1)
