"""Files of payloads: by what is in them, whole or not at all, and read back checked."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from edge.model.errors import PayloadLost
from edge.store import payload_files
from edge.store.payload_files import PayloadFiles, digest_of

TEXT = b'{"a": "' + b"x" * 10_000 + b'"}'


def _only(folder: Path) -> Path:
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


def test_a_payload_comes_back_by_its_digest(tmp_path: Path) -> None:
    """The name of the file is the digest; the same payload is one file."""
    files = PayloadFiles(tmp_path / "payloads")
    digest = files.put(TEXT)

    assert hashlib.sha256(TEXT).digest() == digest == files.put(TEXT)
    assert TEXT == files.get(digest) == PayloadFiles(tmp_path / "payloads").get(digest)
    name = digest.hex()
    path = _only(tmp_path)
    assert f"payloads/{name[:2]}/{name[2:4]}/{name}.json.gz" == str(path.relative_to(tmp_path))
    assert TEXT == gzip.decompress(path.read_bytes())
    assert [digest] == list(files.all())


def test_what_cannot_be_compressed_is_kept_as_it_is(tmp_path: Path) -> None:
    """A picture in base64 gains too little to be worth the time."""
    files = PayloadFiles(tmp_path)
    payload = os.urandom(5_000)
    digest = files.put(payload)

    assert payload == _only(tmp_path).read_bytes() == files.get(digest)
    assert ".json" == _only(tmp_path).suffix


def test_a_file_that_was_removed_is_written_again(tmp_path: Path) -> None:
    """What is remembered as safe is looked for all the same."""
    files = PayloadFiles(tmp_path)
    digest = files.put(TEXT)
    _only(tmp_path).unlink()
    files.put(TEXT)

    assert TEXT == files.get(digest)


def test_a_lost_file_is_told(tmp_path: Path) -> None:
    """Gone, cut off, or changed by hand: in no case is anything else given back."""
    files = PayloadFiles(tmp_path)
    digest = files.put(TEXT)
    path = _only(tmp_path)
    whole = path.read_bytes()

    for broken in (whole[:-20], gzip.compress(b"{}"), b"no gzip"):
        path.write_bytes(broken)
        with pytest.raises(PayloadLost, match=digest.hex()):
            files.get(digest)
    path.unlink()
    with pytest.raises(PayloadLost, match="is gone"):
        files.get(digest)


def test_what_is_dropped_is_gone(tmp_path: Path) -> None:
    """Twice is once."""
    files = PayloadFiles(tmp_path)
    digest = files.put(TEXT)
    files.drop(digest)
    files.drop(digest)

    assert [] == list(files.all())


def test_what_a_power_cut_left_unfinished_is_thrown_away(tmp_path: Path) -> None:
    """It never had a name, so nobody refers to it."""
    leftover = tmp_path / ".unfinished" / "7"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    files = PayloadFiles(tmp_path)

    assert not leftover.exists()
    assert [] == list(files.all())


def test_other_files_are_not_taken_for_payloads(tmp_path: Path) -> None:
    """Whatever lies around is left alone."""
    files = PayloadFiles(tmp_path)
    digest = files.put(TEXT)
    place = tmp_path / "ab" / "cd"
    place.mkdir(parents=True)
    for name in ("notes.json", f"{digest.hex()}.json", "x.txt", f"{'0' * 64}.json.gz.bak"):
        (place / name).write_bytes(b"")

    assert [digest] == list(files.all())


def test_memory_of_safe_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forced out once more when they come again."""
    monkeypatch.setattr(payload_files, "_REMEMBERED", 2)
    files = PayloadFiles(tmp_path)
    for number in range(5):
        files.put(b"%d" % number)

    assert 2 == len(files._safe)


@pytest.mark.parametrize(
    "text", ["", "ab", "zz" * 32, "AB" * 32, "ab" * 31, "ab" * 33, " " + "ab" * 32]
)
def test_what_is_no_digest(text: str) -> None:
    """Sixty-four small hexadecimal digits, nothing else."""
    assert digest_of(text) is None
    assert bytes.fromhex("ab" * 32) == digest_of("ab" * 32)
