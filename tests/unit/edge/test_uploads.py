"""Files of clients: a stream under a name, whole or not at all, within a budget."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.durable import FileSystem
from edge.model.errors import (
    BatonError,
    Conflict,
    InvalidInput,
    PayloadTooLarge,
    StorageUnavailable,
)
from edge.uploads import Taken, Uploads

NOW_S = 1_700_000_000.0


async def _parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _broken(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise ConnectionResetError


def _take(uploads: Uploads, name: str, *parts: bytes) -> Taken:
    return asyncio.run(uploads.take(name, _parts(*parts)))


def test_a_stream_becomes_a_file(tmp_path: Path) -> None:
    """Its size and digest are told; the same name is replaced."""
    uploads = Uploads(tmp_path / "up", 1_000)
    taken = _take(uploads, "task/output/a.json", b"one", b"", b"two")

    assert Taken(6, hashlib.sha256(b"onetwo").hexdigest()) == taken
    path = uploads.find("task/output/a.json")
    assert path is not None and b"onetwo" == path.read_bytes()
    _take(uploads, "task/output/a.json", b"three")
    assert b"three" == path.read_bytes()
    assert 5 == uploads.used_bytes()
    assert uploads.find("task/output/b.json") is None
    uploads.drop("task/output/a.json")
    uploads.drop("task/output/a.json")
    assert 0 == uploads.used_bytes()


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """What was there before stays."""
    uploads = Uploads(tmp_path, 1_000)
    _take(uploads, "a", b"old")
    with pytest.raises(StorageUnavailable):
        asyncio.run(uploads.take("a", _broken(b"new")))

    path = uploads.find("a")
    assert path is not None and b"old" == path.read_bytes()
    assert [] == list((tmp_path / ".unfinished").iterdir())


def test_the_budget_is_kept(tmp_path: Path) -> None:
    """Also by streams that arrive at the same time."""
    uploads = Uploads(tmp_path, 10)
    _take(uploads, "a", b"x" * 6)
    with pytest.raises(PayloadTooLarge, match="used up"):
        _take(uploads, "b", b"x" * 5)

    async def both() -> list[object]:
        waiting = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * 3
            await waiting.wait()

        first = asyncio.ensure_future(uploads.take("b", slow()))
        await asyncio.sleep(0)
        while uploads._arriving < 3:
            await asyncio.sleep(0)
        with pytest.raises(PayloadTooLarge):
            await uploads.take("c", _parts(b"xx"))
        waiting.set()
        return [await first]

    assert 1 == len(asyncio.run(both()))
    assert 9 == uploads.used_bytes()
    assert 0 == uploads._arriving


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        "a\x00b",
        "a b",
        "ä",
        "a/" * 9 + "a",
        "x" * 129,
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """It is refused before anything is looked at."""
    uploads = Uploads(tmp_path / "up", 1_000)
    for act in (
        lambda: _take(uploads, name, b"x"),
        lambda: uploads.find(name),
        lambda: uploads.drop(name),
    ):
        with pytest.raises(InvalidInput, match="cannot be the name"):
            act()
    assert [] == list(tmp_path.iterdir())


def test_old_files_are_swept(tmp_path: Path) -> None:
    """A file of 1970 has no age that is known: it begins to count now."""
    uploads = Uploads(tmp_path, 1_000)
    for name, age_s in (("old", 100.0), ("young", 10.0), ("epoch", NOW_S - 60)):
        _take(uploads, name, b"x")
        os.utime(uploads.path_of(name), (NOW_S - age_s,) * 2)

    assert 1 == uploads.sweep(NOW_S, 50)
    assert (None, True, True) == (
        uploads.find("old"), uploads.find("young") is not None, uploads.find("epoch") is not None
    )  # fmt: skip
    assert 2 == uploads.sweep(NOW_S + 60, 50)


def test_what_a_power_cut_left_unfinished_is_thrown_away(tmp_path: Path) -> None:
    """It never had its name."""
    leftover = tmp_path / ".unfinished" / "1"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    uploads = Uploads(tmp_path, 1_000)

    assert not leftover.exists()
    assert 0 == uploads.used_bytes()


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """As with any other write: try again when there is room."""
    (tmp_path / "up").write_text("no folder")

    with pytest.raises(StorageUnavailable, match="refused to keep a"):
        _take(Uploads(tmp_path / "up", 1_000), "a", b"x")


def test_what_lands_meanwhile_counts(tmp_path: Path) -> None:
    """A stream that began before another has landed has no more room than is left."""
    uploads = Uploads(tmp_path, 10)

    async def body() -> None:
        waiting = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * 3
            await waiting.wait()
            yield b"x" * 2

        first = asyncio.ensure_future(uploads.take("a", slow()))
        while uploads._arriving < 3:
            await asyncio.sleep(0)
        await uploads.take("b", _parts(b"x" * 6))
        waiting.set()
        with pytest.raises(PayloadTooLarge, match="used up"):
            await first

    asyncio.run(body())
    assert 6 == uploads.used_bytes()
    assert 4 == _take(uploads, "c", b"x" * 4).size_bytes


class _Cut(FileSystem):
    """A disk whose power fails at the n-th of what is asked of it, and after that does nothing."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.asked = 0

    def _count(self) -> None:
        self.asked += 1
        self._left -= 1
        if self._left <= 0:
            raise PowerError

    def rename(self, old: Path, new: Path) -> None:
        self._count()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        if self._left > 0 and path.exists():
            self._count()
            super().unlink(path)

    def force_out_folder(self, folder: Path) -> None:
        self._count()
        super().force_out_folder(folder)


