"""Tests of the sources: packets, loops, pacing, and what a message may show."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from devices.drivers.camera_source import (
    Arrival,
    Pacer,
    Source,
    SourceLimits,
    open_source,
    without_password,
)
from devices.errors import Refused, Unreachable

_LIMITS = SourceLimits(open_s=1, read_s=1)


def _hurried() -> Pacer:
    """Make a pacer that never waits."""
    stopping = threading.Event()
    stopping.set()
    return Pacer(lambda: 0.0, stopping)


def _open(path: Path, *, loop: bool) -> Source:
    return open_source(str(path), folder=path.parent, loop=loop, limits=_LIMITS, pacer=_hurried())


def _arrivals(source: Source, most: int) -> list[Arrival]:
    arrivals: list[Arrival] = []
    while len(arrivals) < most and (one := source.read()) is not None:
        arrivals.append(one)
    source.close()
    return arrivals


def test_a_file_gives_its_packets_with_keyframes_and_times(h264_film: Path) -> None:
    """All 250 packets come, one keyframe a second, 40 ms apart, in Annex B form."""
    source = _open(h264_film, loop=False)
    arrivals = _arrivals(source, 1000)

    assert ("h264", 640, 360, 25.0) == (
        source.format.codec,
        source.format.width,
        source.format.height,
        source.format.fps,
    )
    assert 250 == len(arrivals)
    assert list(range(0, 250, 25)) == [n for n, one in enumerate(arrivals) if one.is_key]
    assert [40 * n for n in range(250)] == [round(one.pts_ms) for one in arrivals]
    assert all(one.data.startswith(b"\x00\x00\x00\x01") and one.image is None for one in arrivals)


def test_a_looped_file_goes_on_without_a_step_in_time(h264_film: Path) -> None:
    """After its last packet a file begins again one frame later, on a keyframe."""
    arrivals = _arrivals(_open(h264_film, loop=True), 600)

    assert [40 * n for n in range(600)] == [round(one.pts_ms) for one in arrivals]
    assert arrivals[250].is_key
    assert arrivals[250].data == arrivals[0].data


def test_a_missing_file_is_refused_by_its_setting(tmp_path: Path) -> None:
    """The message says which setting to change, and which path was looked for."""
    with pytest.raises(Refused, match="set source"):
        _open(tmp_path / "nowhere.mp4", loop=True)


def test_a_stream_that_does_not_answer_is_unreachable_without_its_password() -> None:
    """A camera that is away is worth another try, and its password is not told."""
    with pytest.raises(Unreachable, match=r"rtsp://\*\*\*@127.0.0.1:9/x does not answer"):
        open_source(
            "rtsp://admin:secret@127.0.0.1:9/x",
            folder=Path(),
            loop=False,
            limits=_LIMITS,
            pacer=_hurried(),
        )


def test_an_address_without_a_password_is_shown_as_it_is() -> None:
    """Only user and password are hidden."""
    assert "rtsp://10.0.0.1/a@b" == without_password("rtsp://10.0.0.1/a@b")
    assert "0" == without_password("0")


class _Stopping(threading.Event):
    """Stands for the stop signal and notes how long it was waited on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the wait and return at once."""
        self.waits.append(timeout or 0.0)
        return False


def test_the_pacer_waits_until_each_picture_is_due() -> None:
    """Pictures are held back to their own times, counted from the first."""
    now = [100.0]
    stopping = _Stopping()
    pacer = Pacer(lambda: now[0], stopping)

    pacer.wait_until(0)
    pacer.wait_until(40)
    now[0] = 100.03
    pacer.wait_until(80)

    assert [0.04, 0.05] == pytest.approx(stopping.waits)


def test_the_pacer_does_not_catch_up_after_a_long_stop() -> None:
    """Who was stopped for a minute goes on at normal speed instead of rushing."""
    now = [0.0]
    stopping = _Stopping()
    pacer = Pacer(lambda: now[0], stopping)
    pacer.wait_until(0)
    now[0] = 60.0

    pacer.wait_until(40)
    pacer.wait_until(80)

    assert [0.04] == pytest.approx(stopping.waits)


def test_a_slip_in_the_scheme_is_refused() -> None:
    """A camera that cannot be there would be sought for ever, and be called silent."""

    def opened(address: str) -> None:
        open_source(address, folder=Path(), loop=False, limits=_LIMITS, pacer=_hurried())

    with pytest.raises(Refused, match=r"there is no rstp://; did you mean rtsp://\?"):
        opened("rstp://127.0.0.1:1/x")
    # Another program of FFmpeg's, and one that nobody listens at, are tried.
    for address in ("rtsp://127.0.0.1:1/x", "gopher://127.0.0.1:1/x"):
        with pytest.raises(Unreachable, match="does not answer"):
            opened(address)
