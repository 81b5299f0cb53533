"""Tests of the door to OpenCV."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from devices.drivers.video_library import load_cv2, open_capture


def test_opening_leaves_the_environment_as_it_was(film: Path) -> None:
    """Options of one open do not reach the next."""
    before = os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS")

    capture = open_capture(str(film), options="probesize;32", parameters={})

    assert capture.isOpened()
    capture.release()
    assert before == os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS")


def test_nothing_is_printed_when_sources_fail(tmp_path: Path) -> None:
    """Missing files, garbage and dead addresses leave both standard streams empty."""
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 50)
    sources = [str(tmp_path / "garbage.mp4"), str(tmp_path / "none.mp4"), "rtsp://127.0.0.1:9/x"]
    code = (
        "from devices.drivers.video_library import open_capture\n"
        f"for one in {sources!r} + [63]: open_capture(one, parameters={{}})"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ("", "") == (done.stdout, done.stderr)


def test_the_library_has_what_the_driver_leans_on() -> None:
    """An OpenCV without raw packets, raw muxing or stream input would be the wrong version."""
    cv2 = load_cv2()

    assert hasattr(cv2, "CAP_PROP_LRF_HAS_KEY_FRAME")
    assert hasattr(cv2, "VIDEOWRITER_PROP_RAW_VIDEO")
    assert hasattr(cv2, "VIDEOWRITER_PROP_DTS_DELAY")
    assert cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBufferedBackends()
