"""Files that hold a key: 64 hexadecimal digits, for their owner's eyes only.

What a key is good for stands elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.durable import FILES, FileSystem

KEY_BYTES = 32
_MAX_FILE_BYTES = 1_000
"""A larger file holds no key."""


class KeyFileUnusable(Exception):
    """The file cannot be used; the message says why, and what to do, as the end of a sentence."""


def create(path: Path, files: FileSystem = FILES) -> None:
    """Make a key file: whole or not at all, whenever the power fails.

    One process works on a data directory, so nobody else makes one at the same time.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    files.unlink(unfinished)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
        files.force_out(file)
    files.rename(unfinished, path)
    # What is made with a key must never be on the disk before the key is.
    files.force_out_folder(path.parent)


def read(path: Path) -> bytes:
    """The key as the file has it now.

    Raises:
        KeyFileUnusable: it is not there, everybody can read it, or it holds something else.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:
                raise KeyFileUnusable("can be read by everybody; run chmod 600 on it")
            text = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise KeyFileUnusable(f"cannot be read ({error.strerror}); put it back") from error
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError as error:
        raise KeyFileUnusable("does not hold 64 hexadecimal digits") from error
    if len(key) != KEY_BYTES:
        raise KeyFileUnusable("does not hold 64 hexadecimal digits")
    return key
