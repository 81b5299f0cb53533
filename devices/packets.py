"""Encoded video packets and the ring that keeps the newest of them for a clip's pre-roll.

Pure: no thread, no clock, no codec library; whoever calls brings the time.
"""

from __future__ import annotations

import statistics
from collections import deque
from itertools import pairwise

import msgspec

_START_CODE = b"\x00\x00\x01"
# NAL unit types of parameter sets: H.264 table 7-1 (SPS 7), H.265 table 7-1 (VPS 32, SPS 33).
_H264_SPS = 7
_HEVC_PARAMETER_SETS = (32, 33)

# A decoder holds back at most 16 pictures (H.264, A.3.1); stamps that ask for more are wrong.
_MAX_REORDER = 16


class Packet(msgspec.Struct, frozen=True):
    """One encoded picture, complete (an access unit)."""

    data: bytes
    """H.264 and H.265 in Annex B form (with start codes); mjpeg: one JPEG file."""

    is_key: bool
    """Whether decoding can begin here."""

    pts_ms: float
    """Presentation time in milliseconds on the stream's own axis."""

    captured_ms: int
    """Wall clock at which the packet arrived."""

    index: int
    """Number of the packet, counted by the driver from 0."""

    segment: int
    """Grows by one whenever the source is opened anew; time stamps hold within a segment."""


class StreamFormat(msgspec.Struct, frozen=True):
    """What a decoder or a muxer must know of a stream."""

    codec: str
    """h264, hevc or mjpeg."""

    width: int
    height: int
    fps: float
    """Nominal rate in frames per second."""


class Cut(msgspec.Struct, frozen=True):
    """What the ring still holds of a span of time."""

    packets: tuple[Packet, ...]
    """In arrival order and from one segment, the first is a keyframe; empty if nothing is held."""

    complete: bool
    reason: str
    """Why it is not complete; empty if it is."""


class PacketRing:
    """The newest packets within a limit of bytes and of time, always from a keyframe on.

    At a limit the oldest group of pictures goes as a whole, so that what is left can be decoded.
    A single group that is larger than the byte limit goes as well; the ring then waits for a
    keyframe.
    """

    def __init__(self, *, max_bytes: int, span_ms: int) -> None:
        """Make an empty ring.

        Args:
            max_bytes: Limit of all packets' data together; it holds at any time.
            span_ms: Wall-clock time that is kept if the bytes allow it. What is older goes group
                by group, so up to one group more than this is held.
        """
        self.max_bytes = max_bytes
        self.span_ms = span_ms
        self.held_bytes = 0
        self.skipped = 0
        """Packets that were not taken because no keyframe stood before them."""
        self._packets: deque[Packet] = deque()
        self._keys_ms: deque[int] = deque()  # Wall clock of each keyframe held.

    def __len__(self) -> int:
        """Count the packets held."""
        return len(self._packets)

    @property
    def bounds_ms(self) -> tuple[int, int] | None:
        """Wall clock of the oldest and the newest packet, or None when empty."""
        if not self._packets:
            return None
        return self._packets[0].captured_ms, self._packets[-1].captured_ms

    def append(self, packet: Packet) -> None:
        """Take the next packet and let go of what is beyond the limits."""
        if not self._packets and not packet.is_key:
            self.skipped += 1
            return
        self._packets.append(packet)
        self.held_bytes += len(packet.data)
        if packet.is_key:
            self._keys_ms.append(packet.captured_ms)
        while self._packets and self._is_beyond_limits():
            self._drop_oldest_group()

    def since_keyframe(self) -> list[Packet]:
        """Give the packets from the newest keyframe on, oldest first."""
        group: list[Packet] = []
        for packet in reversed(self._packets):
            group.append(packet)
            if packet.is_key:
                break
        return group[::-1]

    def cut(self, start_ms: int, end_ms: int) -> Cut:
        """Give the packets of a span, begun at the keyframe at or before its start.

        Where a reconnect lies inside the span, the segment with the most packets is given, because
        one file cannot hold two streams with different parameters.
        """
        if not self._packets:
            return Cut((), complete=False, reason="the pre-roll ring is empty")
        oldest, newest = self._packets[0].captured_ms, self._packets[-1].captured_ms
        inside = self._inside(start_ms, end_ms)
        if not inside:
            reason = f"the pre-roll ring holds {oldest} to {newest} ms, not {start_ms} to {end_ms}"
            return Cut((), complete=False, reason=reason)
        segments = {packet.segment for packet in inside}
        longest = max(segments, key=lambda one: sum(one == packet.segment for packet in inside))
        chosen = _from_keyframe([packet for packet in inside if packet.segment == longest])
        reason = _what_is_missing(
            oldest=oldest, newest=newest, start_ms=start_ms, end_ms=end_ms, segments=len(segments)
        )
        return Cut(tuple(chosen), complete=not reason, reason=reason)

    def _inside(self, start_ms: int, end_ms: int) -> list[Packet]:
        """Collect the span's packets, led by those since the keyframe before its start."""
        lead: list[Packet] = []
        inside: list[Packet] = []
        for packet in self._packets:
            if packet.captured_ms > end_ms:
                break
            if packet.captured_ms < start_ms:
                lead = [packet] if packet.is_key else [*lead, packet]
            else:
                inside.append(packet)
        if inside and not inside[0].is_key:
            inside = [*lead, *inside]
        return inside

    def _is_beyond_limits(self) -> bool:
        """Tell whether there is too much in bytes, or enough in time without the oldest group."""
        if self.held_bytes > self.max_bytes:
            return True
        horizon_ms = self._packets[-1].captured_ms - self.span_ms
        return len(self._keys_ms) > 1 and self._keys_ms[1] <= horizon_ms

    def _drop_oldest_group(self) -> None:
        """Let go of the first keyframe and everything up to the next one."""
        self._keys_ms.popleft()
        self.held_bytes -= len(self._packets.popleft().data)
        while self._packets and not self._packets[0].is_key:
            self.held_bytes -= len(self._packets.popleft().data)


