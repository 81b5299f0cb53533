"""Messages to one execution: pushed by whoever knows its id, pulled by its tasks.

Where they are kept stands in the store.
"""

from __future__ import annotations

import msgspec

from edge.model.decision import MessagesArrived
from edge.model.definitions import JsonObject
from edge.model.errors import Conflict, NotFound, Overloaded, PayloadTooLarge
from edge.model.events import PAYLOAD_BYTES
from edge.model.executions import WorkflowStatus, parse_workflow_id
from edge.store.mailboxes import MAX_MESSAGES, Letter
from edge.transactions import Transaction


def push(transaction: Transaction, workflow_id: str, message_id: str, payload: JsonObject) -> None:
    """Send a message to a running execution; a task that waits for one gets it at once.

    Raises:
        NotFound: no such execution.
        Conflict: it is not running.
        Overloaded: too many of its messages wait already.
        PayloadTooLarge: so large a message could not be kept a thousand times.
    """
    try:
        workflow = transaction.snapshot(parse_workflow_id(workflow_id)).workflow
    except NotFound as error:
        raise NotFound(f"Workflow not found: {workflow_id}") from error
    if workflow.status is not WorkflowStatus.RUNNING:
        raise Conflict(
            f"Workflow {workflow_id} is not in RUNNING state (current: {workflow.status})"
        )
    letter = Letter(message_id, transaction.now_ms, msgspec.json.encode(payload))
    if len(letter.payload) > PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"The message has {len(letter.payload)} bytes and {PAYLOAD_BYTES} are allowed: "
            "send a reference instead"
        )
    if not transaction.mailboxes.put(transaction.connection, workflow.key, letter):
        raise Overloaded(
            f"Workflow message queue for workflowId={workflow_id} has reached the maximum size "
            f"of {MAX_MESSAGES}"
        )
    transaction.decide(workflow.id, MessagesArrived())
