"""The frame: a fixed header and a compressed body, as `docs/sync-protocol.md` describes it.

Bytes in, frames out, and back; no topic, no clock and no decision about what to send.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
import struct
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import Annotated, TypeVar

import msgspec

from sync.coalescing import COALESCED_KINDS, COALESCED_LANES, carriers
from sync.codecs import CODECS, BadlyPacked, Codec, compress, decompress
from sync.orders import Position
from sync.records import Count, Lane, Millis, Record, shrink

VERSION = 1
SCHEMA = 1
MAX_RECORDS = 500
# AWS IoT takes at most 128 KB a message; the rest is room for topic and properties.
MAX_FRAME_BYTES = 100_000
# What a body may grow to when it is unpacked. 500 records fill it only at 8 KB each.
MAX_BODY_BYTES = 4_000_000

# version, flags, lane, schema, codec, reserved, dictionary, epoch, count, first seq, oldest held
# seq, CRC-32 of the body; then the CRC-32 of all that stands before it.
_FIELDS = struct.Struct(">BBBBBBHIIQQI")
_CHECK = struct.Struct(">I")
HEADER_BYTES = _FIELDS.size + _CHECK.size


DUPLICATE = "duplicate-identity"
"""Why a control plane refuses who speaks under a name that another speaks under, too."""


class FrameError(Exception):
    """Head of what can be wrong with a message from the other end.

    FrameError
    ├── HeaderError            nothing in the frame can be trusted
    │   ├── FrameTruncated
    │   ├── HeaderCorrupt
    │   ├── VersionUnknown
    │   └── HeaderImplausible
    ├── BodyError              the header holds: the range is known
    │   ├── FrameTooLarge
    │   ├── BodyCorrupt
    │   ├── CodecUnknown
    │   └── BodyMalformed
    └── MessageMalformed       an acknowledgement or announcement cannot be read
    """


class HeaderError(FrameError):
    """The header of a frame cannot be trusted, so not even its range is known."""


class FrameTruncated(HeaderError):
    """The message is shorter than a frame's header. Something else speaks on this topic."""


class HeaderCorrupt(HeaderError):
    """The header's checksum is wrong. Look for what changes messages on the way."""


class VersionUnknown(HeaderError):
    """The frame is of a later protocol version. Update this end."""


class HeaderImplausible(HeaderError):
    """The header is intact and says what no device may say. Look at the device that wrote it."""


class BodyError(FrameError):
    """The header of a frame holds and its body does not."""

    def __init__(self, header: Header, reason: str) -> None:
        super().__init__(reason)
        self.header = header


class FrameTooLarge(BodyError):
    """The frame is over 100 KB. The sender must put fewer records into one."""


class BodyCorrupt(BodyError):
    """The body's checksum is wrong: it was damaged where it was written or kept."""


class CodecUnknown(BodyError):
    """The body is compressed in a way this end cannot read. Offer fewer codecs or install it."""


class BodyMalformed(BodyError):
    """The body is intact and is not what a body may be. Look at the device that wrote it."""


class MessageMalformed(FrameError):
    """An acknowledgement or announcement cannot be read. Look at the control plane's release."""


class Feature(IntEnum):
    """What a control plane may understand beyond what every one does."""

    COALESCED = 1
    """Rows that name the row that carries them in place of a body."""


FEATURES = tuple(Feature)
"""What this end understands."""


class Flag(IntFlag):
    """What a frame is besides a carrier of records."""

    HELLO = 1


class Header(msgspec.Struct, frozen=True):
    """The fixed part of a frame."""

    lane: Lane
    codec: int
    epoch: int
    first_seq: int
    """0 in a hello."""
    count: int
    """0 in a hello; otherwise 1 to MAX_RECORDS."""
    oldest_seq: int
    """The oldest record of this lane the device still holds; what is before it will not come."""
    hello: bool = False
    schema: int = SCHEMA
    dictionary: int = 0
    """0 = none; nothing else is defined yet."""

    @property
    def last_seq(self) -> int:
        """The last sequence in the frame."""
        return self.first_seq + self.count - 1


class Hello(msgspec.Struct, frozen=True, omit_defaults=True, rename={
    "boot": "b", "nonce": "n", "lanes": "l", "codecs": "c", "version": "v", "orders": "q",
    "first": "f", "run": "i",
}):  # fmt: skip
    """What a device says first on each connection, and again when it hears nothing."""

    boot: Count
    nonce: Count
    """Returned in the answer, so that an older acknowledgement is not taken for it."""
    lanes: dict[Lane, tuple[Count, Count]]
    """Oldest and newest sequence held, by lane; (0, 0) or absent when none was ever written."""
    codecs: list[int] = []
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""
    orders: Position | None = None
    """How far it has come with its orders; None when it takes none."""
    first: dict[Lane, Count] = {}
    """With which sequence this epoch begins, by lane; a lane that is absent begins with 1."""
    run: Annotated[bytes, msgspec.Meta(max_length=16)] = b""
    """Drawn anew by each run of the device's program; empty when it draws none."""


