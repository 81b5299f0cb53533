"""What a task gets that asks for the messages of its execution.

Where messages are kept stands in the store, how long a task waits in the decider.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from edge.model.calls import Pull
from edge.model.decision import PullLater, UpdateTask
from edge.model.executions import TaskStatus, Workflow, workflow_uuid
from edge.store.mailboxes import Letter, Mailboxes
from edge.wire import iso

AT_ONCE = 200
"""Times that tasks of one request take messages. A loop that takes messages for ever goes on in the
transactions that follow, and others have their turn between."""


class Box(NamedTuple):
    """The messages of one execution, and when they are asked for."""

    mailboxes: Mailboxes
    connection: sqlite3.Connection
    """Guarded: what is taken is there again when the request is undone."""
    workflow: Workflow
    now_ms: int


def answer_to(call: Pull, box: Box, *, asked: int) -> UpdateTask | PullLater | None:
    """What becomes of a task that asks; None = it goes on waiting.

    Args:
        call: what it asks for.
        box: where the messages are.
        asked: how often tasks have asked in this request.
    """
    if asked > AT_ONCE:
        return PullLater(call.ordinal)
    letters = box.mailboxes.take(box.connection, box.workflow.key, call.batch, box.now_ms)
    return answer(box.workflow.id, call, letters)


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
