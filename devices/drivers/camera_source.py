"""Where a camera's pictures come from: a video file played live, an RTSP stream, a V4L2 device.

No thread of its own, no ring, no motion: whoever reads decides what to do with what arrives.

Packets are taken undecoded where OpenCV gives them (H.264 and H.265 from files and RTSP). Anything
else is decoded at once and kept as JPEG, which costs more but needs nothing from the source.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from devices.capabilities import Image
from devices.drivers.video_library import load_cv2, open_capture
from devices.errors import Refused, Unreachable
from devices.packets import StreamFormat, with_parameter_sets

# FOURCC codes as OpenCV reports them, for the codecs whose packets can be copied and decoded alone.
_PACKET_CODECS = {"h264": "h264", "avc1": "h264", "hevc": "hevc", "hvc1": "hevc", "hev1": "hevc"}

# TCP because lost UDP packets become grey smears that look like motion. Without probing, the first
# packet of a camera whose session description is complete came after 0.04 s, with it after 1.1 s.
_RTSP_QUICK = "rtsp_transport;tcp|fpsprobesize;0|probesize;32|analyzeduration;0"
_RTSP_PATIENT = "rtsp_transport;tcp"

# JPEG at this quality is about 0.3 bits a pixel more than H.264 would need for the same sight.
_JPEG_QUALITY = 85

_USUAL_FPS = 25.0
_MAX_FPS = 240.0

_V4L2_PATH = re.compile(r"/dev/video(\d+)")


class Arrival(msgspec.Struct, frozen=True):
    """One picture as it came from a source."""

    data: bytes
    """Encoded, in the form that `devices.packets.Packet` describes."""

    is_key: bool
    pts_ms: float
    """On the source's own axis, which a looped file continues."""

    image: Image | None
    """The decoded picture where the source cannot give packets, otherwise None."""


_MEANT_SCHEMES = ("rtsp", "rtmp", "http")
"""What cameras speak, and a slip is held against."""

_USUAL_SCHEMES = frozenset(
    {
        *_MEANT_SCHEMES,
        "https",
        "rtsps",
        "rtp",
        "srtp",
        "rtmps",
        "rtmpe",
        "rtmpt",
        "rtmpte",
        "rtmpts",
    }
)
"""What is no slip, though it is nearly one of these."""


class Source(Protocol):
    """An opened source; made by `open_source`."""

    format: StreamFormat

    def read(self) -> Arrival | None:
        """Wait for the next picture; None when there will be none any more.

        Raises:
            Unreachable: The source broke off.
        """

    def close(self) -> None:
        """Let go of the source."""


class SourceLimits(msgspec.Struct, frozen=True):
    """How long a source may take."""

    open_s: float
    read_s: float
    """A read that brings nothing for so long ends the source."""


class Pacer:
    """Holds a file back to the speed at which a camera would have shown it."""

    def __init__(self, monotonic_s: Callable[[], float], stopping: threading.Event) -> None:
        """Begin the axis with the first picture.

        Args:
            monotonic_s: Monotonic clock in seconds.
            stopping: Ends any wait at once.
        """
        self._monotonic_s = monotonic_s
        self._stopping = stopping
        self._begun_s: float | None = None

    def wait_until(self, pts_ms: float) -> None:
        """Wait until it is this picture's turn.

        Whoever is more than a second late (the process was stopped) begins a new axis instead of
        showing what was missed at double speed.
        """
        now_s = self._monotonic_s()
        if self._begun_s is None or now_s - self._begun_s - pts_ms / 1000 > 1.0:
            self._begun_s = now_s - pts_ms / 1000
        ahead_s = self._begun_s + pts_ms / 1000 - now_s
        if ahead_s > 0:
            self._stopping.wait(ahead_s)


