"""The few shapes of an answer: JSON, bare text, nothing.

No error is answered here; those stand in ``errors``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.responses import Response

_encoder = msgspec.json.Encoder()

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Plain(Response):
    """200 with a body, put together with a tenth of the effort that the general way takes.

    Args:
        body: the bytes.
        kind: the header that says what they are.
    """

    def __init__(self, body: bytes, kind: tuple[bytes, bytes]) -> None:
        self.status_code = 200
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), kind]


def json(value: Any) -> Response:
    """200 with a JSON body."""
    return Plain(_encoder.encode(value), _JSON)


def text(value: str) -> Response:
    """200 with the bare text: no quotes, no newline."""
    return Plain(value.encode(), _TEXT)


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
