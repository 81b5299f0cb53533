"""Key files are whole or not there, for their owner's eyes, and say what is wrong with them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge import key_file
from edge.key_file import KeyFileUnusable


def test_a_new_file_is_for_its_owner(tmp_path: Path) -> None:
    """It holds 32 random bytes; a left-over of a power cut is no hindrance."""
    path = tmp_path / "some.key"
    (tmp_path / "some.key.unfinished").write_text("half")
    key_file.create(path)
    other = tmp_path / "other.key"
    key_file.create(other)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 32 == len(key_file.read(path))
    assert key_file.read(path) != key_file.read(other)
    assert {"some.key", "other.key"} == {one.name for one in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "64 hexadecimal digits"),
        ("ab" * 31, "64 hexadecimal digits"),
        ("xy" * 32, "64 hexadecimal digits"),
        ("ab" * 5_000, "64 hexadecimal digits"),
        (None, "cannot be read"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, content: str | None, why: str) -> None:
    """The message ends a sentence that begins with the file's name."""
    path = tmp_path / "some.key"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)

    with pytest.raises(KeyFileUnusable, match=why):
        key_file.read(path)


def test_a_file_that_everybody_can_read(tmp_path: Path) -> None:
    """It may have been read already; chmod is named."""
    path = tmp_path / "some.key"
    path.write_text("ab" * 32)
    path.chmod(0o644)

    with pytest.raises(KeyFileUnusable, match="chmod 600"):
        key_file.read(path)