def open_source(
    source: str | int, *, folder: Path, loop: bool, limits: SourceLimits, pacer: Pacer
) -> Source:
    """Open what a ``source`` setting names.

    Args:
        source: An address, a path (relative ones start from the folder) or a V4L2 number.
        folder: Where relative paths start.
        loop: Whether a file begins again at its end.
        limits: For sources on a network.
        pacer: For files.

    Raises:
        Refused: The setting can never work.
        Unreachable: The source is away at present.
    """
    number = _v4l2_number(source)
    if number is not None:
        return _PictureSource(number, pacer=None, loop=False)
    address = str(source)
    if "://" in address:
        _refuse_slip(address)
        return _open_stream(address, limits)
    path = folder / Path(address).expanduser()
    if not path.is_file():
        message = f"source: there is no video file {path}; set source to one that exists"
        raise Refused(message)
    return _open_file(path, loop=loop, pacer=pacer)


def without_password(address: str) -> str:
    """Hide user and password of an address, so that it may stand in a message."""
    return re.sub(r"//[^/@]*@", "//***@", address)


def _refuse_slip(address: str) -> None:
    """Refuse a scheme that is nearly a usual one: a camera of that kind would be sought for ever.

    FFmpeg knows many more, so any other is tried.
    """
    scheme = address.partition("://")[0].lower()
    if scheme in _USUAL_SCHEMES:
        return
    # Imported when it is needed: hardly any inventory holds an unusual scheme.
    from difflib import get_close_matches

    close = get_close_matches(scheme, _MEANT_SCHEMES, n=1, cutoff=0.7)
    if close:
        message = f"source: there is no {scheme}://; did you mean {close[0]}://?"
        raise Refused(message)


def _v4l2_number(source: str | int) -> int | None:
    """Tell which V4L2 device a setting means, or None if it means something else."""
    if isinstance(source, int):
        return source
    match = _V4L2_PATH.fullmatch(source)
    return int(match[1]) if match else None


def _open_file(path: Path, *, loop: bool, pacer: Pacer) -> Source:
    """Open a video file, as packets if its codec allows."""
    capture = open_capture(str(path), parameters={})
    codec = _PACKET_CODECS.get(_fourcc(capture)) if capture.isOpened() else None
    readable = capture.isOpened()
    capture.release()
    if not readable:
        message = f"source: {path} is not a video that can be read; set source to one that is"
        raise Refused(message)
    if codec is None:
        return _PictureSource(str(path), pacer=pacer, loop=loop)
    return _PacketSource(
        lambda: open_capture(str(path), parameters={}), codec=codec, pacer=pacer, loop=loop
    )


def _open_stream(address: str, limits: SourceLimits) -> Source:
    """Open a stream on the network."""
    cv2 = load_cv2()
    parameters = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(limits.open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(limits.read_s * 1000),
        # With one decoding thread a stall is noticed after two read timeouts, with more only later.
        cv2.CAP_PROP_N_THREADS: 1,
    }

    def open_with(options: str) -> Any:
        return open_capture(address, options=options, parameters=parameters)

    capture = open_with(_RTSP_QUICK)
    if not capture.isOpened() or not capture.get(cv2.CAP_PROP_FRAME_WIDTH):
        # A camera that does not describe its stream has to be listened to for a while.
        capture.release()
        capture = open_with(_RTSP_PATIENT)
    if not capture.isOpened():
        message = f"{without_password(address)} does not answer or sends no video"
        raise Unreachable(message)
    codec = _PACKET_CODECS.get(_fourcc(capture))
    if codec is None:
        capture.release()
        return _PictureSource(address, pacer=None, loop=False)
    return _PacketSource(lambda: capture, codec=codec, pacer=None, loop=False)


