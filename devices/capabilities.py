"""What a device can be asked to do: one Protocol per capability, and the nouns they exchange.

No driver lives here, and nothing that would import numpy, cv2 or onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from devices.detection import Detection
from devices.errors import Refused

Image: TypeAlias = Any
"""A ``numpy.ndarray``: shape (height, width, 3), dtype uint8, colour order BGR, origin top left.

It is spelled Any because the base install has no numpy and must be able to import this module.
"""


class Surroundings(msgspec.Struct, frozen=True):
    """What every driver is handed beside its name and its settings."""

    clock_ms: Callable[[], int]
    """Wall clock in milliseconds since 1970, never stepping back."""

    monotonic_s: Callable[[], float]
    """Monotonic clock in seconds, for liveness and back-off only."""

    folder: Path
    """The folder that relative paths in the settings start from."""


class CameraState(StrEnum):
    """Where a camera stands."""

    CONNECTING = "connecting"
    """The driver is opening the source and no frame has arrived yet."""

    ONLINE = "online"
    """Frames arrive and their time moves on."""

    LOST = "lost"
    """The source went away or stands still; the driver keeps trying by itself."""

    BROKEN = "broken"
    """The driver has given up; the message says which setting to change."""


class CameraStatus(msgspec.Struct, frozen=True):
    """How a camera is doing at this moment."""

    state: CameraState
    width: int
    """Pixels; 0 until the first frame."""

    height: int
    """Pixels; 0 until the first frame."""

    fps: float
    """Frames per second as measured from the stream's own time stamps; 0 until known."""

    frames: int
    """Frames received since the driver was made, whether decoded or not."""

    last_frame_ms: int
    """Wall clock of the newest frame received; 0 if there was none."""

    reconnects: int
    """How often the stream was opened again after having been lost."""

    message: str
    """One sentence for a person; empty while all is well."""


class Frame(msgspec.Struct, frozen=True):
    """One decoded picture."""

    image: Image
    captured_ms: int
    """Wall clock at which the picture's data arrived."""

    index: int
    """Number of the picture, counted by the driver from 0 without gaps in the source."""


class ClipInfo(msgspec.Struct, frozen=True):
    """A video file that a camera wrote."""

    path: str
    """Where the file is, as it was asked for."""

    start_ms: int
    """Wall clock of the first frame; may be earlier than asked, a clip begins on a keyframe."""

    end_ms: int
    """Wall clock of the last frame."""

    frames: int
    fps: float
    """Mean rate in frames per second."""

    width: int
    height: int
    codec: str
    """Name of the video codec inside the MP4 file: h264, hevc, mjpeg or png."""

    complete: bool
    """Whether all of the time that was asked for is in the file."""

    reason: str
    """Why it is not complete; empty if it is."""


class Region(msgspec.Struct, frozen=True):
    """A rectangle as shares of the picture, each 0 to 1, origin top left."""

    x: float
    y: float
    w: float
    h: float


class MotionEvent(msgspec.Struct, frozen=True):
    """Something began to move in front of a camera."""

    camera: str
    """Name of the camera in the inventory."""

    event_id: str
    """``<camera>-<started_ms>``: the same event has the same id however often it is told."""

    started_ms: int
    """Wall clock of the first frame with motion."""

    score: float
    """Share of the picture that changed, 0 to 1, in the frame that confirmed the motion."""

    region: Region
    """Rectangle around nearly everything that changed in that frame."""


MotionListener: TypeAlias = Callable[[MotionEvent], None]
"""Called on the camera's own thread: hand the event over and return at once."""