def with_parameter_sets(codec: str, data: bytes, parameter_sets: bytes) -> bytes:
    """Put a stream's parameter sets before a keyframe that carries none.

    Some RTSP cameras send them only in the session description, but a clip and a decoder that
    begin at this keyframe need them.

    Args:
        codec: h264 or hevc; other codecs have no parameter sets and are given back unchanged.
        data: The keyframe in Annex B form.
        parameter_sets: In Annex B form; anything else (MP4's own form, or nothing) is not used.
    """
    if not parameter_sets.startswith((_START_CODE, b"\x00" + _START_CODE)):
        return data
    if has_parameter_sets(codec, data):
        return data
    return parameter_sets + data


def has_parameter_sets(codec: str, data: bytes) -> bool:
    """Tell whether an Annex B access unit brings the parameter sets of its stream."""
    position = data.find(_START_CODE)
    while 0 <= position < len(data) - 3:
        header = data[position + 3]
        if codec == "h264" and header & 0x1F == _H264_SPS:
            return True
        if codec == "hevc" and (header >> 1) & 0x3F in _HEVC_PARAMETER_SETS:
            return True
        position = data.find(_START_CODE, position + 3)
    return codec not in ("h264", "hevc")


class MuxPlan(msgspec.Struct, frozen=True):
    """How packets are placed on a muxer's axis."""

    fps: float
    """Units per second, and the mean rate of the stream."""

    times: list[int]
    """Presentation time of each packet, in units of 1/fps."""

    reorder: int
    """By how many units decoding times run ahead of presentation times; 0 without B-frames."""


def mux_plan(packets: tuple[Packet, ...], nominal_fps: float) -> MuxPlan:
    """Place packets on a muxer's axis.

    OpenCV's muxer counts decoding times itself, 0, 1, 2 and so on less the reordering, and a
    presentation time before its decoding time would be an invalid file. So what a stream says of
    its times is kept as far as it is valid: pictures that would come too early come later.

    Args:
        packets: In the order of arrival, which is that of decoding.
        nominal_fps: For a stream whose stamps tell nothing.
    """
    stamps = [packet.pts_ms for packet in packets]
    fps = _measured_fps(stamps, nominal_fps)
    exact = [round((stamp - stamps[0]) * fps / 1000) for stamp in stamps]
    if any(after < before for before, after in pairwise(stamps)):
        reorder = max(count - time for count, time in enumerate(exact))
        if len(set(exact)) == len(exact) and reorder <= _MAX_REORDER:
            return MuxPlan(fps, exact, reorder)
        return MuxPlan(fps, list(range(len(packets))), 0)
    times: list[int] = []
    for count, time in enumerate(exact):
        times.append(max(count, time, times[-1] + 1 if times else 0))
    return MuxPlan(fps, times, 0)


def _measured_fps(stamps: list[float], nominal: float) -> float:
    """Work out a stream's rate from the median of its steps, or take the nominal one."""
    steps = [after - before for before, after in pairwise(sorted(stamps)) if after > before]
    return round(1000 / statistics.median(steps), 3) if steps else nominal


def _from_keyframe(packets: list[Packet]) -> list[Packet]:
    """Leave out what stands before the first keyframe."""
    for position, packet in enumerate(packets):
        if packet.is_key:
            return packets[position:]
    return []


def _what_is_missing(*, oldest: int, newest: int, start_ms: int, end_ms: int, segments: int) -> str:
    """Say in words what a cut lacks, or nothing."""
    if segments > 1:
        return "the stream broke off within the clip; the longer part was kept"
    if oldest > start_ms:
        return f"the pre-roll ring begins {oldest - start_ms} ms after the start of the clip"
    if newest < end_ms:
        return f"the newest frame is {end_ms - newest} ms before the end of the clip"
    return ""
