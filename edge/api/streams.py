"""Server-sent events for the console.

What is sent stands in ``hints``.
"""

from __future__ import annotations

from edge.api.call import Call
from edge.responses import Response, StreamingResponse


async def stream(call: Call) -> Response:
    """Send hints until the client goes away or the daemon stops."""
    return StreamingResponse(
        call.house.streams.open(call.house.engine),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
