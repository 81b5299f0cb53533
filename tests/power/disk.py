"""A disk as a list of operations, and what of it survives when the power goes.

What the operations are for is not known here. Paths are relative to the data directory.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""

MODES = ("drop", "prefix", "subset", "sector", "zeros", "keep")
"""What becomes of operations that nothing has forced out yet.

drop    none of them reached the disk
prefix  those before a moment did; the one at that moment perhaps in part, sector by sector
subset  each of them did or did not
sector  of each write, each sector did or did not
zeros   files have their sizes, but what was written beyond the old ends reads as zeros
keep    all of them did
"""


class MakeFolder(NamedTuple):
    """A folder has been made."""

    name: str


class Create(NamedTuple):
    """An empty file has been made under a name."""

    name: str
    file: int


class Rename(NamedTuple):
    """A file has got another name, in place of whatever had it."""

    old: str
    new: str
    file: int


class Unlink(NamedTuple):
    """A name has been taken away."""

    name: str


class Write(NamedTuple):
    """Bytes of a file have been written; the file grows to hold them."""

    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file has been cut to a size, in bytes."""

    file: int
    size: int


class Sync(NamedTuple):
    """The bytes of a file have been forced out; its name has not."""

    file: int


class SyncFolder(NamedTuple):
    """The names in a folder have been forced out; "" = the data directory."""

    name: str


NameChange = MakeFolder | Create | Rename | Unlink
Change = Write | Truncate
Operation = NameChange | Change | Sync | SyncFolder

Files = Mapping[str, bytes]
"""Contents by name."""


def numbered(names: Iterable[str]) -> list[tuple[str, int]]:
    """Files that are there from the beginning, with the numbers by which operations mean them."""
    return [(name, -1 - number) for number, name in enumerate(sorted(names))]


class _Names:
    """Which names there are, and which files they mean."""

    def __init__(self) -> None:
        self.folders: set[str] = {""}
        self.files: dict[str, int] = {}

    def copy(self) -> _Names:
        other = _Names()
        other.folders, other.files = set(self.folders), dict(self.files)
        return other

    def apply(self, change: NameChange) -> None:
        match change:
            case MakeFolder(name):
                self.folders.add(name)
            case Create(name, file):
                self.files[name] = file
            case Rename(old, new, file):
                # Forced out through the folder of the new name, it may be there before the old.
                self.files.pop(old, None)
                self.files[new] = file
            case Unlink(name):
                self.files.pop(name, None)

    def reachable(self) -> dict[str, int]:
        """The files whose folders are all there."""
        return {name: file for name, file in self.files.items() if self._has_folders(name)}

    def _has_folders(self, name: str) -> bool:
        folder = folder_of(name)
        return folder in self.folders and (not folder or self._has_folders(folder))


def folder_of(name: str) -> str:
    """The folder that a name stands in; "" = the data directory."""
    return name.rpartition("/")[0]


class Frozen(NamedTuple):
    """The bytes of a file in an image."""

    content: bytes
    digest: bytes
    """Equal for equal contents."""


def freeze(content: bytearray) -> Frozen:
    """The bytes as they are now."""
    frozen = bytes(content)
    return Frozen(frozen, hashlib.blake2b(frozen, digest_size=16).digest())


class _Content:
    """The bytes of one file: those that are certain, and the changes that are not."""

    def __init__(self, content: bytes = b"") -> None:
        self.certain = bytearray(content)
        self.version = 0
        self._frozen: Frozen | None = None
        self.pending: list[tuple[int, Change]] = []

    def sync(self) -> None:
        if self.pending:
            for _, change in self.pending:
                _apply(self.certain, change)
            self.pending.clear()
            self.version += 1
            self._frozen = None

    def frozen(self) -> Frozen:
        """What is certain, worked out once for all images that change nothing of it."""
        if self._frozen is None:
            self._frozen = freeze(self.certain)
        return self._frozen


def _apply(content: bytearray, change: Change) -> None:
    match change:
        case Write(_, offset, data):
            if offset > len(content):
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        case Truncate(_, size):
            if size < len(content):
                del content[size:]
            else:
                content.extend(bytes(size - len(content)))


class Image(NamedTuple):
    """What one power cut may leave."""

    moment: int
    """Operations that had been asked for."""
    mode: str
    plan: tuple[tuple[str, int, tuple[Change, ...]], ...]
    """Of each file its name, its number, and the changes on top of what is certain of it."""
    key: bytes
    """Equal keys in equal modes are equal images, so most need not be built."""


