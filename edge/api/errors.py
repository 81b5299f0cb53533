"""Exceptions as HTTP answers: the one place where a status is chosen.

No exception is raised or caught here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.api.call import malformed
from edge.api.routing import MethodNotAllowed
from edge.model.errors import (
    BatonError,
    InvalidInput,
    Overloaded,
    PayloadTooLarge,
    StorageUnavailable,
    Unauthenticated,
    ValidationFailed,
)
from edge.responses import Response

_RETRY_AFTER_S = 5
"""When to ask a disk in trouble again; it is tried every other second."""


def answer_to(error: Exception, instance: str) -> Response | None:
    """The answer in Conductor's error shape; None for an exception that nobody expected.

    Args:
        error: what an endpoint raised.
        instance: the server's name, repeated in the body.
    """
    match error:
        case MethodNotAllowed():
            body = _body(405, f"Request method is not supported: {error}", instance)
            body["code"] = "method_not_allowed"
            return _answer(405, body, {"Allow": ", ".join(error.allowed)})
        case PayloadTooLarge():
            # The rest of the body is not read, so the connection cannot be used again.
            return _answer(error.status, _known(error, instance), {"Connection": "close"})
        case StorageUnavailable():
            headers = {"Retry-After": str(_RETRY_AFTER_S)}
            return _answer(error.status, _known(error, instance), headers)
        case Overloaded():
            headers = {"Retry-After": str(error.later_s)}
            return _answer(error.status, _known(error, instance), headers)
        case BatonError():
            return _answer(error.status, _known(error, instance), {})
        case msgspec.DecodeError() | UnicodeError():
            return answer_to(InvalidInput(malformed(error)), instance)
        case RecursionError():
            return answer_to(InvalidInput("JSON is nested too deeply"), instance)
        case _:
            return None


def unexpected(instance: str) -> Response:
    """The answer to a fault of ours; what it was stands in the log, not in the answer."""
    message = "The request could not be carried out; the cause is in the device's log."
    return _answer(500, {**_body(500, message, instance), "code": "internal_error"}, {})


def _known(error: BatonError, instance: str) -> dict[str, Any]:
    body = _body(error.status, error.message, instance)
    body["retryable"] = error.retryable
    body["code"] = error.code
    if isinstance(error, ValidationFailed):
        body["validationErrors"] = error.fields
    if isinstance(error, Unauthenticated):
        # Clients renew their token on this word, and on no other.
        body["error"] = error.error
    return body


def _body(status: int, message: str, instance: str) -> dict[str, Any]:
    return {
        "status": status,
        "message": message,
        "instance": instance,
        "retryable": False,
    }


def _answer(status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
