"""The endpoint that sends a message to one running execution.

Who takes it stands in the decider.
"""

from __future__ import annotations

from edge import mailbox
from edge.api import answers
from edge.api.call import Call
from edge.clock import new_request_id
from edge.responses import Response


async def push(call: Call) -> Response:
    """Send a message to a running execution; answers the message's id as text."""
    payload = await call.json_object()
    workflow_id, message_id = call.params["id"], new_request_id()
    await call.house.engine.request(lambda t: mailbox.push(t, workflow_id, message_id, payload))
    return answers.text(message_id)
