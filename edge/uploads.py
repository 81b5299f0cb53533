"""Files that clients send: taken as a stream, each under a name, whole or not at all.

What a file is for, and who refers to it, is not known here.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from edge.durable import FILES, FileSystem
from edge.model.errors import (
    BatonError,
    InvalidInput,
    PayloadTooLarge,
    StorageUnavailable,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,127}){0,7}")
"""One to eight parts without anything that means something to a file system."""

_UNFINISHED = ".unfinished"

_CREDIBLE_S = 1_577_836_800
"""2020: a device without a battery-backed clock boots in 1970, and of a file from before this
nothing is known of its age."""


class Taken(NamedTuple):
    """A file that has arrived."""

    size_bytes: int
    sha256: str


class Uploads:
    """Files under one root, within a budget of bytes.

    Args:
        root: folder of the files; made when the first one arrives.
        budget_bytes: what all of them together may take.
        files: changes them.
    """

    def __init__(self, root: Path, budget_bytes: int, files: FileSystem = FILES) -> None:
        self.root = root
        self._disk = files
        self.budget_bytes = budget_bytes
        self._numbers = itertools.count()
        self._arriving = 0
        self._landed = 0
        """Bytes of all files that have arrived so far."""
        self._placing = asyncio.Lock()
        if (root / _UNFINISHED).is_dir():
            for leftover in (root / _UNFINISHED).iterdir():
                files.unlink(leftover)

    async def take(
        self,
        name: str,
        parts: AsyncIterator[bytes],
        note: Callable[[Taken], Awaitable[None]] | None = None,
    ) -> Taken:
        """Keep what arrives under a name, in place of what was there; it is on the disk then.

        Args:
            name: of the file.
            parts: its bytes.
            note: told of the file before it takes the place of another; until this has returned
                ``find`` has the other, by its digest, and from then on this one. If it refuses,
                nothing has changed.

        Raises:
            InvalidInput: the name is none.
            PayloadTooLarge: the budget is used up.
            StorageUnavailable: the disk refused.
        """
        target = self.path_of(name)
        try:
            return await self._take(target, parts, note)
        except OSError as error:
            raise StorageUnavailable(f"the disk refused to keep {name}: {error}") from error

    async def _take(
        self,
        target: Path,
        parts: AsyncIterator[bytes],
        note: Callable[[Taken], Awaitable[None]] | None,
    ) -> Taken:
        unfinished = self.root / _UNFINISHED / str(next(self._numbers))
        self._disk.make_folder(unfinished.parent)
        # What lands while they are counted may count twice: near the budget a file too many is
        # refused, and none too many is kept.
        landed = self._landed
        room = self.budget_bytes - await asyncio.to_thread(self.used_bytes)
        digest, size = hashlib.sha256(), 0
        try:
            with unfinished.open("wb") as file:
                async for part in parts:
                    size += len(part)
                    self._arriving += len(part)
                    if self._arriving + self._landed - landed > room:
                        raise PayloadTooLarge(
                            f"The {self.budget_bytes} bytes for files of clients are used up; "
                            "executions that are removed free theirs"
                        )
                    digest.update(part)
                    await asyncio.to_thread(file.write, part)
                await asyncio.to_thread(self._disk.force_out, file)
            taken = Taken(size, digest.hexdigest())
            # One after the other: what was noted last is what lies there in the end.
            async with self._placing:
                if note is not None:
                    unfinished = await self._noted(unfinished, target, taken, note)
                await asyncio.to_thread(self._put_in_place, unfinished, target)
                self._landed += size
        finally:
            self._arriving -= size
            self._disk.unlink(unfinished)
        return taken

    async def _noted(
        self,
        unfinished: Path,
        target: Path,
        taken: Taken,
        note: Callable[[Taken], Awaitable[None]],
    ) -> Path:
        """Have a finished file noted, while it lies beside the one whose place it takes.

        Whatever is noted when the power fails, its content is on the disk: the old one under the
        name, or the new one beside it under its digest.

        Returns:
            Where it lies; only this is left for the next one when nobody knows what was noted.
        """
        beside = _beside(target, taken.sha256)
        # Of an earlier try, perhaps, of which nobody knows whether it was noted.
        is_ours = not beside.exists()
        await asyncio.to_thread(self._put_in_place, unfinished, beside)
        try:
            await note(taken)
        except StorageUnavailable:
            raise
        except BatonError:
            if is_ours:
                self._disk.unlink(beside)
            raise
        return beside

    def find(self, name: str, sha256: str | None = None) -> Path | None:
        """Where a file is; None = there is none of this name.

        Args:
            name: of the file.
            sha256: of its content, as it was noted; None = nobody has noted it.

        Raises:
            InvalidInput: the name is none.
        """
        path = self.path_of(name)
        if sha256 is not None and _beside(path, sha256).is_file():
            return _beside(path, sha256)
        return path if path.is_file() else None

    def drop(self, name: str) -> None:
        """Remove a file; one that is not there is not missed."""
        path = self.path_of(name)
        for one in (path, *_all_beside(path)):
            self._disk.unlink(one)

    def path_of(self, name: str) -> Path:
        """Where a file is, or would be. Its name is hashed: none can lead out of the folder.

        Raises:
            InvalidInput: the name is none.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidInput(
                f"{name[:200]!r} cannot be the name of a file: use letters, digits, '_', '-' and "
                "'.' in one to eight parts between '/'"
            )
        return self.root / hashlib.sha256(name.encode()).hexdigest()

    def used_bytes(self) -> int:
        """What all files take."""
        return sum(size for _, _, size in self._files())

    def sweep(self, now_s: float, max_age_s: float) -> int:
        """Remove what has lain here for longer; returns how many files."""
        removed = 0
        for path, changed_s, _ in self._files():
            if changed_s < _CREDIBLE_S <= now_s:
                os.utime(path, (now_s, now_s))
            elif changed_s < now_s - max_age_s:
                self._disk.unlink(path)
                removed += 1
        return removed

    def _put_in_place(self, unfinished: Path, target: Path) -> None:
        """Give a finished file its name, and force that out, too, with the folders that lead there.

        The root may be new, and so may the folder around it.
        """
        self._disk.rename(unfinished, target)
        for folder in target.parents[:3]:
            self._disk.force_out_folder(folder)
        if not target.suffix:
            # What power cuts have left of others that were to have this name.
            for leftover in _all_beside(target):
                self._disk.unlink(leftover)

    def _files(self) -> list[tuple[Path, float, int]]:
        """Every file with the time of its last change and its size."""
        found = []
        for path in self.root.iterdir() if self.root.is_dir() else ():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                found.append((path, status.st_mtime, status.st_size))
        return found


def _beside(path: Path, sha256: str) -> Path:
    """Where the content of this digest waits for its place."""
    return path.with_name(f"{path.name}.{sha256}")


def _all_beside(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.*"))
