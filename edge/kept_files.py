"""Files below a folder, by names that others have given: found, or not, and of what type.

Nothing is opened here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

_TYPES = {
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown; charset=utf-8",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
"""By the end of the name; the system's own table differs from image to image."""


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


def media_type_of(name: str) -> str:
    """What a file is, as far as the end of its name tells."""
    return _TYPES.get(PurePath(name).suffix.lower(), "application/octet-stream")
