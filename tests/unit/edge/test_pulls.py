"""What a task gets that asks for messages."""

from __future__ import annotations

import msgspec

from edge import pulls
from edge.model.calls import Pull
from edge.model.executions import TaskStatus, workflow_uuid
from edge.store.mailboxes import Letter

_ID = bytes(range(12)) + bytes(4)


def test_messages_end_the_task() -> None:
    """With what each of them is, as Conductor shows it, and their number."""
    letters = [Letter("a", 1, b'{"n":null}'), Letter("b", 2, b"{}")]
    command = pulls.answer(_ID, Pull(3, batch=2, blocking=True), letters)

    assert command is not None
    assert (3, TaskStatus.COMPLETED) == (command.ordinal, command.status)
    output = msgspec.json.decode(command.output)
    assert {
        "id": "a",
        "workflowId": workflow_uuid(_ID),
        "payload": {"n": None},
        "receivedAt": "1970-01-01T00:00:00.001Z",
    } == output["messages"][0]
    assert (2, 2) == (output["count"], len(output["messages"]))


def test_without_messages_patience_decides() -> None:
    """Who blocks goes on waiting, who does not gets an empty list."""
    hasty = pulls.answer(_ID, Pull(3, batch=2, blocking=False), [])

    assert pulls.answer(_ID, Pull(3, batch=2, blocking=True), []) is None
    assert hasty is not None
    assert {"messages": [], "count": 0} == msgspec.json.decode(hasty.output)
