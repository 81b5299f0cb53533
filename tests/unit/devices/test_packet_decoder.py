"""Tests of the decoder that is fed from Python."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from devices.drivers.camera_source import Pacer, SourceLimits, open_source
from devices.drivers.clip_file import read_clip, write_clip
from devices.drivers.packet_decoder import PacketDecoder
from devices.errors import Unreachable
from devices.packets import Cut, Packet, StreamFormat


def _packets(path: Path) -> tuple[StreamFormat, list[Packet]]:
    hurried = threading.Event()
    hurried.set()
    source = open_source(
        str(path),
        folder=path.parent,
        loop=False,
        limits=SourceLimits(1, 1),
        pacer=Pacer(lambda: 0.0, hurried),
    )
    packets: list[Packet] = []
    while (one := source.read()) is not None:
        index = len(packets)
        packets.append(Packet(one.data, one.is_key, one.pts_ms, 40 * index, index, 0))
    source.close()
    return source.format, packets


def _encoded(film: Path, folder: Path, *options: str) -> Path:
    """Encode the film anew with ffmpeg, or skip."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = folder / "encoded.mp4"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-i", str(film), "-t", "3", *options]
    if subprocess.run([*command, str(path)], check=False, capture_output=True).returncode:
        pytest.skip("this ffmpeg lacks the encoder")
    return path


def test_a_picture_comes_with_its_packet_and_not_one_later(h264_film: Path) -> None:
    """When a picture is given, no packet after its own has been asked for."""
    _, packets = _packets(h264_film)
    given = iter(packets[1:])
    asked = [packets[0]]

    def pull() -> Packet | None:
        packet = next(given, None)
        if packet is not None:
            asked.append(packet)
        return packet

    decoder = PacketDecoder(packets[0], "h264", pull)
    pairs = []
    while (packet := decoder.grab()) is not None:
        pairs.append((packet.index, asked[-1].index))
    decoder.close()

    assert [(n, n) for n in range(250)] == pairs


def test_the_pictures_are_those_of_the_file(h264_film: Path) -> None:
    """Fed packet by packet, the decoder gives what reading the file gives."""
    _, packets = _packets(h264_film)
    given = iter(packets[1:50])
    decoder = PacketDecoder(packets[0], "h264", lambda: next(given, None))
    whole = read_clip(h264_film, fps=1000)

    for expected in whole:
        if decoder.grab() is None:
            break
        image = decoder.retrieve()
        assert image is not None
        assert np.array_equal(expected.image, image)
    decoder.close()


def test_what_pulling_raises_is_raised_again(h264_film: Path) -> None:
    """An error below the C++ of OpenCV comes out above it, and the end stays the end."""
    _, packets = _packets(h264_film)
    given = iter(packets[1:5])

    def pull() -> Packet | None:
        packet = next(given, None)
        if packet is None:
            message = "the cable is cut"
            raise Unreachable(message)
        return packet

    decoder = PacketDecoder(packets[0], "h264", pull)

    def grab_all() -> None:
        while decoder.grab() is not None:
            pass

    with pytest.raises(Unreachable, match="cable"):
        grab_all()
    with pytest.raises(Unreachable, match="cable"):
        decoder.grab()
    decoder.close()


def test_packets_that_are_no_video_end_the_decoder() -> None:
    """Garbage gives no picture, no hang and no exception."""
    garbage = iter(Packet(bytes(range(256)) * 4, True, n * 40.0, 0, n, 0) for n in range(20))

    decoder = PacketDecoder(next(garbage), "h264", lambda: next(garbage, None))

    assert decoder.grab() is None
    decoder.close()


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("h264", ("-c:v", "libx264", "-bf", "2", "-g", "25")),
        ("hevc", ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1")),
    ],
)
def test_reordered_and_h265_streams_are_decoded_and_copied(
    film: Path, tmp_path: Path, codec: str, options: tuple[str, ...]
) -> None:
    """B-frames come out in display order with their own packets, and clips play to the end."""
    form, packets = _packets(_encoded(film, tmp_path, *options))
    given = iter(packets[1:])
    decoder = PacketDecoder(packets[0], codec, lambda: next(given, None))
    shown = []
    while (packet := decoder.grab()) is not None:
        shown.append(packet.pts_ms)
    decoder.close()

    info = write_clip(tmp_path / "clip.mp4", form, Cut(tuple(packets), complete=True, reason=""))

    assert codec == form.codec == info.codec
    assert sorted(shown) == shown
    assert len(packets) - 2 <= len(shown) <= len(packets)
    assert len(packets) == len(list(read_clip(tmp_path / "clip.mp4", fps=1000)))
