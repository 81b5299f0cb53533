"""Tests of the evidence store: whole files, stable keys, and retention."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from workflows.evidence import EvidenceStore

_NOW_S = 1_800_000_000


def _store(root: Path, budget_bytes: int = 10**6, max_age_s: float = 3600) -> EvidenceStore:
    return EvidenceStore(root, budget_bytes, max_age_s)


def _write(store: EvidenceStore, key: str, size: int, age_s: float) -> None:
    store.write(key, bytes(size))
    when = _NOW_S - age_s
    os.utime(store.path_of(key), (when, when))


def _visible(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).as_posix().startswith(".pins")
    )


def test_a_written_file_is_described_and_found_again(tmp_path: Path) -> None:
    """The reference tells key, place, type, size and hash, now and later."""
    store = _store(tmp_path)

    reference = store.write("front-1/snapshot.jpg", b"picture")

    assert "front-1/snapshot.jpg" == reference.key == reference.path
    assert "image/jpeg" == reference.media_type
    assert 7 == reference.size_bytes
    assert hashlib.sha256(b"picture").hexdigest() == reference.sha256
    assert reference == store.find("front-1/snapshot.jpg")
    assert reference == _store(tmp_path).find("front-1/snapshot.jpg")
    assert b"picture" == (tmp_path / reference.path).read_bytes()


def test_the_same_key_is_the_same_file(tmp_path: Path) -> None:
    """Writing again replaces; there is never a second one."""
    store = _store(tmp_path)

    store.write("a/clip.mp4", b"one")
    store.write("a/clip.mp4", b"two")

    assert ["a/clip.mp4"] == _visible(tmp_path)
    assert b"two" == store.path_of("a/clip.mp4").read_bytes()


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """If producing raises, no file appears and the one that was there stays."""
    store = _store(tmp_path)
    store.write("a/clip.mp4", b"whole")

    def produce(path: Path) -> None:
        path.write_bytes(b"ha")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        store.make("a/clip.mp4", produce)

    assert ["a/clip.mp4"] == _visible(tmp_path)
    assert b"whole" == store.path_of("a/clip.mp4").read_bytes()


def test_the_producer_gets_a_path_of_the_keys_suffix(tmp_path: Path) -> None:
    """A writer that goes by the suffix, as OpenCV does, sees the right one."""
    seen: list[Path] = []

    def produce(path: Path) -> None:
        seen.append(path)
        path.write_bytes(b"x")

    _store(tmp_path).make("a/clip.mp4", produce)

    assert ".mp4" == seen[0].suffix
    assert not seen[0].exists()


def test_a_power_cut_leaves_no_rubbish(tmp_path: Path) -> None:
    """What was being written when the power went is thrown away at the next start."""
    store = _store(tmp_path)

    def produce(path: Path) -> None:
        path.write_bytes(b"ha")
        (path.parent / "copy-as-after-a-power-cut.mp4").write_bytes(b"ha")

    store.make("a/clip.mp4", produce)

    _store(tmp_path)

    assert ["a/clip.mp4"] == _visible(tmp_path)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".pins/x", "a/.x", "a b", "a\\b", "a\nb", "ä"],
)
def test_a_key_never_leads_outside(tmp_path: Path, key: str) -> None:
    """Whatever means something to a file system is not a key."""
    store = _store(tmp_path)

    with pytest.raises(ValueError, match="evidence key"):
        store.write(key, b"x")


def test_a_key_of_many_or_long_parts_is_not_taken(tmp_path: Path) -> None:
    """Names stay within what any file system holds."""
    for key in ("a/" * 8 + "b", "x" * 129):
        with pytest.raises(ValueError, match="evidence key"):
            _store(tmp_path).path_of(key)


def test_dropping_removes_file_pin_and_empty_folder(tmp_path: Path) -> None:
    """What is dropped is gone, dropping twice is dropping once."""
    store = _store(tmp_path)
    store.write("a/clip.mp4", b"x")
    store.pin("a/clip.mp4")

    assert store.drop("a/clip.mp4")
    assert not store.drop("a/clip.mp4")
    assert not (tmp_path / "a").exists()
    assert not store.is_pinned("a/clip.mp4")
    assert store.find("a/clip.mp4") is None


def test_a_sweep_removes_what_is_too_old(tmp_path: Path) -> None:
    """Age is judged by the time handed in; younger files stay."""
    store = _store(tmp_path, max_age_s=3600)
    _write(store, "old/clip.mp4", 10, age_s=4000)
    _write(store, "new/clip.mp4", 10, age_s=3000)

    assert ["old/clip.mp4"] == store.sweep(_NOW_S * 1000)
    assert ["new/clip.mp4"] == _visible(tmp_path)


def test_a_sweep_keeps_the_budget_oldest_first(tmp_path: Path) -> None:
    """As many of the oldest go as it takes, and no more."""
    store = _store(tmp_path, budget_bytes=250)
    for number, age_s in enumerate((50, 40, 30, 20)):
        _write(store, f"e{number}/clip.mp4", 100, age_s)

    assert ["e0/clip.mp4", "e1/clip.mp4"] == store.sweep(_NOW_S * 1000)


def test_pinned_files_have_no_age_and_go_last(tmp_path: Path) -> None:
    """A pin outlives the age; only a budget that nothing else can keep takes it."""
    store = _store(tmp_path, budget_bytes=250, max_age_s=3600)
    _write(store, "old/clip.mp4", 100, age_s=9000)
    store.pin("old/clip.mp4")
    _write(store, "new/clip.mp4", 100, age_s=10)

    assert [] == store.sweep(_NOW_S * 1000)
    _write(store, "newer/clip.mp4", 100, age_s=5)
    assert ["new/clip.mp4"] == store.sweep(_NOW_S * 1000)
    store.budget_bytes = 50
    assert ["newer/clip.mp4", "old/clip.mp4"] == store.sweep(_NOW_S * 1000)


def test_a_pin_survives_a_restart(tmp_path: Path) -> None:
    """Pins are on disk."""
    store = _store(tmp_path)
    store.write("a/clip.mp4", b"x")
    store.pin("a/clip.mp4")

    assert _store(tmp_path).is_pinned("a/clip.mp4")


def test_files_written_before_the_clock_was_set_are_not_old(tmp_path: Path) -> None:
    """A file stamped 1970 is taken as new when the time is known, and ages from there."""
    store = _store(tmp_path)
    store.write("a/clip.mp4", b"x")
    os.utime(store.path_of("a/clip.mp4"), (100, 100))

    assert [] == store.sweep(_NOW_S * 1000)
    assert [] == store.sweep((_NOW_S + 3599) * 1000)
    assert ["a/clip.mp4"] == store.sweep((_NOW_S + 3601) * 1000)
