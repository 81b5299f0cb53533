"""What a task gets that asks for the messages of its execution.

Nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.model.calls import Pull
from edge.model.decision import UpdateTask
from edge.model.executions import TaskStatus, workflow_uuid
from edge.store.mailboxes import Letter
from edge.wire import iso


def answer(workflow_id: bytes, call: Pull, letters: Sequence[Letter]) -> UpdateTask | None:
    """The task's end with the messages in its output; None = it goes on waiting."""
    if call.blocking and not letters:
        return None
    messages = [
        {
            "id": letter.id,
            "workflowId": workflow_uuid(workflow_id),
            "payload": msgspec.Raw(letter.payload),
            "receivedAt": iso(letter.received_ms),
        }
        for letter in letters
    ]
    output = {"messages": messages, "count": len(messages)}
    return UpdateTask(call.ordinal, TaskStatus.COMPLETED, msgspec.json.encode(output))
