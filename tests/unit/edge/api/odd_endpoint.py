"""An endpoint that reads in every way, to be read itself; it stands on no route."""

from __future__ import annotations

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.responses import Response

_DEFAULT = 7


async def endpoint(call: Call) -> Response:
    """Reads a parameter of each kind, some of them in functions that it calls."""
    call.text("a", "x")
    call.required("b")
    call.texts("c")
    call.optional_number("d")
    name = "unknown"
    call.text(name)
    _inner(call, name="e", default=_DEFAULT)
    _inner(call, "f", default=3)
    await call.json_object()
    if call.flag("g", default=False):
        return answers.nothing()
    return Response(b"", status_code=202, media_type="text/csv; header=present")


def _inner(other: Call, name: str, *, default: int) -> None:
    other.number(name, default)
    _inner(other, name, default=default)


class Documented(msgspec.Struct):
    """A shape with words."""

    first: int
    """What the first
    one is."""
    second: str
    third: int = 0
    """The third."""
