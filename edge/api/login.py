"""Endpoints under ``/api/token``: a token for a key, and who a token is for.

What an operation needs is judged by the guard.
"""

from __future__ import annotations

from edge.api import answers
from edge.api.call import Call
from edge.api.people import shown_application
from edge.model.access import Credentials, parse_access
from edge.model.errors import InvalidInput
from edge.responses import Response


async def create_token(call: Call) -> Response:
    """Give a token for a key id and its secret; send it as X-Authorization."""
    posted = parse_access(await call.json_object(), Credentials)
    if not posted.key_id or not posted.key_secret:
        raise InvalidInput("keyId and keySecret are needed")
    client = call.scope.get("client")
    address = client[0] if client else "unknown"
    token, caller = await call.guard.token_for(posted, address)
    return answers.json({"token": token, "userId": caller.id})


async def user_info(call: Call) -> Response:
    """Whom the token of this request is for, with roles and their permissions."""
    known, application = await call.guard.directory(), call.caller.application
    return answers.json(
        await call.house.engine.database.read(lambda c: shown_application(c, application, known))
    )


async def create_view_token(call: Call) -> Response:
    """Give a token that is good for an hour of looking at pictures, files and the stream.

    The pages keep it in a cookie, because what a page embeds cannot send a header.
    """
    return answers.json({"token": call.guard.view_token(call.key_id, call.caller)})
