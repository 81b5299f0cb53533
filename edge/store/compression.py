"""Zstandard, for what is written often and read seldom. What is compressed is decided elsewhere."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 1
"""More would cost more time than it spares bytes, and less pages are what it is for."""

_MOST_BYTES = 256 * 1024 * 1024
"""No row is larger once it is unpacked; what says so is damaged."""


# What records of executions are made of besides what they say: the heads of their fields, in their
# order. Frames that are on disks were made with it, so not a byte of it may ever change. Made of it
# or not, a frame is read with it.
_HEADS = (
    b"\xa1o\x01\xa1q\x01\xa1r\xa0\xa1k\xacSUB_WORKFLOW\xa1t\xa0\xa1n\xa0\xa1s\xabIN_PROGRESS"
    b"\xa1a\x01\xa2in\xc4\xa2ts\xcf\x00\x00\x01\xa2tf\xcf\x00\x00\x01\xa2tb\xcf\x00\x00\x01"
    b"\xa2tu\xcf\x00\x00\x01\xa1d\xcf\x00\x00\x01\xa3dom\xa0\xa3why\xa0\xa2rd\xc3\xa3sub\xc4"
    b"\x10\x01\xa1o\x01\xa1q\x01\xa1r\xa0\xa1k\xa4HTTP\xa1t\xa0\xa1n\xa0\xa1s\xa6FAILED\xa2in"
    b"\xc4\xa2ts\xcf\x00\x00\x01\xa2tf\xcf\x00\x00\x01\xa2tb\xcf\x00\x00\x01\xa2te\xcf\x00\x00"
    b"\x01\xa2tu\xcf\x00\x00\x01\xa1w\xa0\xa3why\xa0\xa1x\xc3\xa1k\x01\xa2id\xc4\x10\x01\xa1n"
    b"\xa0\xa1v\x01\xa1p\x01\xa1s\xa7RUNNING\xa2in\xc4\xa1c\xa0\xa2tc\xcf\x00\x00\x01\xa2tu"
    b"\xcf\x00\x00\x01\xa1d\xcf\x00\x00\x01\xa1k\x01\xa2id\xc4\x10\x01\xa1n\xa0\xa1v\x01\xa1p"
    b"\x01\xa1s\xa9COMPLETED\xa2in\xc4\xa3out\xc4\xa2tc\xcf\x00\x00\x01\xa2tu\xcf\x00\x00\x01"
    b"\xa2te\xcf\x00\x00\x01\xa1o\x01\xa1q\x01\xa1r\xa0\xa1k\xa6SIMPLE\xa1t\xa0\xa1n\xa0\xa1s"
    b"\xa9SCHEDULED\xa2in\xc4\xa2ts\xcf\x00\x00\x01\xa2tf\xcf\x00\x00\x01\xa2tu\xcf\x00\x00"
    b"\x01\xa1d\xcf\x00\x00\x01\xa2qu\xa0\xa1o\x01\xa1q\x01\xa1r\xa0\xa1k\xa6SIMPLE\xa1t\xa0"
    b"\xa1n\xa0\xa1s\xa9COMPLETED\xa2in\xc4\xa3out\xc4\xa2ts\xcf\x00\x00\x01\xa2tf\xcf\x00\x00"
    b"\x01\xa2tb\xcf\x00\x00\x01\xa2te\xcf\x00\x00\x01\xa2tu\xcf\x00\x00\x01\xa1p\x01\xa1w\xa0"
    b"\xa1x\xc3\xa2qu\xa0\xa1o\x01\xa1q\x01\xa1r\xa0\xa1k\xa6SIMPLE\xa1t\xa0\xa1n\xa0\xa1s\xa9"
    b"SCHEDULED\xa2in\xc4\xa2ts\xcf\x00\x00\x01\xa2tf\xcf\x00\x00\x01\xa2tu\xcf\x00\x00\x01"
    b"\xa1d\xcf\x00\x00\x01\xa2qu\xa0"
)
_KNOWN = zstd.ZstdDict(_HEADS, is_raw=True)

_COMPRESSOR = zstd.ZstdCompressor(level=_LEVEL, zstd_dict=_KNOWN)
"""Kept, for making one takes longer than what it does with a record. It locks itself."""


def compress(data: bytes) -> bytes:
    """One frame."""
    return _COMPRESSOR.compress(data, _COMPRESSOR.FLUSH_FRAME)


def decompress(frame: bytes) -> bytes:
    """What ``compress`` was given.

    Raises:
        ValueError: it is no whole frame.
    """
    try:
        unpacker = zstd.ZstdDecompressor(_KNOWN)
        data = unpacker.decompress(frame, _MOST_BYTES)
    except zstd.ZstdError as error:
        raise ValueError(f"this is no frame: {error}") from error
    if not unpacker.eof:
        raise ValueError("the frame is cut off, or larger than any that is written")
    return data
