"""Tests of the packet ring and of the arithmetic around packets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devices.packets import (
    Packet,
    PacketRing,
    has_parameter_sets,
    mux_plan,
    with_parameter_sets,
)

_SPS = b"\x00\x00\x00\x01\x67abc"
_IDR = b"\x00\x00\x00\x01\x65xyz"


def _packet(index: int, *, gop: int = 10, size: int = 100, segment: int = 0) -> Packet:
    return Packet(bytes(size), index % gop == 0, index * 40.0, 1_000 + index * 40, index, segment)


def _ring(count: int, *, gop: int = 10, max_bytes: int = 10**9, span_ms: int = 10**9) -> PacketRing:
    ring = PacketRing(max_bytes=max_bytes, span_ms=span_ms)
    for index in range(count):
        ring.append(_packet(index, gop=gop))
    return ring


@given(
    st.lists(st.tuples(st.integers(0, 500), st.booleans(), st.integers(0, 300)), max_size=200),
    st.integers(100, 3000),
    st.integers(0, 5000),
)
def test_the_ring_keeps_its_limits_and_begins_on_a_keyframe(
    arrivals: list[tuple[int, bool, int]], max_bytes: int, span_ms: int
) -> None:
    """Whatever arrives, bytes stay below the limit and the first packet can be decoded."""
    ring = PacketRing(max_bytes=max_bytes, span_ms=span_ms)
    now_ms = 0
    for index, (size, is_key, pause_ms) in enumerate(arrivals):
        now_ms += pause_ms
        ring.append(Packet(bytes(size), is_key, index * 40.0, now_ms, index, 0))

        held = ring.cut(-1, now_ms).packets
        assert ring.held_bytes == sum(len(one.data) for one in held) <= max_bytes
        assert len(held) == len(ring)
        assert not held or held[0].is_key


def test_time_is_kept_as_asked_and_not_much_longer() -> None:
    """With room enough the span is covered, by at most one group more."""
    ring = _ring(500, span_ms=4_000)

    bounds = ring.bounds_ms

    assert bounds is not None
    assert 4_000 <= bounds[1] - bounds[0] <= 4_000 + 10 * 40


def test_an_empty_ring_has_no_bounds_and_gives_nothing() -> None:
    """A cut of nothing is empty and says why."""
    ring = PacketRing(max_bytes=1000, span_ms=1000)

    assert ring.bounds_ms is None
    assert () == ring.cut(0, 100).packets
    assert "empty" in ring.cut(0, 100).reason
    assert [] == ring.since_keyframe()


def test_packets_before_the_first_keyframe_are_skipped_and_counted() -> None:
    """A stream joined in the middle of a group is held from its next keyframe on."""
    ring = PacketRing(max_bytes=10**6, span_ms=10**6)
    for index in range(3, 15):
        ring.append(_packet(index))

    assert 7 == ring.skipped
    assert 10 == ring.cut(0, 10**6).packets[0].index


def test_a_cut_begins_at_the_keyframe_before_its_start() -> None:
    """A span inside of a group brings the lead that its first picture needs."""
    cut = _ring(100).cut(1_000 + 25 * 40, 1_000 + 33 * 40)

    assert cut.complete
    assert list(range(20, 34)) == [one.index for one in cut.packets]


def test_a_cut_says_when_its_beginning_is_gone() -> None:
    """What the ring no longer holds is missing, and the reason says by how much."""
    cut = _ring(100, span_ms=1_000).cut(1_000, 1_000 + 99 * 40)

    assert not cut.complete
    assert "begins" in cut.reason
    assert cut.packets[0].is_key


def test_a_cut_says_when_its_end_has_not_come_yet() -> None:
    """A span that reaches beyond the newest packet is given as far as it goes."""
    cut = _ring(50).cut(1_000, 1_000 + 60 * 40)

    assert not cut.complete
    assert "before the end" in cut.reason
    assert 50 == len(cut.packets)


def test_a_cut_outside_of_what_is_held_is_empty() -> None:
    """A span before or after everything gives nothing, with the bounds in the reason."""
    ring = _ring(50)

    assert () == ring.cut(0, 900).packets
    assert () == ring.cut(10_000, 11_000).packets
    assert "holds 1000 to" in ring.cut(0, 900).reason


def test_a_cut_across_a_reconnect_keeps_the_longer_part() -> None:
    """Packets of two openings of a source never go into one file."""
    ring = PacketRing(max_bytes=10**6, span_ms=10**6)
    for index in range(60):
        ring.append(_packet(index, segment=0 if index < 20 else 1))

    cut = ring.cut(1_000, 1_000 + 59 * 40)

    assert {1} == {one.segment for one in cut.packets}
    assert not cut.complete
    assert "broke off" in cut.reason


def test_since_keyframe_gives_the_open_group() -> None:
    """The packets that a decoder lacks are those from the newest keyframe on."""
    assert list(range(40, 47)) == [one.index for one in _ring(47).since_keyframe()]


def test_parameter_sets_are_put_before_a_keyframe_that_lacks_them() -> None:
    """A camera that sends them only once still gives clips that can be decoded."""
    assert _SPS + _IDR == with_parameter_sets("h264", _IDR, _SPS)
    assert _SPS + _IDR == with_parameter_sets("h264", _SPS + _IDR, _SPS)
    assert _IDR == with_parameter_sets("h264", _IDR, b"\x01\x64\x00\x1f")


def test_parameter_sets_are_recognised_in_both_codecs() -> None:
    """H.264's SPS is type 7, H.265's VPS and SPS are 32 and 33; a JPEG needs none."""
    assert has_parameter_sets("h264", _SPS + _IDR)
    assert not has_parameter_sets("h264", _IDR)
    assert has_parameter_sets("hevc", b"\x00\x00\x01" + bytes([33 << 1]) + b"\x01")
    assert not has_parameter_sets("hevc", b"\x00\x00\x01" + bytes([19 << 1]) + b"\x01")
    assert has_parameter_sets("mjpeg", b"\xff\xd8")


@given(st.lists(st.floats(-1000, 60_000), min_size=1, max_size=60), st.floats(1, 120))
def test_muxing_times_are_valid_whatever_the_stream_says(pts: list[float], fps: float) -> None:
    """No two packets share a time and none is shown before it is decoded."""
    packets = tuple(Packet(b"", True, time, 0, n, 0) for n, time in enumerate(pts))

    plan = mux_plan(packets, fps)

    assert len(packets) == len(set(plan.times))
    assert all(time >= count - plan.reorder for count, time in enumerate(plan.times))
    assert 0 < plan.fps


def test_a_gap_in_the_stream_is_a_gap_in_the_clip() -> None:
    """Pictures that were lost on the way leave their time empty."""
    packets = tuple(Packet(b"", True, pts, 0, 0, 0) for pts in (0, 40, 80, 200, 240))

    assert [0, 1, 2, 5, 6] == mux_plan(packets, 30.0).times


def test_reordered_pictures_keep_their_display_order() -> None:
    """With B-frames presentation times are permuted as in the stream."""
    packets = tuple(Packet(b"", True, pts, 0, 0, 0) for pts in (0, 120, 40, 80, 240, 160, 200))

    plan = mux_plan(packets, 30.0)

    assert ([0, 3, 1, 2, 6, 4, 5], 1) == (plan.times, plan.reorder)
    assert 25.0 == plan.fps


def test_the_rate_is_measured_from_the_stamps() -> None:
    """The rate comes from the steps between pictures; a single picture has the nominal one."""
    packets = tuple(_packet(index) for index in range(26))

    assert 25.0 == mux_plan(packets, 30.0).fps
    assert 30.0 == mux_plan(packets[:1], 30.0).fps
