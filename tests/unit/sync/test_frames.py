"""The frame codec, case by case: each way of being wrong has its name."""

from __future__ import annotations

import sys
import zlib

import msgspec
import pytest

from sync import frames
from sync.codecs import Codec, best_codec
from sync.frames import Ack, Announcement, FrameError, Hello
from sync.records import Lane, Record, WorkflowRecord, encode_body

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def some(count: int, *, size: int = 10) -> list[Record]:
    """Consecutive records of the history lane."""
    return [
        Record(Lane.HISTORY, 11 + index, "task", 1_000 + index, 3, bytes(size))
        for index in range(count)
    ]


def sealed(body: bytes, **changes: int) -> bytes:
    """A frame with right checksums around whatever it is given."""
    fields = {
        "version": 1, "flags": 0, "lane": 2, "schema": 1, "codec": 0, "reserved": 0,
        "dictionary": 0, "epoch": 1, "count": 1, "first": 1, "oldest": 1, "crc": zlib.crc32(body),
    } | changes  # fmt: skip
    packed = frames._FIELDS.pack(*fields.values())
    return packed + frames._CHECK.pack(zlib.crc32(packed)) + body


def test_the_layout_is_the_documented_one() -> None:
    """The header is 40 bytes, big-endian, in the order the specification gives."""
    payload = frames.encode(some(2), epoch=7, oldest_seq=9, codec=Codec.NONE)

    assert 40 == frames.HEADER_BYTES
    assert bytes([1, 0, 2, 1, 0, 0, 0, 0]) == payload[:8]
    assert (7).to_bytes(4) + (2).to_bytes(4) == payload[8:16]
    assert (11).to_bytes(8) + (9).to_bytes(8) == payload[16:32]
    assert zlib.crc32(payload[40:]).to_bytes(4) == payload[32:36]
    assert zlib.crc32(payload[:36]).to_bytes(4) == payload[36:40]
    assert [1_000, [["task", 0, 3, bytes(10)], ["task", 1, 3, bytes(10)]]] == (
        msgspec.msgpack.decode(payload[40:])
    )


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", frames.FrameTruncated),
        (bytes(39), frames.FrameTruncated),
        (sealed(b"", version=2), frames.VersionUnknown),
        (bytes([1]) + bytes(60), frames.HeaderCorrupt),
        (sealed(b"", lane=4), frames.HeaderImplausible),
        (sealed(b"", epoch=0), frames.HeaderImplausible),
        (sealed(b"", count=0), frames.HeaderImplausible),
        (sealed(b"", count=501), frames.HeaderImplausible),
        (sealed(b"", first=0), frames.HeaderImplausible),
        (sealed(b"", first=2**63), frames.HeaderImplausible),
        (sealed(b"", flags=1), frames.HeaderImplausible),
        (sealed(b"", crc=5), frames.BodyCorrupt),
        (sealed(b"", codec=9), frames.CodecUnknown),
        (sealed(b"", dictionary=1), frames.CodecUnknown),
        (sealed(b"rubbish", codec=1), frames.BodyMalformed),
        (sealed(zlib.compress(b"x") + b"y", codec=1), frames.BodyMalformed),
        (sealed(zlib.compress(b"x" * 100)[:-3], codec=1), frames.BodyMalformed),
        (sealed(zlib.compress(bytes(4_000_001)), codec=1), frames.BodyMalformed),
        (sealed(b"\xc0"), frames.BodyMalformed),
        (sealed(msgspec.msgpack.encode([1, []])), frames.BodyMalformed),
        (sealed(msgspec.msgpack.encode([0, [["k", -1, 1, b""]]])), frames.BodyMalformed),
        (sealed(b"\xc1", flags=1, lane=0, count=0, first=0), frames.BodyMalformed),
        (sealed(bytes(100_001)), frames.FrameTooLarge),
    ],
)
def test_every_fault_has_its_name(payload: bytes, error: type[FrameError]) -> None:
    """Each wrong frame raises the error that says what is wrong."""
    with pytest.raises(error):
        frames.decode(payload)


def test_a_body_error_tells_the_range() -> None:
    """When only the body is wrong, the range that it stood for is known."""
    with pytest.raises(frames.BodyError) as caught:
        frames.decode(sealed(b"\xc0", count=7, first=20))

    assert (20, 26) == (caught.value.header.first_seq, caught.value.header.last_seq)


def test_more_than_a_row_needs_is_ignored() -> None:
    """A later release may append to a row and to a body."""
    body = msgspec.msgpack.encode([5, [["k", 1, 2, b"b", "more"]], "more"])

    assert Record(Lane.HISTORY, 1, "k", 6, 2, b"b") == frames.decode(sealed(body)).records[0]