class Camera(Protocol):
    """A camera that shows its newest picture, keeps a pre-roll and tells of motion.

    All methods may be called from any thread. None of them waits for the network.
    """

    @property
    def name(self) -> str:
        """Name of the device in the inventory."""

    @property
    def pre_roll_s(self) -> float:
        """Seconds before a motion that a clip of it should show."""

    @property
    def post_roll_s(self) -> float:
        """Seconds after the beginning of a motion that a clip of it should show."""

    def connect(self) -> None:
        """Start receiving; a second call while it runs changes nothing.

        A source that is away at present is no error: the driver keeps trying.

        Raises:
            Refused: A setting can never work, such as a video file that does not exist.
        """

    def close(self) -> None:
        """Stop receiving and let go of the source; a second call changes nothing."""

    def status(self) -> CameraStatus:
        """Tell how the camera is doing; never raises."""

    def snapshot(self) -> Frame | None:
        """Give the newest decoded frame, or None if there is none or it is stale."""

    def clip(self, start_ms: int, end_ms: int, path: Path) -> ClipInfo:
        """Write what is still held of the time from start to end as an MP4 file.

        The file is complete when this returns, but not yet forced to disk.

        Args:
            start_ms: Wall clock at which the clip shall begin.
            end_ms: Wall clock at which it shall end.
            path: The file to write; an existing one is replaced.

        Raises:
            Refused: Nothing of that time is held any more, or the span makes no sense.
            Unreachable: The camera has not delivered anything yet.
        """

    def watch(self, listener: MotionListener) -> None:
        """Call the listener once for each motion that begins from now on."""


class Detector(Protocol):
    """Finds known things in one picture."""

    @property
    def name(self) -> str:
        """Name of the device in the inventory."""

    def connect(self) -> None:
        """Load the model; a second call changes nothing.

        Raises:
            Refused: The model does not exist or cannot be used; the message names the setting.
        """

    def close(self) -> None:
        """Let go of the model; a second call changes nothing."""

    def detect(self, image: Image) -> list[Detection]:
        """Find things in a picture of any size.

        Args:
            image: Array of shape (height, width, 3), dtype uint8, colour order BGR.

        Returns:
            Boxes in pixels of that picture, best score first.

        Raises:
            Unreachable: The detector is not connected.
            Refused: The array is not such a picture.
        """

    def describe(self) -> dict[str, Any]:
        """Tell what the model is: name, labels, hash and what it is not for; JSON-ready."""


MAX_LINE_BYTES = 4_096
"""Of a question or an answer of a controller; a longer one is no line of such a device."""


class ControllerState(StrEnum):
    """Where a controller stands."""

    CONNECTING = "connecting"
    """Its line has not been opened yet."""

    ONLINE = "online"
    """Its line is open, and it has answered the last question."""

    LOST = "lost"
    """The line is gone, or the last question was not answered; the next one tries it again."""


class ControllerStatus(msgspec.Struct, frozen=True):
    """How a controller is doing at this moment."""

    state: ControllerState
    asked: int
    """Questions since the driver was made."""

    answered: int
    last_answer_ms: int
    """Wall clock of the newest answer; 0 if there was none."""

    message: str
    """One sentence for a person; empty while all is well."""


class Controller(Protocol):
    """A microcontroller that answers a line of text with a line of text.

    All methods may be called from any thread; questions are asked one after the other.
    """

    @property
    def name(self) -> str:
        """Name of the device in the inventory."""

    def connect(self) -> None:
        """Open the line; a second call while it is open changes nothing.

        Raises:
            Unreachable: There is no such line at present.
            Refused: A setting can never work.
        """

    def close(self) -> None:
        """Let go of the line; a second call changes nothing."""

    def status(self) -> ControllerStatus:
        """Tell how the controller is doing; never raises, and waits for nobody."""

    def ask(self, question: str) -> str:
        """Send a line and give the line that comes back.

        A question without an answer may have been carried out all the same: ask only what may be
        asked twice, such as to be at a position, and not to move by a step.

        Args:
            question: One line, without its ending.

        Returns:
            The answer without its ending and without blanks around it.

        Raises:
            Unreachable: The line is gone, or there was no answer in time.
            Refused: The question is empty, is more than one line, or is too long.
        """


def line_of(name: str, question: str) -> bytes:
    """A question as bytes, without an ending. Raises Refused.

    Every controller holds questions to it, so that a twin takes no other ones than a driver.
    """
    line = question.encode(errors="replace")
    if not question.strip() or not question.isprintable() or len(line) > MAX_LINE_BYTES:
        message = (
            f"controller {name!r}: a question is one line of 1 to {MAX_LINE_BYTES} bytes, "
            f"not {question[:40]!r}"
        )
        raise Refused(message)
    return line
