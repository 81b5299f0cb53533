"""What tests of devices share: a film with known truth.

No test lives here.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a film of 10 s, 640 x 360, 25 frames a second, in which one car crosses."""
    from devices.scenes import write_video

    path = tmp_path_factory.mktemp("film") / "scene.mp4"
    write_video(path, seed=7, seconds=10)
    return path


@pytest.fixture(scope="session")
def h264_film(film: Path) -> Path:
    """Give the film if it is H.264, which needs ffmpeg to be made."""
    from devices.scenes import read_truth

    if read_truth(film).encoder == "mp4v":
        pytest.skip("no H.264 encoder here: install ffmpeg")
    return film
