"""A writer of MP4 files whose every frame is a whole picture (JPEG or PNG), in pure Python.

Only what such a film needs lives here: one video track, no sound, no editing. Streams whose frames
lean on one another (H.264, H.265) are muxed by the camera driver.

Box layout: ISO/IEC 14496-12; sample entries 'jpeg' and 'png ': QuickTime File Format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

_TIMESCALE = 1000  # Milliseconds, the unit that frames are stamped in.
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # Unrotated, unscaled.
_NO_LANGUAGE = 0x55C4
_SAMPLE_ENTRIES = {"mjpeg": b"jpeg", "png": b"png "}

MAX_FILM_BYTES = 2**32 - 2**20
"""Offsets in the file have 32 bits; the rings that frames come from are far smaller."""


def write_film(
    path: Path,
    *,
    codec: str,
    size: tuple[int, int],
    frames: Sequence[bytes],
    times_ms: Sequence[int],
) -> None:
    """Write whole pictures as a film.

    Args:
        path: The file to write; an existing one is replaced.
        codec: mjpeg or png, what each frame is.
        size: Width and height in pixels, the same for all frames.
        frames: The encoded pictures, at least one.
        times_ms: When each is shown, in milliseconds, growing, one for each frame.
    """
    assert frames
    assert len(frames) == len(times_ms)
    assert sum(map(len, frames)) < MAX_FILM_BYTES
    file_type = _box(b"ftyp", b"qt  ", struct.pack(">I", 0x200), b"qt  ", b"isom")
    samples = _box(
        b"stbl",
        _sample_description(_SAMPLE_ENTRIES[codec], size),
        _full_box(b"stts", *_time_to_sample(_durations(times_ms))),
        _full_box(b"stsc", struct.pack(">4I", 1, 1, len(frames), 1)),
        _full_box(b"stsz", struct.pack(">2I", 0, len(frames)), _words(map(len, frames))),
        _full_box(b"stco", struct.pack(">2I", 1, len(file_type) + 8)),
    )
    movie = _movie(samples, size=size, duration=sum(_durations(times_ms)))
    with path.open("wb") as file:
        file.write(file_type)
        file.write(struct.pack(">I4s", 8 + sum(map(len, frames)), b"mdat"))
        file.writelines(frames)
        file.write(movie)


def _movie(samples: bytes, *, size: tuple[int, int], duration: int) -> bytes:
    """Build the index of a film with one track."""
    width, height = size
    movie_header = struct.pack(">4I", 0, 0, _TIMESCALE, duration)
    movie_header += struct.pack(">IH10x", 0x10000, 0x100) + _MATRIX + bytes(24)
    track_header = struct.pack(">5I", 0, 0, 1, 0, duration) + bytes(16) + _MATRIX
    track_header += struct.pack(">2I", width << 16, height << 16)
    media_header = struct.pack(">4I2H", 0, 0, _TIMESCALE, duration, _NO_LANGUAGE, 0)
    in_this_file = _full_box(b"url ", flags=1)
    information = _box(
        b"minf",
        _full_box(b"vmhd", bytes(8), flags=1),
        _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), in_this_file)),
        samples,
    )
    media = _box(
        b"mdia",
        _full_box(b"mdhd", media_header),
        _full_box(b"hdlr", bytes(4), b"vide", bytes(12), b"film\0"),
        information,
    )
    # Flags 7: the track is enabled, in the movie and in the preview.
    track = _box(b"trak", _full_box(b"tkhd", track_header, flags=7), media)
    return _box(b"moov", _full_box(b"mvhd", movie_header, struct.pack(">I", 2)), track)


def _sample_description(entry: bytes, size: tuple[int, int]) -> bytes:
    """Say how the samples are encoded: 72 dots per inch, 24 bits a pixel, no colour table."""
    fields = struct.pack(">6xH16x2H", 1, *size)
    fields += struct.pack(">3IH32xHh", 0x480000, 0x480000, 0, 1, 24, -1)
    return _full_box(b"stsd", struct.pack(">I", 1), _box(entry, fields))


def _durations(times_ms: Sequence[int]) -> list[int]:
    """Turn times into durations; the last frame stays as long as the mean of the others."""
    steps = [max(1, after - before) for before, after in pairwise(times_ms)]
    return [*steps, round(sum(steps) / len(steps)) if steps else _TIMESCALE // 25]


def _time_to_sample(durations: Sequence[int]) -> tuple[bytes, bytes]:
    """Run-length encode the durations."""
    runs = [(len(list(run)), duration) for duration, run in groupby(durations)]
    return struct.pack(">I", len(runs)), b"".join(struct.pack(">2I", *run) for run in runs)


def _words(numbers: Iterator[int]) -> bytes:
    """Pack whole numbers as 32 bits each."""
    values = list(numbers)
    return struct.pack(f">{len(values)}I", *values)


def _box(kind: bytes, *content: bytes) -> bytes:
    """Build a box."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full_box(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    """Build a box with version 0 and flags."""
    return _box(kind, struct.pack(">I", flags), *content)
