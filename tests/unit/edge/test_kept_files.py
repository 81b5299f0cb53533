"""Files below a folder: only what lies there is found."""

from __future__ import annotations

from pathlib import Path

from edge.kept_files import find, media_type_of


def test_nothing_outside_is_found(tmp_path: Path) -> None:
    """By no name and through no link."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "clip.mp4").write_bytes(b"film")
    (tmp_path / "secret").write_bytes(b"no")
    (root / "link").symlink_to(tmp_path / "secret")

    found = find(root, "a/clip.mp4")
    assert found is not None and 4 == found[1].st_size
    for name in ("../secret", "link", "a", "/etc/passwd", "a\\clip.mp4", "nothing", "a\0"):
        assert find(root, name) is None


def test_types_are_told_by_the_name() -> None:
    """Or it is bytes."""
    assert "video/mp4" == media_type_of("a/b/clip.MP4")
    assert "application/octet-stream" == media_type_of("clip")
