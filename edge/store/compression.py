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


_COMPRESSOR = zstd.ZstdCompressor(level=_LEVEL)
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
        unpacker = zstd.ZstdDecompressor()
        data = unpacker.decompress(frame, _MOST_BYTES)
    except zstd.ZstdError as error:
        raise ValueError(f"this is no frame: {error}") from error
    if not unpacker.eof:
        raise ValueError("the frame is cut off, or larger than any that is written")
    return data
