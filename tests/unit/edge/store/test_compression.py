"""What is compressed comes back, and what is no frame of ours is refused."""

from __future__ import annotations

import random

import pytest

from edge.store.compression import compress, decompress


@pytest.mark.parametrize("data", [b"", b"x", b"ab" * 100_000, random.Random(1).randbytes(70_000)])
def test_what_is_compressed_comes_back(data: bytes) -> None:
    """Nothing, little, what repeats itself and what does not."""
    assert data == decompress(compress(data))


def test_what_is_no_whole_frame_is_refused() -> None:
    """Cut off at any place, or something else."""
    frame = compress(b"some text that is said once, and some text that is said twice" * 3)

    for end in range(len(frame)):
        with pytest.raises(ValueError, match="frame"):
            decompress(frame[:end])
    with pytest.raises(ValueError, match="frame"):
        decompress(b"no frame at all")


def test_frames_that_are_on_disks_are_read() -> None:
    """Made with what was known of records then, and without: neither may ever become unreadable."""
    text = b"\xa1k\xa6SIMPLE\xa1t\xa0\xa1n\xa0\xa1s\xa9COMPLETED, and something else"
    known = bytes.fromhex(
        "28b52ffd202fed0000a02c20616e6420736f6d657468696e6720656c73650200275b40d93340"
    )
    plain = bytes.fromhex(
        "28b52ffd202f790100a16ba653494d504c45a174a0a16ea0a173a9434f4d504c455445442c20616e6420736f6d657468696e6720656c7365"
    )

    assert text == decompress(known) == decompress(plain)
