"""Clips on disk: written from packets without decoding them, and read back picture by picture.

No camera, no ring: the packets are handed in, and the pictures are handed out.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices.capabilities import ClipInfo, Frame
from devices.drivers.video_library import load_cv2, open_capture
from devices.errors import Refused, Unreachable
from devices.mp4 import write_film
from devices.packets import Cut, MuxPlan, Packet, StreamFormat, mux_plan

_TAGS = {"h264": "avc1", "hevc": "hvc1"}

MAX_FRAMES = 100_000
"""More pictures are not read from one clip; a ring holds some thousands at most."""


def write_clip(path: Path, form: StreamFormat, cut: Cut) -> ClipInfo:
    """Write what was cut from a ring as an MP4 file, without encoding anything.

    Args:
        path: The file, its name ends in ``.mp4``; an existing one is replaced.
        form: What the packets are.
        cut: At least one packet, the first a keyframe.

    Raises:
        Refused: OpenCV cannot write such a file there.
        Unreachable: The disk is full, or the file came out too short.
    """
    assert cut.packets
    packets = cut.packets
    plan = mux_plan(packets, form.fps)
    if form.codec == "mjpeg":
        first_ms = packets[0].pts_ms
        write_film(
            path,
            codec="mjpeg",
            size=(form.width, form.height),
            frames=[packet.data for packet in packets],
            times_ms=[round(packet.pts_ms - first_ms) for packet in packets],
        )
    else:
        _mux(path, form, packets, plan)
    return ClipInfo(
        path=str(path),
        start_ms=packets[0].captured_ms,
        end_ms=packets[-1].captured_ms,
        frames=len(packets),
        fps=plan.fps,
        width=form.width,
        height=form.height,
        codec=form.codec,
        complete=cut.complete,
        reason=cut.reason,
    )


def read_clip(path: Path, *, fps: float) -> Iterator[Frame]:
    """Decode a clip, thinned out to a rate.

    Args:
        path: A video file.
        fps: Pictures per second to give; a clip with fewer gives all it has.

    Yields:
        Frames whose ``captured_ms`` counts from the clip's beginning and whose index is the
        picture's number in the clip.

    Raises:
        Refused: The file is not a video that can be read.
    """
    cv2 = load_cv2()
    capture = open_capture(str(path), parameters={cv2.CAP_PROP_N_THREADS: 1})
    if not capture.isOpened():
        message = f"clip {path} is not a video that can be read"
        raise Refused(message)
    try:
        yield from _thinned(capture, cv2.CAP_PROP_POS_MSEC, 1000 / fps)
    finally:
        capture.release()


def _thinned(capture: Any, position: int, step_ms: float) -> Iterator[Frame]:
    """Decode all pictures, but convert and give only those that are due."""
    due_ms = 0.0
    for index in range(MAX_FRAMES):
        if not capture.grab():
            return
        time_ms = float(capture.get(position))
        # Half a millisecond of grace: time stamps are rounded on their way through the file.
        if time_ms + 0.5 < due_ms:
            continue
        due_ms = max(due_ms + step_ms, time_ms)
        is_converted, image = capture.retrieve()
        if is_converted:
            yield Frame(image, captured_ms=round(time_ms), index=index)


def _ask_disk(path: Path, size_bytes: int) -> None:
    """Raise what the disk says to a file of that size: OpenCV tells only that it has failed.

    Raises:
        Unreachable: The disk is full; there may be space when it is tried again.
    """
    try:
        with path.open("wb") as file:
            file.write(bytes(size_bytes))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"no clip can be written to {path}: {error.strerror}; free some space"
            raise Unreachable(message) from error


def _mux(path: Path, form: StreamFormat, packets: tuple[Packet, ...], plan: MuxPlan) -> None:
    """Copy packets into an MP4 file."""
    cv2 = load_cv2()
    import numpy as np

    writer = cv2.VideoWriter()
    raw = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    tag = cv2.VideoWriter.fourcc(*_TAGS[form.codec])
    if not writer.open(str(path), cv2.CAP_FFMPEG, tag, plan.fps, (form.width, form.height), raw):
        _ask_disk(path, sum(len(packet.data) for packet in packets))
        message = f"no clip can be written to {path}"
        raise Refused(message)
    writer.set(cv2.VIDEOWRITER_PROP_DTS_DELAY, plan.reorder)
    for packet, time in zip(packets, plan.times, strict=True):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, time)
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, int(packet.is_key))
        writer.write(np.frombuffer(packet.data, np.uint8))
    writer.release()
    # OpenCV does not tell of a failed write. Muxing takes a few bytes of start codes away and adds
    # an index, so a file below nine tenths of its packets is not whole.
    if path.stat().st_size < 0.9 * sum(len(packet.data) for packet in packets):
        message = f"clip {path} came out too short; is the disk full?"
        raise Unreachable(message)
