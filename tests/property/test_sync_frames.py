"""Laws of the frame codec: what goes in comes out, and no bytes can do more than be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import frames
from sync.codecs import CODECS, Codec
from sync.frames import FrameError
from sync.records import Lane, Record

_BODIES = st.binary(max_size=200)
_TIMES = st.integers(min_value=0, max_value=2**53)


@st.composite
def runs(draw: st.DrawFn) -> list[Record]:
    """Consecutive records of one lane."""
    lane = draw(st.sampled_from(list(Lane)))
    first = draw(st.integers(min_value=1, max_value=2**52))
    count = draw(st.integers(min_value=1, max_value=40))
    return [
        Record(
            lane=lane,
            seq=first + index,
            kind=draw(st.sampled_from(["workflow", "task", "evidence", "of-tomorrow"])),
            recorded_ms=draw(_TIMES),
            boot=draw(st.integers(min_value=0, max_value=2**32 - 1)),
            body=draw(_BODIES),
        )
        for index in range(count)
    ]


@given(
    records=runs(),
    epoch=st.integers(min_value=1, max_value=2**32 - 1),
    codec=st.sampled_from(CODECS),
)
def test_records_survive_the_way(records: list[Record], epoch: int, codec: Codec) -> None:
    """Decoding what was encoded gives the same records, lane, epoch and range."""
    payload = frames.encode(records, epoch=epoch, oldest_seq=1, codec=codec)

    frame = frames.decode(payload)

    assert tuple(records) == frame.records
    assert epoch == frame.header.epoch
    assert (records[0].seq, records[-1].seq) == (frame.header.first_seq, frame.header.last_seq)


@given(payload=st.binary(max_size=400))
def test_any_bytes_are_refused_by_name(payload: bytes) -> None:
    """No bytes raise anything but a FrameError."""
    with pytest.raises(FrameError):
        frames.decode(payload)


@given(records=runs(), place=st.integers(min_value=0), change=st.integers(1, 255))
def test_any_damage_is_found(records: list[Record], place: int, change: int) -> None:
    """One changed byte anywhere makes the frame a named error, never other records."""
    payload = bytearray(frames.encode(records, epoch=1, oldest_seq=1))
    payload[place % len(payload)] ^= change

    with pytest.raises(FrameError):
        frames.decode(bytes(payload))


@given(records=runs(), cut=st.integers(min_value=1))
def test_a_cut_frame_is_found(records: list[Record], cut: int) -> None:
    """A frame that ends early is a named error."""
    payload = frames.encode(records, epoch=1, oldest_seq=1)

    with pytest.raises(FrameError):
        frames.decode(payload[: cut % len(payload)])


@given(body=st.binary(max_size=300), codec=st.integers(0, 255), count=st.integers(0, 2**32 - 1))
def test_a_sealed_lie_is_refused_by_name(body: bytes, codec: int, count: int) -> None:
    """Right checksums around any body, codec and count give a frame or a FrameError."""
    import zlib

    fields = frames._FIELDS.pack(1, 0, 2, 1, codec, 0, 0, 1, count, 1, 1, zlib.crc32(body))
    payload = fields + frames._CHECK.pack(zlib.crc32(fields)) + body

    try:
        frame = frames.decode(payload)
    except FrameError:
        return

    assert count == len(frame.records)


@given(payload=st.binary(max_size=200))
def test_any_acknowledgement_is_read_or_refused_by_name(payload: bytes) -> None:
    """No bytes on the ack and server topics raise anything but MessageMalformed."""
    for read in (frames.decode_ack, frames.decode_announcement):
        try:
            read(payload)
        except frames.MessageMalformed:
            continue


@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=12), seed=st.integers())
def test_packing_fits_and_keeps_the_order(sizes: list[int], seed: int) -> None:
    """Whatever the sizes, every record leaves in a frame under the cap, in order, once."""
    import random

    rng = random.Random(seed)
    left = [
        Record(Lane.HISTORY, 1 + at, "other", at, 1, rng.randbytes(size))
        for at, size in enumerate(sizes)
    ]
    out: list[Record] = []
    while left:
        payload, taken = frames.pack(left, epoch=1, oldest_seq=1)
        assert len(payload) <= frames.MAX_FRAME_BYTES
        out += frames.decode(payload).records
        left = left[taken:]

    assert list(range(1, len(sizes) + 1)) == [record.seq for record in out]
    assert sizes == [len(record.body) for record in out]
