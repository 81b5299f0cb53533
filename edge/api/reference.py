"""The document of the API, and the page that people read it on.

No operation is described here.
"""

from __future__ import annotations

import asyncio

from edge.api.call import Call
from edge.console import CONSOLE_FOLDER
from edge.responses import RedirectResponse, Response
from sync.web.pages import SECURITY_HEADERS

_PAGE = CONSOLE_FOLDER / "reference.html"


async def document(call: Call) -> Response:
    """This document: every operation of the device as OpenAPI."""
    assert call.house.document is not None, "build_app describes its table"
    return Response(await call.house.document(), media_type="application/json")


async def page(_: Call) -> Response:
    """A page to read this document on and to try its operations."""
    content = await asyncio.to_thread(_PAGE.read_bytes)
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


async def way_to_page(_: Call) -> Response:
    """To the page under its full address, from which its parts are found."""
    return RedirectResponse("/swagger-ui/index.html", status_code=302)
