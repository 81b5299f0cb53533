"""The evidence store: files that handlers make, by key, each written whole or not at all.

Nothing here knows what is in a file, or who wants to have it elsewhere.

A file appears under its name only after its bytes are on disk: it is written under another name,
forced out, renamed, and the folder is forced out. So a file that is there is whole, after any power
cut, and the same key always means the same file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

# One to eight parts without anything that means something to a file system or a topic.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,127}){0,7}")

_MEDIA_TYPES = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".json": "application/json"}
_OTHER_MEDIA_TYPE = "application/octet-stream"

# Not reachable by a key, for keys do not begin with a dot.
_UNFINISHED = ".unfinished"
_PINS = ".pins"

# A device without a battery-backed clock boots in 1970; a file from before this was written then,
# and nothing is known of its age.
_CREDIBLE_S = 1_577_836_800  # 2020-01-01

_CHUNK_BYTES = 1 << 20


class EvidenceRef(msgspec.Struct, frozen=True):
    """A finished file."""

    key: str
    """The name its handler gave it."""

    path: str
    """Where it is, relative to the store's root."""

    media_type: str
    sha256: str
    """Of the content, in hexadecimal."""

    size_bytes: int


class EvidenceStore:
    """Files under one root, within a budget of bytes and an age."""

    def __init__(self, root: Path, budget_bytes: int, max_age_s: float) -> None:
        """Open the store and throw away what a power cut left unfinished.

        Args:
            root: Folder of the store; made if it is not there. One process uses it at a time.
            budget_bytes: What all files together may take after a `sweep`.
            max_age_s: Older files go with a `sweep`, unless they are pinned.
        """
        self.root = root.resolve()
        self.budget_bytes = budget_bytes
        self.max_age_s = max_age_s
        self._numbers = itertools.count()
        for folder in (self.root, self.root / _UNFINISHED, self.root / _PINS):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in (self.root / _UNFINISHED).iterdir():
            leftover.unlink()

    def write(self, key: str, data: bytes) -> EvidenceRef:
        """Store bytes under a key, in place of what was there; see `make`."""
        return self.make(key, lambda path: _write_all(path, data))

    def make(self, key: str, produce: Callable[[Path], object]) -> EvidenceRef:
        """Let a callable write a file, and store it under a key, in place of what was there.

        Args:
            key: Parts of letters, digits, '_', '.', '-' joined by '/'; its suffix says the media
                type and is the suffix of the path that `produce` gets.
            produce: Writes the whole file at the path it is given. What it raises is passed on,
                and nothing is stored.

        Raises:
            ValueError: The key is not such a name.
            OSError: The disk is full or broken; nothing is stored.
        """
        target = self.path_of(key)
        unfinished = self.root / _UNFINISHED / f"{next(self._numbers)}{target.suffix}"
        try:
            produce(unfinished)
            _force_out(unfinished)
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        self._force_out_folders(target)
        return self._reference(key, target)

    def find(self, key: str) -> EvidenceRef | None:
        """Give a finished file by its key, or None if there is none."""
        path = self.path_of(key)
        return self._reference(key, path) if path.is_file() else None

    def path_of(self, key: str) -> Path:
        """Tell where a key's file is, or would be; always inside the root.

        Raises:
            ValueError: The key is not a name that `make` accepts.
        """
        if _KEY.fullmatch(key) is None:
            message = f"evidence key {key!r} may hold letters, digits, '_', '.', '-' between '/'"
            raise ValueError(message)
        return self.root / PurePosixPath(key)

    def drop(self, key: str) -> bool:
        """Remove a file and its pin; tell whether it was there."""
        path = self.path_of(key)
        self._pin_of(key).unlink(missing_ok=True)
        was_there = path.is_file()
        path.unlink(missing_ok=True)
        self._remove_if_empty(path.parent)
        return was_there

    def pin(self, key: str) -> None:
        """Keep a file beyond its age, and beyond others when space runs out; twice is once."""
        pin = self._pin_of(key)
        pin.touch()
        _force_out(pin.parent)

    def is_pinned(self, key: str) -> bool:
        """Tell whether a file is pinned."""
        return self._pin_of(key).exists()

    def sweep(self, now_ms: int) -> list[str]:
        """Remove what is too old, then the oldest until the budget is kept.

        Pinned files have no age, and go over budget only after all others: a full disk would stop
        everything, a lost clip does not.

        Returns:
            The keys of what was removed.
        """
        now_s = now_ms / 1000
        files = sorted(self._files(now_s))
        total_bytes = sum(size_bytes for _, _, size_bytes, _ in files)
        removed: list[str] = []
        for is_pinned, changed_s, size_bytes, key in files:
            is_too_old = not is_pinned and changed_s < now_s - self.max_age_s
            if is_too_old or total_bytes > self.budget_bytes:
                self.drop(key)
                total_bytes -= size_bytes
                removed.append(key)
        return removed

    def _files(self, now_s: float) -> Iterator[tuple[bool, float, int, str]]:
        """Go over all finished files: pinned or not, time of change, size, key."""
        for path in self.root.rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(".") or not path.is_file() or _KEY.fullmatch(key) is None:
                continue
            status = path.stat()
            changed_s = status.st_mtime
            if changed_s < _CREDIBLE_S <= now_s:
                os.utime(path, (now_s, now_s))
                changed_s = now_s
            yield self.is_pinned(key), changed_s, status.st_size, key

    def _reference(self, key: str, path: Path) -> EvidenceRef:
        """Describe a finished file."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return EvidenceRef(
            key=key,
            path=path.relative_to(self.root).as_posix(),
            media_type=_MEDIA_TYPES.get(path.suffix, _OTHER_MEDIA_TYPE),
            sha256=digest.hexdigest(),
            size_bytes=path.stat().st_size,
        )

    def _pin_of(self, key: str) -> Path:
        """Tell where a key's pin is; hashed, because pins lie in one flat folder."""
        self.path_of(key)
        return self.root / _PINS / hashlib.sha256(key.encode()).hexdigest()

    def _force_out_folders(self, path: Path) -> None:
        """Force out the names from a file's folder up to the root."""
        for folder in path.parents:
            _force_out(folder)
            if folder == self.root:
                return

    def _remove_if_empty(self, folder: Path) -> None:
        """Remove a folder that no longer holds anything, and so on upwards."""
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:  # It holds something, or another thread has removed it already.
                return
            folder = folder.parent


def _write_all(path: Path, data: bytes) -> None:
    """Write a new file."""
    path.write_bytes(data)


def _force_out(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
