"""Records with a checksum of their own: SQLite has none for its pages, and storage flips bits.

Nothing is read from or written to a database here. The checksum travels inside the record, where a
release that knows nothing of it skips it: in MessagePack as one more field, in JSON as white space
behind the document. So a release before this one reads what this one writes, and the other way
round: a record without a checksum is an older one's, and is taken as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from edge.model.errors import RowDamaged

T = TypeVar("T")

_FIELD = b"\xa1#\xce"
"""MessagePack: a text of one character, and the head of an unsigned integer of four bytes."""

_TRAILER = len(_FIELD) + 4
_RESIDUE = 0x2144DF1C
"""CRC-32 of anything that has its own CRC-32 behind it, lowest byte first."""

_FIXMAP, _FIXMAP_END, _MAP16 = 0x80, 0x8F, 0xDE
"""Heads of a map: with up to 15 fields, the last of these, and with the count in two bytes."""

_HEADS = [bytes((byte,)) for byte in range(256)]
_BLANKS = b" \t\n\r"
"""What JSON skips: four signs, so two bits each."""

_BLANK_TRAILER = 16

_TO_BLANKS = [bytes(_BLANKS[byte >> shift & 3] for shift in (6, 4, 2, 0)) for byte in range(256)]
_OF_BLANKS = {blanks: byte for byte, blanks in enumerate(_TO_BLANKS)}


def with_checksum(body: bytes, seed: int = 0) -> bytes:
    """A MessagePack map with its CRC-32 as one more field.

    Args:
        body: a map of less than 65,535 fields, as msgspec encodes a Struct.
        seed: checksum of what the record says beside the body; see ``seed_of``.
    """
    head = body[0] if body else 0
    if _FIXMAP <= head < _FIXMAP_END:
        whole = _HEADS[head + 1] + body[1:] + _FIELD
    elif head == _FIXMAP_END:
        whole = b"\xde\x00\x10" + body[1:] + _FIELD
    elif head == _MAP16:
        count = int.from_bytes(body[1:3], "big") + 1
        whole = _HEADS[head] + count.to_bytes(2, "big") + body[3:] + _FIELD
    else:
        # Nothing that this release writes; whatever reads it will say what it makes of it.
        return body
    return whole + zlib.crc32(whole, seed).to_bytes(4, "little")


def without_checksum(body: bytes, table: str, seed: int = 0) -> bytes:
    """The MessagePack map as it was before ``with_checksum``.

    Raises:
        RowDamaged: its checksum says that it has changed.
    """
    if not _judge(body, table, seed):
        return body
    if body[0] <= _FIXMAP_END:
        return b"%c%b" % (body[0] - 1, body[1:-_TRAILER])
    count = int.from_bytes(body[1:3], "big") - 1
    if count <= _FIXMAP_END - _FIXMAP:
        return b"%c%b" % (_FIXMAP + count, body[3:-_TRAILER])
    return b"\xde%b%b" % (count.to_bytes(2, "big"), body[3:-_TRAILER])


def plain_map(body: bytes, seed: int) -> bytes | None:
    """The usual case of ``without_checksum`` in one call; None = it is to be looked at closely."""
    if zlib.crc32(body, seed) != _RESIDUE:
        return None
    if body[0] <= _FIXMAP_END:
        return _HEADS[body[0] - 1] + body[1:-_TRAILER]
    if body[1] == 0 and body[2] <= _FIXMAP_END - _FIXMAP + 1:
        return _HEADS[_FIXMAP + body[2] - 1] + body[3:-_TRAILER]
    return None


def has_checksum(body: bytes) -> bool:
    """Whether a MessagePack map carries a checksum."""
    return body[-_TRAILER:-4] == _FIELD


def _judge(body: bytes, table: str, seed: int) -> bool:
    """Whether there is a checksum; raises RowDamaged when it is wrong."""
    if zlib.crc32(body, seed) == _RESIDUE:
        return True
    near = sum(map(int.__eq__, body[-_TRAILER:-4], _FIELD))
    if near == len(_FIELD):
        raise RowDamaged(table, "its checksum is wrong")
    # A checksum that is right, and only cannot be recognised any more.
    repaired = body[:-_TRAILER] + _FIELD + body[-4:]
    if near == len(_FIELD) - 1 and zlib.crc32(repaired, seed) == _RESIDUE:
        raise RowDamaged(table, "its checksum is damaged")
    return False


def seed_of(*columns: object) -> int:
    """A checksum of columns, for ``with_checksum``: they are held to it with the body."""
    return zlib.crc32(repr(columns).encode())


class RecordEncoder:
    """Encodes Structs as MessagePack, with a checksum."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def encode(self, record: msgspec.Struct) -> bytes:
        """The bytes of a record."""
        return with_checksum(self._encode(record))


class RecordDecoder(Generic[T]):
    """Decodes what ``RecordEncoder`` has encoded, or a release without checksums.

    Args:
        kind: of the records.
        table: where they are kept, for the error.
    """

    def __init__(self, kind: type[T], table: str) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._table = table

    def decode(self, body: bytes) -> T:
        """The record.

        Raises:
            RowDamaged: it is not what was written.
        """
        # The usual case without a call of our own: records are read by the thousand.
        if zlib.crc32(body) != _RESIDUE:
            _judge(body, self._table, 0)
        return _decoded(self._decode, body, self._table)


def encode_document(value: Any) -> bytes:
    """A value as JSON, with a checksum."""
    return checked_document(msgspec.json.encode(value))


def checked_document(document: bytes) -> bytes:
    """A JSON document with its CRC-32 behind it, as white space."""
    digits = zlib.crc32(document).to_bytes(4, "big")
    return document + b"".join(_TO_BLANKS[digit] for digit in digits)


def plain_document(document: bytes, table: str) -> bytes:
    """A JSON document as it was before ``checked_document``.

    Raises:
        RowDamaged: its checksum says that it has changed.
    """
    # What msgspec encodes never ends in white space: without any this is an older release's.
    if document[-1:] not in (b" ", b"\t", b"\n", b"\r"):
        return document
    plain, blanks = document[:-_BLANK_TRAILER], document[-_BLANK_TRAILER:]
    digits = [_OF_BLANKS.get(blanks[at : at + 4], -1) for at in range(0, _BLANK_TRAILER, 4)]
    if -1 in digits or zlib.crc32(plain).to_bytes(4, "big") != bytes(digits):
        raise RowDamaged(table, "its checksum is wrong")
    return plain


class DocumentDecoder(Generic[T]):
    """Decodes what ``encode_document`` has encoded, or a release without checksums.

    Args:
        kind: of the documents.
        table: where they are kept, for the error.
    """

    def __init__(self, kind: type[T], table: str) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._table = table

    def decode(self, document: bytes) -> T:
        """The document.

        Raises:
            RowDamaged: it is not what was written.
        """
        return _decoded(self._decode, plain_document(document, self._table), self._table)


def _decoded(decode: Callable[[bytes], T], body: bytes, table: str) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise RowDamaged(table, str(error)) from error
