"""Tests of writing and reading clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.drivers.clip_file import _ask_disk, read_clip, write_clip
from devices.errors import Refused, Unreachable
from devices.packets import Cut, Packet, StreamFormat


def test_reading_thins_out_to_the_rate_asked_for(film: Path) -> None:
    """Of 10 s at 25 frames a second, 5 a second are 50, evenly spaced."""
    frames = list(read_clip(film, fps=5))

    assert [200 * n for n in range(50)] == [one.captured_ms for one in frames]
    assert [5 * n for n in range(50)] == [one.index for one in frames]


def test_a_rate_above_the_clips_own_gives_all(film: Path) -> None:
    """No picture is given twice."""
    assert 250 == len(list(read_clip(film, fps=1000)))


def test_what_is_not_a_clip_is_refused(tmp_path: Path) -> None:
    """A file without video is refused by its name, a missing one as well."""
    (tmp_path / "text.mp4").write_text("no video")

    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(Refused, match=name):
            list(read_clip(tmp_path / name, fps=5))


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that does not exist is told with the path of the clip."""
    packet = Packet(b"\x00\x00\x00\x01\x65", True, 0.0, 0, 0, 0)
    cut = Cut((packet,), complete=True, reason="")

    with pytest.raises(Refused, match="no clip can be written"):
        write_clip(tmp_path / "no" / "clip.mp4", StreamFormat("h264", 64, 48, 25.0), cut)


def test_a_full_disk_may_have_space_later(tmp_path: Path) -> None:
    """The ring still has the clip when the task is tried again, so it is not refused for good."""
    (tmp_path / "clip.mp4").symlink_to("/dev/full")

    with pytest.raises(Unreachable, match=r"clip.mp4: No space left on device; free some space"):
        _ask_disk(tmp_path / "clip.mp4", 100_000)
    _ask_disk(tmp_path / "other.mp4", 100_000)
    _ask_disk(tmp_path / "no" / "clip.mp4", 100_000)
