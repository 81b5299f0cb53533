"""The one door to OpenCV's video half: a quiet import, and opening with per-open options.

Nothing here knows what a camera is. Importing this module does not import cv2; calling does.
"""

from __future__ import annotations

import io
import os
import threading
from types import ModuleType
from typing import Any

from devices.errors import Refused

# OpenCV reads its FFmpeg options from one process-wide variable at each open, so opens take turns.
_OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_opening = threading.Lock()

# A stream that is fed from memory begins with its first packet; there is nothing to probe for.
MEMORY_OPTIONS = "probesize;32|analyzeduration;0"


def load_cv2() -> ModuleType:
    """Import OpenCV with its own logging, and FFmpeg's, silenced.

    Both libraries print what the driver reports in its status anyway, and a camera that is away
    would fill the log with it.

    Raises:
        Refused: OpenCV is not installed.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        message = f"OpenCV cannot be imported ({error}): install the extra baton[vision]"
        raise Refused(message) from error
    # The variable above comes too late when another driver has imported OpenCV before.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def open_capture(
    source: str | int | io.BufferedIOBase, *, options: str = "", parameters: dict[int, int]
) -> Any:
    """Open a ``cv2.VideoCapture``; whether that worked, its ``isOpened`` tells.

    Args:
        source: A path or address, the number of a V4L2 device, or a stream of bytes.
        options: FFmpeg options for this open, as ``key;value|key;value``.
        parameters: OpenCV capture properties to open with.
    """
    cv2 = load_cv2()
    flat = [number for pair in parameters.items() for number in pair]
    backend = cv2.CAP_V4L2 if isinstance(source, int) else cv2.CAP_FFMPEG
    with _opening:
        before = os.environ.get(_OPTIONS_VARIABLE)
        os.environ[_OPTIONS_VARIABLE] = options
        try:
            return cv2.VideoCapture(source, backend, flat)
        finally:
            if before is None:
                del os.environ[_OPTIONS_VARIABLE]
            else:
                os.environ[_OPTIONS_VARIABLE] = before