class Ack(msgspec.Struct, frozen=True, omit_defaults=True, rename={
    "epoch": "e", "cursors": "c", "credit_bytes": "k", "server_ms": "t", "nonce": "n",
    "codecs": "d", "refused": "r", "marks": "h", "features": "u", "beyond": "b",
}):  # fmt: skip
    """What the control plane says after its own commit."""

    epoch: Count
    """The live epoch; when it is not the device's own, `refused` says why."""
    cursors: dict[Lane, Count]
    """Everything up to here is stored durably, by lane; a lane not named has not changed."""
    credit_bytes: Count
    """How much the device may have under way in history and bulk."""
    server_ms: Millis
    nonce: Count = 0
    """The hello this answers; 0 when it answers frames."""
    codecs: list[int] = []
    refused: Annotated[str, msgspec.Meta(max_length=64)] = ""
    marks: dict[Lane, Count] = {}
    """What the record at each cursor is known by, see `mark_of`; in answers to a hello."""
    features: list[int] = []
    """What the control plane understands, see `Feature`; in answers to a hello."""
    beyond: dict[Lane, tuple[Count, Count]] = {}
    """The last record that waits beyond a hole, and its mark, by lane; in answers to a hello."""


class Announcement(msgspec.Struct, frozen=True, rename={"started_ms": "s"}):
    """What a control plane says (retained) when it begins to listen."""

    started_ms: Millis


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record as it stands in a body; its sequence follows from its place."""

    kind: Annotated[str, msgspec.Meta(max_length=32)]
    after_base_ms: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    boot: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    body: bytes | int
    """A distance in rows: the row that stands so much further on says all that this one said."""


class _Body(msgspec.Struct, frozen=True, array_like=True):
    base_ms: Millis
    rows: Annotated[list[_Row], msgspec.Meta(max_length=MAX_RECORDS)]


class Frame(msgspec.Struct, frozen=True, dict=True):
    """A frame that has been read and checked whole: records, or a hello."""

    header: Header
    hello: Hello | None = None
    body: _Body | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """One that is carried has its carrier's body; one that names no carrier has an empty one."""
        return self._unfolded[0]

    @property
    def carried(self) -> Mapping[int, int]:
        """Places of records that are carried, from 0, to the places of the records that carry them."""
        return self._unfolded[1]

    @functools.cached_property
    def _unfolded(self) -> tuple[tuple[Record, ...], Mapping[int, int]]:
        """Made when it is first asked for: who stores a frame needs none of it."""
        carried: dict[int, int] = {}
        if self.body is None:
            return (), carried
        lane, first, base_ms = self.header.lane, self.header.first_seq, self.body.base_ms
        rows = self.body.rows
        records = tuple(
            Record(
                lane,
                first + index,
                row.kind,
                base_ms + row.after_base_ms,
                row.boot,
                row.body if isinstance(row.body, bytes) else _carrying(rows, index, lane, carried),
            )
            for index, row in enumerate(rows)
        )
        return records, carried

    def recorded_ms(self, seq: int) -> int:
        """When one of its records was written, on the device's clock; 0 in a hello."""
        if self.body is None:
            return 0
        return self.body.base_ms + self.body.rows[seq - self.header.first_seq].after_base_ms


_T = TypeVar("_T")
_ENCODER = msgspec.msgpack.Encoder()
_BODY = msgspec.msgpack.Decoder(_Body)
_AFTER = operator.attrgetter("after_base_ms")
_HELLO = msgspec.msgpack.Decoder(Hello)
_ACK = msgspec.msgpack.Decoder(Ack)
_ANNOUNCEMENT = msgspec.msgpack.Decoder(Announcement)


