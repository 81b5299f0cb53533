"""Files of large payloads, named by what is in them: written whole or not at all, read back checked.

Which record needs which file is not known here.

A file appears under its name only after its bytes are on the disk, and whoever asked for it goes on
only after its name is, too. So a file that a record refers to is there, after any power cut; a file
that was written for a record which never was is an orphan, and swept.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

from edge.durable import FILES, FileSystem
from edge.model.errors import PayloadLost

_PLAIN, _GZIP = ".json", ".json.gz"

_UNFINISHED = ".unfinished"
"""Not reachable by a digest; emptied when the store is opened."""

_LEVEL = 1
"""Of the compression: on a small board the processor is as slow as the card."""

_WORTH = 0.9
"""A file is kept compressed if that leaves less than this part of it."""

_LARGEST = 2**30
"""Bytes that a compressed file may unfold into; no payload is as large."""

_REMEMBERED = 10_000
"""Files that are known to be safe on the disk, so that they are not forced out again."""

DIGEST_BYTES = 32


class PayloadFiles:
    """Payloads by their digest. ``put`` and ``drop`` belong to one thread, the rest to any.

    Args:
        root: folder of the files; made when the first one is written.
        files: changes them.
    """

    def __init__(self, root: Path, files: FileSystem = FILES) -> None:
        self.root = root
        self._files = files
        self._numbers = itertools.count()
        self._safe: dict[bytes, None] = {}
        if (root / _UNFINISHED).is_dir():
            for leftover in (root / _UNFINISHED).iterdir():
                files.unlink(leftover)

    def put(self, payload: bytes) -> bytes:
        """Keep a payload; returns its digest once it is on the disk.

        Raises:
            OSError: the disk refused.
        """
        digest = hashlib.sha256(payload).digest()
        path = self._found(digest)
        if path is not None and digest in self._safe:
            return digest
        if path is None:
            path = self._write(digest, payload)
        for folder in path.parents[:4]:
            self._files.force_out_folder(folder)
        self._safe[digest] = None
        while len(self._safe) > _REMEMBERED:
            del self._safe[next(iter(self._safe))]
        return digest

    def get(self, digest: bytes) -> bytes:
        """A payload, as it was put.

        Raises:
            PayloadLost: its file is gone or damaged.
        """
        path = self._found(digest)
        if path is None:
            raise PayloadLost(f"The file {self._path(digest, _PLAIN)} of a payload is gone.")
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = zlib.decompressobj(31).decompress(content, _LARGEST)
        except (OSError, zlib.error) as error:
            raise PayloadLost(f"The file {path} of a payload cannot be read: {error}") from error
        if hashlib.sha256(content).digest() != digest:
            raise PayloadLost(f"The file {path} of a payload is damaged.")
        return content

    def drop(self, digest: bytes) -> None:
        """Remove a payload's file; one that is not there is not missed."""
        self._safe.pop(digest, None)
        for suffix in (_PLAIN, _GZIP):
            self._files.unlink(self._path(digest, suffix))

    def all(self) -> Iterator[bytes]:
        """The digests of all files."""
        for path in self.root.glob("??/??/*.json*"):
            digest = digest_of(path.name.split(".", 1)[0])
            if digest is not None and path in (self._path(digest, s) for s in (_PLAIN, _GZIP)):
                yield digest

    def _write(self, digest: bytes, payload: bytes) -> Path:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        packed = packer.compress(payload) + packer.flush()
        helps = len(packed) < len(payload) * _WORTH
        path = self._path(digest, _GZIP if helps else _PLAIN)
        self._files.make_folder(path.parent)
        unfinished = self.root / _UNFINISHED / str(next(self._numbers))
        self._files.make_folder(unfinished.parent)
        try:
            with unfinished.open("wb") as file:
                file.write(packed if helps else payload)
                self._files.force_out(file)
            self._files.rename(unfinished, path)
        finally:
            self._files.unlink(unfinished)
        return path

    def _found(self, digest: bytes) -> Path | None:
        for suffix in (_PLAIN, _GZIP):
            path = self._path(digest, suffix)
            if path.is_file():
                return path
        return None

    def _path(self, digest: bytes, suffix: str) -> Path:
        name = digest.hex()
        return self.root / name[:2] / name[2:4] / f"{name}{suffix}"


def digest_of(text: str) -> bytes | None:
    """A digest from its hexadecimal digits; None when this is something else."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_BYTES and digest.hex() == text else None
