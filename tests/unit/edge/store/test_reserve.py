"""Space that is kept for a full disk."""

from __future__ import annotations

from pathlib import Path

from edge.store.reserve import Reserve

_MB = 1024 * 1024


def test_it_takes_up_space_and_gives_it_back(tmp_path: Path) -> None:
    """A hole in a file would keep nothing."""
    reserve = Reserve(tmp_path / "reserve", _MB)

    assert reserve.take()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= _MB
    assert reserve.take()
    reserve.release()
    reserve.release()
    assert [] == list(tmp_path.iterdir())


def test_a_file_with_a_hole_is_filled(tmp_path: Path) -> None:
    """A power cut may leave the size without the space."""
    with (tmp_path / "reserve").open("wb") as file:
        file.truncate(_MB)

    assert Reserve(tmp_path / "reserve", _MB).take()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= _MB


def test_more_than_there_is(tmp_path: Path) -> None:
    """That is said, and nothing is left of the try."""
    assert not Reserve(tmp_path / "reserve", 2**50).take()
    assert not Reserve(tmp_path / "no folder" / "reserve", _MB).take()
    assert [] == list(tmp_path.iterdir())


def test_none_is_wanted(tmp_path: Path) -> None:
    """Then it is always there."""
    assert Reserve(tmp_path / "reserve", 0).take()
    assert [] == list(tmp_path.iterdir())
