"""What changes files, forced out to the disk where it has to be: one seam for all rooms.

What is in the files is not known here, and reading them needs no seam.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


class FileSystem:
    """Changes files. Its methods may be called from any thread.

    Tests put another in its place that also notes what was asked, to work out what a power cut at
    any moment would leave.
    """

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those around it; one that is there stays."""
        folder.mkdir(parents=True, exist_ok=True)

    def force_out(self, file: BinaryIO) -> None:
        """Force the bytes of an open file to the disk; its name is another matter."""
        file.flush()
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of whatever had it; not yet for certain."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """Take a file away; one that is not there is not missed. Not yet for certain."""
        path.unlink(missing_ok=True)

    def force_out_folder(self, folder: Path) -> None:
        """Force the names in a folder to the disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


FILES = FileSystem()
"""The machine's own."""
