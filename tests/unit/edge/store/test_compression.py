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