class PowerError(Exception):
    """The power is gone."""


@pytest.mark.parametrize("refusal", [None, Conflict("complete"), StorageUnavailable("unknown")])
def test_what_was_noted_is_what_is_found(tmp_path: Path, refusal: BatonError | None) -> None:
    """At every cut, and whatever the one who notes it says: the noted content is there, whole."""
    names = itertools.count()

    def life(at: int) -> int:
        disk, noted = _Cut(at), [""]
        uploads = Uploads(tmp_path / str(next(names)), 1_000, disk)

        async def note(taken: Taken) -> None:
            disk._count()
            refused = refusal is not None and taken.size_bytes == 3
            if not refused or isinstance(refusal, StorageUnavailable):
                noted[0] = taken.sha256
            if refused and refusal is not None:
                raise refusal

        for content in (b"one", b"second", b"one", b"third", b"second"):
            with contextlib.suppress(BatonError, PowerError):
                asyncio.run(uploads.take("a", _parts(content), note))
            if disk._left <= 0:
                break
        again = Uploads(uploads.root, 1_000)
        path = again.find("a", noted[0]) if noted[0] else None

        assert not noted[0] or path is not None
        assert path is None or noted[0] == hashlib.sha256(path.read_bytes()).hexdigest()
        again.drop("a")
        assert 0 == again.used_bytes()
        return disk.asked

    whole = life(10_000)
    for at in range(1, whole + 1):
        life(at)


def test_a_refused_repeat_takes_nothing_away(tmp_path: Path) -> None:
    """Nobody knew whether the first try was noted; it was, and the second is refused for that."""
    uploads = Uploads(tmp_path, 1_000)
    answers: list[BatonError] = [StorageUnavailable("unknown"), Conflict("complete")]

    async def note(_: Taken) -> None:
        raise answers.pop(0)

    for refusal in (StorageUnavailable, Conflict):
        with pytest.raises(refusal):
            asyncio.run(uploads.take("a", _parts(b"same"), note))
    path = uploads.find("a", hashlib.sha256(b"same").hexdigest())

    assert path is not None and b"same" == path.read_bytes()


def test_one_content_is_kept(tmp_path: Path) -> None:
    """When a file has its name, nothing is left beside it: a release before finds it, too."""
    uploads = Uploads(tmp_path, 1_000)

    async def note(_: Taken) -> None:
        """It is noted."""

    for content in (b"one", b"second"):
        asyncio.run(uploads.take("a", _parts(content), note))
        assert len(content) == uploads.used_bytes()

    path = uploads.find("a")
    assert path is not None and b"second" == path.read_bytes()
