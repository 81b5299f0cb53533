"""Evidence files as answers, whole or in parts, so that a browser can seek in a clip.

Nothing outside the evidence folder is ever answered, whatever the path says.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from starlette.responses import FileResponse, Response

from edge.api.call import Call
from edge.model.errors import NotFound

_TYPES = {
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
"""By the end of the name; the system's own table differs from image to image."""

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
    media_type = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(
        path, headers={**headers, "ETag": etag}, media_type=media_type, stat_result=status
    )


def find(root: Path, name: str) -> tuple[Path, os.stat_result] | None:
    """The regular file of that name below a folder; None when there is none.

    Links are followed before the place is judged, so none can lead out of the folder.
    """
    if "\0" in name or "\\" in name:
        return None
    try:
        base = root.resolve()
        path = (base / name).resolve()
        if not path.is_relative_to(base):
            return None
        status = path.stat()
    except OSError:
        return None
    return (path, status) if stat.S_ISREG(status.st_mode) else None
