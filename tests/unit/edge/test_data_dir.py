"""One daemon has a data directory at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.data_dir import AlreadyRunning, DataDir, DataDirUnusable


def test_a_second_daemon_is_refused_by_name(tmp_path: Path) -> None:
    """The message names who has it; afterwards it is free again."""
    with DataDir(tmp_path / "new" / "data") as data:
        assert data.root.is_dir()
        with pytest.raises(AlreadyRunning) as caught, DataDir(data.root):
            pass

        assert f"process {os.getpid()}" in str(caught.value)
    with DataDir(tmp_path / "new" / "data"):
        pass


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")

    with pytest.raises(DataDirUnusable) as caught, DataDir(tmp_path / "file"):
        pass

    assert str(tmp_path / "file") in str(caught.value)
