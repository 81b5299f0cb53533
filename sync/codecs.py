"""How bodies are compressed, and unpacked without trusting them.

What stands in a body is not known here.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from enum import IntEnum

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Measured on synthetic history in frames of 500, per record: level 1 takes 1.3 us and 34.1 bytes,
# level 4 1.5 us and 31.8, level 6 2.8 us and 30.4.
ZLIB_LEVEL = 4
# Of a coalesced frame of 500, per record: level 1 takes 0.25 us and 17.0 bytes, level 3 0.4 us and
# 17.4, level 5 1.2 us and 17.1; zlib at level 4 1.2 us and 19.8.
ZSTD_LEVEL = 1
_UNPACKING = {int(zstd.DecompressionParameter.window_log_max): 23}
"""8 MiB of memory at most, which RFC 8878 asks every decoder to have."""


class Codec(IntEnum):
    """How a body is compressed."""

    NONE = 0
    ZLIB = 1
    ZSTD = 2


CODECS: tuple[Codec, ...] = (Codec.NONE, Codec.ZLIB, Codec.ZSTD)
"""What this end can read and write."""


def best_codec(offered: Sequence[int]) -> Codec:
    """The best codec that both ends have; zlib is always understood."""
    return Codec.ZSTD if Codec.ZSTD in offered else Codec.ZLIB


class BadlyPacked(Exception):
    """The bytes are not what the codec makes of anything, or more than may be unpacked."""


def compress(plain: bytes, codec: Codec) -> bytes:
    """What is to be sent or kept of it."""
    match codec:
        case Codec.ZLIB:
            return zlib.compress(plain, ZLIB_LEVEL)
        case Codec.ZSTD:
            return zstd.compress(plain, level=ZSTD_LEVEL)
        case Codec.NONE:
            return plain


def decompress(packed: bytes, codec: Codec, *, most: int) -> bytes:
    """The bytes that were compressed.

    Args:
        packed: from the other end or from the disk; nothing about it is trusted.
        codec: that it was compressed with.
        most: bytes that it may unpack to.

    Raises:
        BadlyPacked: it does not.
    """
    if codec is Codec.NONE:
        return packed
    try:
        unpacker = (
            zstd.ZstdDecompressor(options=_UNPACKING)
            if codec is Codec.ZSTD
            else zlib.decompressobj()
        )
        plain: bytes = unpacker.decompress(packed, most)
    except (zlib.error, zstd.ZstdError) as error:
        raise BadlyPacked(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise BadlyPacked("the compressed body is cut, too long or followed by more")
    return plain