def test_an_oldest_beyond_the_frame_is_held_to_it() -> None:
    """A device that pruned while it sent still delivers what it sent."""
    payload = sealed(msgspec.msgpack.encode([0, [["k", 0, 1, b""]]]), oldest=50)

    assert 1 == frames.decode(payload).header.oldest_seq


def test_a_hello_survives() -> None:
    """A hello is a frame of its own, in the control lane."""
    hello = Hello(boot=3, nonce=9, lanes={Lane.HISTORY: (1, 5)}, codecs=[0, 1], version="1.0")

    frame = frames.decode(frames.encode_hello(hello, epoch=4))

    assert hello == frame.hello
    assert (True, 4, Lane.CONTROL) == (frame.header.hello, frame.header.epoch, frame.header.lane)


def test_messages_from_the_control_plane_survive() -> None:
    """Acknowledgements and announcements are read as they were written; rubbish is named."""
    ack = Ack(epoch=1, cursors={Lane.URGENT: 7}, credit_bytes=1, server_ms=2, nonce=3)

    assert ack == frames.decode_ack(frames.encode_ack(ack))
    assert Announcement(5) == frames.decode_announcement(
        frames.encode_announcement(Announcement(5))
    )
    with pytest.raises(frames.MessageMalformed):
        frames.decode_ack(b"\xc1")
    with pytest.raises(frames.MessageMalformed):
        frames.decode_announcement(b"")


def test_packing_takes_500_at_most() -> None:
    """A frame never holds more than 500 records."""
    payload, taken = frames.pack(some(700), epoch=1, oldest_seq=1)

    assert 500 == taken == frames.decode(payload).header.count


def test_packing_keeps_what_unpacks_within_the_limit() -> None:
    """Bodies that compress a thousand times are not packed beyond what may be unpacked."""
    payload, taken = frames.pack(some(10, size=900_000), epoch=1, oldest_seq=1)

    assert 2 == taken == len(frames.decode(payload).records)


def test_a_record_too_large_for_any_frame_goes_without_its_body() -> None:
    """It keeps its place in the sequence, or the lane would stop there for ever."""
    payload, taken = frames.pack(some(2, size=5_000_000), epoch=1, oldest_seq=1)

    assert 1 == taken
    assert b"" == frames.decode(payload).records[0].body


def test_a_record_that_cannot_be_made_small_goes_empty() -> None:
    """Even a name of a megabyte does not stop the lane."""
    import random

    name = random.Random(1).randbytes(600_000).hex()
    body = encode_body(WorkflowRecord("w", name, 1, "RUNNING", 1, 1))
    payload, taken = frames.pack(
        [Record(Lane.HISTORY, 1, "workflow", 1, 1, body)], epoch=1, oldest_seq=1
    )

    assert (1, b"") == (taken, frames.decode(payload).records[0].body)


def test_encoding_too_much_is_an_error_with_the_range() -> None:
    """`encode` refuses what `pack` would have cut."""
    import random

    noise = [
        Record(Lane.BULK, 1 + at, "x", 0, 1, random.Random(at).randbytes(60_000)) for at in (0, 1)
    ]
    with pytest.raises(frames.FrameTooLarge):
        frames.encode(noise, epoch=1, oldest_seq=1)


def test_zstd_is_used_only_when_it_is_offered() -> None:
    """Without the peer's offer, or before it, it is zlib."""
    assert Codec.ZLIB == best_codec([0, 1])
    assert Codec.ZSTD == best_codec([0, 1, 2])


def _zstd_frame(body: bytes) -> bytes:
    """A frame of one record whose body is compressed so, with right checksums."""
    records = [Record(Lane.HISTORY, 1, "x", 0, 1, b"")]
    header = bytearray(frames.encode(records, epoch=1, oldest_seq=1, codec=Codec.ZSTD)[:36])
    header[32:36] = zlib.crc32(body).to_bytes(4, "big")
    return bytes(header) + zlib.crc32(bytes(header)).to_bytes(4, "big") + body


def test_zstd_bodies_are_held_to_their_bounds() -> None:
    """Cut, followed by more, unpacking to too much, or asking for more memory than 8 MiB."""
    plain = msgspec.msgpack.encode((0, [("x", 0, 1, b"")]))
    whole = zstd.compress(plain)
    large = zstd.compress(bytes(frames.MAX_BODY_BYTES + 1))
    unsized = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 25})
    wide = unsized.compress(plain) + unsized.flush()

    assert 1 == len(frames.decode(_zstd_frame(whole)).records)
    for body in (whole[:-1], whole + b"x", whole + whole, large, wide, b"", b"none"):
        with pytest.raises(frames.BodyMalformed):
            frames.decode(_zstd_frame(body))