def encode(
    records: Sequence[Record],
    *,
    epoch: int,
    oldest_seq: int,
    codec: Codec = Codec.ZLIB,
    coalesce: bool = False,
) -> bytes:
    """One frame of consecutive records of one lane.

    Args:
        records: 1 to MAX_RECORDS of them.
        epoch: of the device's history.
        oldest_seq: that the device still holds of this lane.
        codec: how the body is compressed.
        coalesce: whether a record that a later one carries goes without its body, which is only
            for those who have announced `Feature.COALESCED`.

    Raises:
        FrameTooLarge: put fewer records into it; `pack` does.
    """
    first = records[0]
    assert 1 <= len(records) <= MAX_RECORDS
    assert records[-1].seq == first.seq + len(records) - 1, "records of a frame are consecutive"
    base_ms = first.recorded_ms
    rows: list[tuple[str, int, int, bytes | int]]
    rows = [(r.kind, r.recorded_ms - base_ms, r.boot, r.body) for r in records]
    if coalesce:
        for place, distance in carriers(records).items():
            rows[place] = (*rows[place][:3], distance)
    plain = _ENCODER.encode((base_ms, rows))
    body = compress(plain, codec)
    header = Header(
        lane=first.lane,
        codec=codec,
        epoch=epoch,
        first_seq=first.seq,
        count=len(records),
        oldest_seq=oldest_seq,
    )
    frame = _join(header, body)
    if len(frame) > MAX_FRAME_BYTES or len(plain) > MAX_BODY_BYTES:
        raise FrameTooLarge(header, f"{len(frame)} bytes in one frame, {len(plain)} unpacked")
    return frame


def pack(
    records: Sequence[Record],
    *,
    epoch: int,
    oldest_seq: int,
    codec: Codec = Codec.ZLIB,
    coalesce: bool = False,
) -> tuple[bytes, int]:
    """One frame of as many of the records as go into it, and how many those are; see `encode`.

    A record too large for any frame goes without its payloads: see `records.shrink`.
    """
    take = _worth_trying(records)
    while True:
        try:
            frame = encode(
                records[:take],
                epoch=epoch,
                oldest_seq=oldest_seq,
                codec=codec,
                coalesce=coalesce,
            )
        except FrameTooLarge:
            # Halving ends after nine rounds at most.
            if take == 1:
                return _pack_oversized(records[0], epoch=epoch, oldest_seq=oldest_seq), 1
            take //= 2
            continue
        return frame, take


def readdressed(frame: bytes, *, lane: Lane, epoch: int, first_seq: int, oldest_seq: int) -> bytes:
    """The same records under other numbers; the body stays as it is, packed.

    Args:
        frame: of records; its checksums must hold, see `check`.
        lane: of the records.
        epoch: of the device's history.
        first_seq: of the first record.
        oldest_seq: that the device still holds of this lane.

    Raises:
        HeaderError: it is none.
    """
    header, crc = decode_header(frame)
    numbers = {"lane": lane, "epoch": epoch, "first_seq": first_seq, "oldest_seq": oldest_seq}
    return _head(msgspec.structs.replace(header, **numbers), crc) + frame[HEADER_BYTES:]


def check(frame: bytes) -> Header:
    """The header of a frame whose checksums hold; nothing is unpacked.

    Raises:
        FrameError: they do not.
    """
    header, crc = decode_header(frame)
    _check_body(header, memoryview(frame)[HEADER_BYTES:], crc)
    return header


def _check_body(header: Header, body: bytes | memoryview, crc: int) -> None:
    if zlib.crc32(body) != crc:
        raise BodyCorrupt(header, "the body's checksum is wrong")


def _pack_oversized(record: Record, *, epoch: int, oldest_seq: int) -> bytes:
    """A frame for a record that fits into none: without its payloads, or without any body."""
    try:
        return encode([shrink(record)], epoch=epoch, oldest_seq=oldest_seq)
    except FrameTooLarge:
        empty = msgspec.structs.replace(record, body=b"")
        return encode([empty], epoch=epoch, oldest_seq=oldest_seq)