class _PacketSource:
    """Gives encoded packets, undecoded."""

    def __init__(
        self, open_once: Callable[[], Any], *, codec: str, pacer: Pacer | None, loop: bool
    ) -> None:
        self._cv2 = load_cv2()
        self._open_once = open_once
        self._pacer = pacer
        self._loop = loop
        self._offset_ms = 0.0
        self._newest_ms = 0.0
        self._capture = self._open()
        self.format = _format_of(self._capture, codec)
        self._is_begin = True

    def read(self) -> Arrival | None:
        """Give the next packet."""
        is_read, array = self._capture.read()
        if not is_read and self._loop and not self._is_begin:
            self._rewind()
            is_read, array = self._capture.read()
        if not is_read:
            return None
        self._is_begin = False
        pts_ms = self._offset_ms + float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC))
        self._newest_ms = max(self._newest_ms, pts_ms)
        if self._pacer is not None:
            self._pacer.wait_until(self._newest_ms)
        is_key = bool(self._capture.get(self._cv2.CAP_PROP_LRF_HAS_KEY_FRAME))
        data: bytes = array.tobytes()
        if is_key:
            data = with_parameter_sets(self.format.codec, data, self._parameter_sets())
        return Arrival(data, is_key, pts_ms, None)

    def close(self) -> None:
        """Let go of the source."""
        self._capture.release()

    def _open(self) -> Any:
        """Open, and ask for packets instead of pictures."""
        capture = self._open_once()
        capture.set(self._cv2.CAP_PROP_FORMAT, -1)
        return capture

    def _rewind(self) -> None:
        """Begin a file anew, one frame after its end; opening takes 2 ms and is never inexact."""
        self._capture.release()
        self._capture = self._open()
        self._offset_ms = self._newest_ms + 1000 / self.format.fps
        self._is_begin = True

    def _parameter_sets(self) -> bytes:
        """Fetch the parameter sets of the stream's description."""
        number = int(self._capture.get(self._cv2.CAP_PROP_CODEC_EXTRADATA_INDEX))
        is_read, array = self._capture.retrieve(None, number)
        return array.tobytes() if is_read and array is not None else b""


class _PictureSource:
    """Gives decoded pictures, each with its JPEG; every one is a keyframe."""

    def __init__(self, source: str | int, *, pacer: Pacer | None, loop: bool) -> None:
        self._cv2 = load_cv2()
        self._source = source
        self._pacer = pacer
        self._loop = loop
        self._offset_ms = 0.0
        self._newest_ms = 0.0
        self._count = 0
        self._capture = self._open()
        self.format = _format_of(self._capture, "mjpeg")

    def read(self) -> Arrival | None:
        """Give the next picture."""
        is_read, image = self._capture.read()
        if not is_read and self._loop and self._count:
            self._capture.release()
            self._capture = self._open()
            self._offset_ms = self._newest_ms + 1000 / self.format.fps
            is_read, image = self._capture.read()
        if not is_read:
            return None
        self._count += 1
        pts_ms = self._offset_ms + float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC))
        if pts_ms <= self._newest_ms and self._count > 1:
            # Some sources have no time stamps; then the pictures are counted.
            pts_ms = self._newest_ms + 1000 / self.format.fps
        self._newest_ms = pts_ms
        if self._pacer is not None:
            self._pacer.wait_until(pts_ms)
        quality = [self._cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        is_encoded, jpeg = self._cv2.imencode(".jpg", image, quality)
        if not is_encoded:
            message = f"source {self._source!r} gave a picture that cannot be encoded"
            raise Unreachable(message)
        return Arrival(jpeg.tobytes(), is_key=True, pts_ms=pts_ms, image=image)

    def close(self) -> None:
        """Let go of the source."""
        self._capture.release()

    def _open(self) -> Any:
        capture = open_capture(self._source, parameters={})
        if not capture.isOpened():
            shown = without_password(str(self._source))
            message = f"video source {shown} cannot be opened; is the camera plugged in?"
            raise Unreachable(message)
        return capture


def _fourcc(capture: Any) -> str:
    """Name the codec of an opened capture, in lower case."""
    code = int(capture.get(load_cv2().CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return code.to_bytes(4, "little").decode("latin-1").lower()


def _format_of(capture: Any, codec: str) -> StreamFormat:
    """Read size and rate of an opened capture; a rate that cannot be is replaced by the usual."""
    cv2 = load_cv2()
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return StreamFormat(
        codec=codec,
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=fps if 0 < fps <= _MAX_FPS else _USUAL_FPS,
    )
