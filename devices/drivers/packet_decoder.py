"""A decoder that is fed packets from Python and gives pictures, one for one.

It knows no camera and no time; it pulls packets from a callable and ends when that ends.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable
from typing import Any

from devices.capabilities import Image
from devices.drivers.video_library import MEMORY_OPTIONS, load_cv2, open_capture
from devices.packets import Packet

# FFmpeg's parser gives a picture up only when it sees the next one begin. An access unit delimiter
# after each packet is that beginning: without it every picture comes one frame, 40 ms, late.
# H.264: NAL unit type 9, any slice type (7.4.2.4).
_DELIMITER = {"h264": b"\x00\x00\x00\x01\x09\xf0"}

# A decoder holds at most 16 pictures back for reordering (H.264, A.3.1); more pending ones than
# this were swallowed as damaged.
_MAX_PENDING = 32


class PacketDecoder:
    """Decodes the packets that a callable gives."""

    def __init__(self, first: Packet, codec: str, pull: Callable[[], Packet | None]) -> None:
        """Open the decoder.

        Args:
            first: A keyframe, to open with.
            codec: h264 or hevc.
            pull: Gives the next packet, waiting for it; None ends the decoder. What it raises is
                raised again by `grab`.
        """
        self._cv2 = load_cv2()
        self._feed = _Feed(first, _DELIMITER.get(codec, b""), pull)
        self._capture: Any = open_capture(
            self._feed, options=MEMORY_OPTIONS, parameters={self._cv2.CAP_PROP_N_THREADS: 1}
        )

    def grab(self) -> Packet | None:
        """Decode the next picture, without converting it; give the packet it came from.

        Returns:
            None when no more pictures come: the packets ended, or cannot be decoded.
        """
        is_grabbed = self._capture.isOpened() and self._capture.grab()
        if self._feed.error is not None:
            raise self._feed.error
        return self._feed.take_oldest() if is_grabbed else None

    def retrieve(self) -> Image | None:
        """Convert the picture grabbed last: (height, width, 3), uint8, BGR."""
        is_converted, image = self._capture.retrieve()
        return image if is_converted else None

    def close(self) -> None:
        """Let go of the decoder."""
        self._feed.end()
        self._capture.release()


class _Feed(io.BufferedIOBase):
    """The stream of bytes that OpenCV reads from, filled packet by packet.

    Its end is sticky: OpenCV reads on after an end and would otherwise wait for ever. No exception
    may leave `read`, there is C++ above it; so it is kept for whoever asked.
    """

    def __init__(self, first: Packet, delimiter: bytes, pull: Callable[[], Packet | None]) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._delimiter = delimiter
        self._pull = pull
        self._pending: list[tuple[float, int, Packet]] = []
        self._rest = memoryview(b"")
        self._is_ended = False
        self._accept(first)

    def take_oldest(self) -> Packet | None:
        """Give the pending packet that is shown first: the one the decoder has just given out."""
        while len(self._pending) > _MAX_PENDING:
            heapq.heappop(self._pending)
        return heapq.heappop(self._pending)[2] if self._pending else None

    def end(self) -> None:
        """Give no more bytes."""
        self._is_ended = True

    def read(self, size: int | None = -1, /) -> bytes:
        """Give at most so many bytes; nothing means the end."""
        if not self._rest and not self._is_ended:
            try:
                packet = self._pull()
            except Exception as error:  # noqa: BLE001 - above is C++; `grab` raises it again
                self.error = error
                packet = None
            if packet is None:
                self._is_ended = True
            else:
                self._accept(packet)
        count = len(self._rest) if size is None or size < 0 else size
        part = self._rest[:count].tobytes()
        self._rest = self._rest[count:]
        return part

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Refuse: a live stream has no other place to go to."""
        del offset, whence
        return -1

    def _accept(self, packet: Packet) -> None:
        """Make a packet the next bytes."""
        heapq.heappush(self._pending, (packet.pts_ms, packet.index, packet))
        self._rest = memoryview(packet.data + self._delimiter)