def _worth_trying(records: Sequence[Record]) -> int:
    """How many records to begin with, so that the receiver's limit when unpacking is kept."""
    sizes = itertools.accumulate([len(record.body) + 64 for record in records[:MAX_RECORDS]])
    return max(1, bisect.bisect_right([*sizes], MAX_BODY_BYTES // 2))


def encode_hello(hello: Hello, *, epoch: int) -> bytes:
    """A frame that greets."""
    header = Header(
        lane=Lane.CONTROL,
        codec=Codec.NONE,
        epoch=epoch,
        first_seq=0,
        count=0,
        oldest_seq=0,
        hello=True,
    )
    return _join(header, _ENCODER.encode(hello))


def _join(header: Header, body: bytes) -> bytes:
    return _head(header, zlib.crc32(body)) + body


def _head(header: Header, crc: int) -> bytes:
    """The header as it travels, with the checksum of the body."""
    fields = _FIELDS.pack(
        VERSION,
        Flag.HELLO if header.hello else 0,
        header.lane,
        header.schema,
        header.codec,
        0,
        header.dictionary,
        header.epoch,
        header.count,
        header.first_seq,
        header.oldest_seq,
        crc,
    )
    return fields + _CHECK.pack(zlib.crc32(fields))


def decode_header(payload: bytes) -> tuple[Header, int]:
    """The header of a frame, checked, and the checksum its body must have.

    Raises:
        HeaderError: one of its kinds.
    """
    if len(payload) < HEADER_BYTES:
        raise FrameTruncated(f"{len(payload)} bytes are no frame")
    if payload[0] != VERSION:
        raise VersionUnknown(f"protocol version {payload[0]}")
    fields = payload[: _FIELDS.size]
    check: int = _CHECK.unpack_from(payload, _FIELDS.size)[0]
    if zlib.crc32(fields) != check:
        raise HeaderCorrupt("the header's checksum is wrong")
    _, flags, lane, schema, codec, _, dictionary, epoch, count, first, oldest, crc = _FIELDS.unpack(
        fields
    )
    hello = bool(flags & Flag.HELLO)
    if lane > Lane.BULK or epoch == 0:
        raise HeaderImplausible(f"lane {lane}, epoch {epoch}")
    if hello:
        if lane != Lane.CONTROL or count or first:
            raise HeaderImplausible("a hello carries no records")
    elif not (1 <= count <= MAX_RECORDS and first >= 1 and first + count < 2**53):
        raise HeaderImplausible(f"{count} records from {first}")
    header = Header(
        lane=Lane(lane),
        codec=codec,
        epoch=epoch,
        first_seq=first,
        count=count,
        oldest_seq=min(oldest, first),
        hello=hello,
        schema=schema,
        dictionary=dictionary,
    )
    return header, crc


def decode(payload: bytes) -> Frame:
    """A frame, checked whole.

    Raises:
        HeaderError: nothing in it can be trusted.
        BodyError: its range is known and its content is lost.
    """
    header, crc = decode_header(payload)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameTooLarge(header, f"{len(payload)} bytes in one frame")
    body = payload[HEADER_BYTES:]
    _check_body(header, body, crc)
    if header.dictionary:
        raise CodecUnknown(header, f"dictionary {header.dictionary}")
    plain = _decompress(header, body)
    try:
        if header.hello:
            return Frame(header=header, hello=_HELLO.decode(plain))
        content = _BODY.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyMalformed(header, str(error)) from error
    if len(content.rows) != header.count:
        raise BodyMalformed(header, f"{len(content.rows)} records where {header.count} were said")
    after = list(map(_AFTER, content.rows))
    if content.base_ms + min(after) < 0 or content.base_ms + max(after) > 2**53:
        raise BodyMalformed(header, "a record's time is out of range")
    return Frame(header=header, body=content)


def _carrying(rows: Sequence[_Row], index: int, lane: Lane, carried: dict[int, int]) -> bytes:
    """The body of the row that carries this one, noted; empty when it names none.

    It must be a later row of the same kind that has a body, of a kind and in a lane whose rows may
    be carried. A record without a body is set aside, and stops nothing.
    """
    row = rows[index]
    assert isinstance(row.body, int)
    place = index + row.body
    if lane not in COALESCED_LANES or row.kind not in COALESCED_KINDS:
        return b""
    if not index < place < len(rows) or rows[place].kind != row.kind:
        return b""
    body = rows[place].body
    if isinstance(body, int):
        return b""
    carried[index] = place
    return body


def _decompress(header: Header, body: bytes) -> bytes:
    if header.codec not in CODECS:
        raise CodecUnknown(header, f"codec {header.codec}")
    try:
        return decompress(body, Codec(header.codec), most=MAX_BODY_BYTES)
    except BadlyPacked as error:
        raise BodyMalformed(header, str(error)) from error


def mark_of(record: Record) -> int:
    """Tells a record from another under the same number, whatever became of its body on the way."""
    return zlib.crc32(f"{record.kind} {record.recorded_ms} {record.boot}".encode())


def encode_ack(ack: Ack) -> bytes:
    """The bytes of an acknowledgement."""
    return _ENCODER.encode(ack)


def decode_ack(payload: bytes) -> Ack:
    """An acknowledgement.

    Raises:
        MessageMalformed: it is none.
    """
    return _message(_ACK, payload)


def encode_announcement(announcement: Announcement) -> bytes:
    """The bytes of a control plane's announcement."""
    return _ENCODER.encode(announcement)


def decode_announcement(payload: bytes) -> Announcement:
    """A control plane's announcement.

    Raises:
        MessageMalformed: it is none.
    """
    return _message(_ANNOUNCEMENT, payload)


def _message(decoder: msgspec.msgpack.Decoder[_T], payload: bytes) -> _T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageMalformed(str(error)) from error
