"""Evidence files as answers, whole or in parts, so that a browser can seek in a clip.

Nothing outside the evidence folder is ever answered, whatever the path says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.api.call import Call
from edge.kept_files import find, media_type_of
from edge.model.errors import NotFound
from edge.responses import FileResponse, Response

_EVIDENCE_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
"""Evidence comes from handlers; a page among it must not run scripts in the console's name."""


async def evidence(call: Call) -> Response:
    """A file that a workflow kept as evidence."""
    root = call.house.evidence_root
    if root is None:
        raise NotFound("This device keeps no evidence.")
    headers = {
        # A key names one content, which is never changed.
        "Cache-Control": "private, max-age=3600",
        "Content-Security-Policy": _EVIDENCE_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return await _answer(call, root, call.params["path"], headers)


async def _answer(call: Call, root: Path, name: str, headers: dict[str, str]) -> Response:
    found = await asyncio.to_thread(find, root, name)
    if found is None:
        raise NotFound(f"There is no file {name[:200]!r} here.")
    path, status = found
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    if call.header(b"if-none-match") == etag:
        return Response(status_code=304, headers={**headers, "ETag": etag})
    media_type = media_type_of(path.name)
    return FileResponse(
        path, headers={**headers, "ETag": etag}, media_type=media_type, stat_result=status
    )
