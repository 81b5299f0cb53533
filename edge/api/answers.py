"""The few shapes of an answer: JSON, bare text, nothing.

No error is answered here; those stand in ``errors``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


def json(value: Any) -> Response:
    """200 with a JSON body."""
    return Response(_encoder.encode(value), media_type="application/json")


def text(value: str) -> Response:
    """200 with the bare text: no quotes, no newline."""
    return Response(value, media_type="text/plain")


def void() -> Response:
    """200 without a body and without a content type, as Conductor's void methods answer."""
    return Response(b"")


def nothing() -> Response:
    """204."""
    return Response(status_code=204)


def bulk(errors: dict[str, str], done: list[str]) -> dict[str, Any]:
    """What became of each item of a list, in Conductor's shape; 200 even if all failed."""
    return {
        "bulkErrorResults": errors,
        "bulkSuccessfulResults": done,
        "message": "Bulk Request has been processed.",
    }
