"""A file that takes up space, so that there is some left to finish what has begun on a full disk.

When it is given up and taken again is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Reserve:
    """The file.

    Args:
        path: of it.
        size_bytes: 0 = there is none, and it can always be taken.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self.size_bytes = size_bytes

    def take(self) -> bool:
        """Take up the space; False when there is less than twice as much.

        So that the next transaction does not fill the disk again.
        """
        if not self.size_bytes:
            return True
        try:
            if self._held():
                return True
            space = os.statvfs(self._path.parent)
            if space.f_bavail * space.f_frsize < 2 * self.size_bytes:
                return False
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.size_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def _held(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        # A file with a hole where space should be keeps nothing for anybody.
        return found.st_size >= self.size_bytes and found.st_blocks * 512 >= self.size_bytes

    def release(self) -> None:
        """Give the space up."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