class Disk:
    """Replays operations and works out images on the way.

    Args:
        files: what is on the disk for certain at the beginning.
    """

    def __init__(self, files: Files) -> None:
        self._contents: dict[int, _Content] = {}
        self._certain = _Names()
        self._pending_names: list[tuple[int, NameChange]] = []
        self.index = 0
        """Operations that have happened."""
        for name, file in numbered(files):
            self._contents[file] = _Content(files[name])
            self._certain.files[name] = file
            folder = folder_of(name)
            while folder:
                self._certain.folders.add(folder)
                folder = folder_of(folder)

    def advance(self, operation: Operation) -> None:
        """Let an operation happen."""
        match operation:
            case Write() | Truncate():
                self._contents[operation.file].pending.append((self.index, operation))
            case Sync(file):
                self._contents[file].sync()
            case SyncFolder(folder):
                self._sync_folder(folder)
            case _:
                if isinstance(operation, Create):
                    self._contents[operation.file] = _Content()
                self._pending_names.append((self.index, operation))
        self.index += 1

    def _sync_folder(self, folder: str) -> None:
        left = []
        for one in self._pending_names:
            change = one[1]
            if folder_of(change.new if isinstance(change, Rename) else change.name) == folder:
                self._certain.apply(change)
            else:
                left.append(one)
        self._pending_names = left

    @property
    def is_settled(self) -> bool:
        """Whether everything is certain, so that all modes leave the same."""
        return not self._pending_names and not any(
            content.pending for content in self._contents.values()
        )

    def image(self, mode: str, seed: str) -> Image:
        """What a power cut now may leave.

        Args:
            mode: one of MODES.
            seed: of the choices that the mode leaves open.
        """
        rng = random.Random(f"{seed}:{self.index}:{mode}")
        pending = sorted(
            [*self._pending_names, *(one for c in self._contents.values() for one in c.pending)],
            key=lambda one: one[0],
        )
        chosen = _chosen(pending, mode, rng)
        names = self._certain.copy()
        effects: dict[int, list[Change]] = {}
        key: list[int] = []
        for token, change in chosen:
            key.append(token)
            if isinstance(change, Write | Truncate):
                effects.setdefault(change.file, []).append(change)
            else:
                names.apply(change)
        plan = []
        # Numbers that are negative tell what is certain from what was chosen.
        for name, file in sorted(names.reachable().items()):
            key += [-1, file, self._contents[file].version]
            plan.append((name, file, tuple(effects.get(file, ()))))
        digest = hashlib.blake2b(array("q", key), digest_size=16).digest()
        return Image(self.index, mode, tuple(plan), digest)

    def build(self, image: Image) -> dict[str, Frozen]:
        """The files of an image that was worked out for this moment, by their names."""
        found: dict[str, Frozen] = {}
        for name, file, changes in image.plan:
            if not changes:
                found[name] = self._contents[file].frozen()
                continue
            content = bytearray(self._contents[file].certain)
            if image.mode == "zeros":
                _grow(content, changes)
            else:
                for change in changes:
                    _apply(content, change)
            found[name] = freeze(content)
        return found


_SECTORS = 2**20
"""More than any write has; a number of an operation times this leaves room for its sectors."""


def _chosen(
    pending: Sequence[tuple[int, NameChange | Change]], mode: str, rng: random.Random
) -> list[tuple[int, NameChange | Change]]:
    """What of the pending changes takes effect, each with a number that tells it from all others."""
    changes = [(number * _SECTORS, change) for number, change in pending]
    if mode == "drop":
        return []
    if mode == "prefix":
        cut = rng.randrange(len(changes) + 1)
        kept = changes[:cut]
        if cut < len(changes) and rng.random() < 0.5:
            kept += _sectors(*changes[cut], rng, in_order=True)
        return kept
    if mode == "subset":
        return [one for one in changes if rng.random() < 0.5]
    if mode == "sector":
        return [part for one in changes for part in _sectors(*one, rng, in_order=False)]
    return changes


def _sectors(
    token: int, change: NameChange | Change, rng: random.Random, *, in_order: bool
) -> list[tuple[int, NameChange | Change]]:
    """The parts of a write that reached the disk, cut where its sectors end; others are whole."""
    if not isinstance(change, Write):
        return [] if in_order else [(token, change)]
    kept: list[tuple[int, NameChange | Change]] = []
    begin, end = change.offset, change.offset + len(change.data)
    while begin < end:
        token += 1
        until = min(end, (begin // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if rng.random() < 0.5:
            data = change.data[begin - change.offset : until - change.offset]
            kept.append((token, Write(change.file, begin, data)))
        elif in_order:
            break
        begin = until
    return kept


def _grow(content: bytearray, changes: Sequence[Change]) -> None:
    """Give a file the size that it would have, and nothing of what was written beyond its end."""
    size = len(content)
    for change in changes:
        if isinstance(change, Write):
            size = max(size, change.offset + len(change.data))
        else:
            size = change.size
    _apply(content, Truncate(0, size))
