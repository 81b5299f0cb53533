"""What ``devices.toml`` may say of a camera, and the waits that follow from it.

No camera here; the driver reads what stands in these structs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from devices.motion import MotionSettings

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class ReconnectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a lost camera is sought again."""

    first_s: Seconds = 0.5
    """Wait before the first new try; it doubles with each."""

    max_s: Seconds = 10.0
    """The wait never grows beyond this."""

    open_s: Seconds = 5.0
    """How long opening may take."""

    stall_s: Seconds = 2.0
    """A stream that brings nothing for so long counts as lost."""


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``devices.toml`` may say of a camera."""

    source: str | int
    """Path of a video file, ``rtsp://`` address, or V4L2 device (0, or ``/dev/video0``)."""

    loop: bool = True
    """Whether a video file begins again at its end."""

    pre_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] = 5.0
    """Time before a motion that a clip of it shall show."""

    post_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] = 5.0
    """Time after the beginning of a motion that a clip of it shall show."""

    ring_bytes: Annotated[int, msgspec.Meta(ge=100_000, le=1_000_000_000)] = 16_000_000
    """Limit of the memory for packets: 16 MB are 30 s at 4 Mbit/s."""

    detect_fps: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """Pictures per second that the motion gate, and ``snapshot``, see."""

    decode: Literal["always", "adaptive"] = "always"
    """adaptive: only keyframes are decoded while nothing moves; cheaper, later by up to a GOP."""

    motion: MotionSettings = MotionSettings()
    reconnect: ReconnectSettings = ReconnectSettings()


def backoff_s(settings: ReconnectSettings, failures: int) -> float:
    """How long to wait after so many failures in a row: doubling, from the first to the longest."""
    return min(settings.max_s, settings.first_s * 2.0 ** min(max(0, failures - 1), 16))
