"""The handlers of the video analysis: clip, detect, track, snapshot, keep, discard.

No engine and no transport here; how tracks come about and what they are called is in the modules
beside. All handlers write under keys made of the event's id, so doing one twice leaves one file.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec

from devices.capabilities import Camera, CameraState, ClipInfo, Detector, Frame
from devices.detection import Detection
from devices.errors import Refused
from workflows.evidence import EvidenceRef
from workflows.task import Handler, TaskContext, TaskFailed, TaskRejected
from workflows.video_analysis.description import (
    MAX_DESCRIBED,
    as_row,
    best_moment,
    sentence,
    summarise,
)
from workflows.video_analysis.tracker import track

# While a handler waits for the post-roll it looks this often, and says that it is alive.
_LOOK_S = 0.1

# A camera that is lost is not waited for longer than this after the post-roll's end.
_LOST_GRACE_MS = 3_000

# A clip that would end so much later than now is a mistake in the input, nothing to wait for.
_MAX_WAIT_MS = 150_000

MAX_INLINE_FRAMES = 200
MAX_INLINE_BOXES = 20
"""Beyond either, detections are not put into the task's output, only into an evidence file."""

SNAPSHOT_WIDTH = 640
SNAPSHOT_QUALITY = 80
SNAPSHOT_BYTES = 60_000
"""The engine sends pictures up with the history; this keeps one within a message."""

EventId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Box = tuple[str, float, float, float, float, float]
"""label, score, x, y, w, h in pixels of the clip's pictures."""


class ClipRef(msgspec.Struct, frozen=True):
    """The clip as one task's output tells the others."""

    key: str
    info_key: str
    start_ms: int
    end_ms: int
    frames: int
    fps: float
    width: int
    height: int
    codec: str
    complete: bool
    reason: str


class ClipInput(msgspec.Struct, frozen=True):
    """Input of video_clip."""

    camera: str
    event_id: EventId
    started_ms: int
    pre_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] | None = None
    """None: what the camera is set to."""

    post_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] | None = None


class DetectInput(msgspec.Struct, frozen=True):
    """Input of video_detect."""

    event_id: EventId
    detector: str
    clip: ClipRef
    detect_fps: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0


class FrameBoxes(msgspec.Struct, frozen=True):
    """What was found in one frame."""

    t: int
    """Milliseconds from the beginning of the clip."""

    boxes: list[Box]


class TrackInput(msgspec.Struct, frozen=True):
    """Input of video_track."""

    clip: ClipRef
    detections: list[FrameBoxes] | None = None
    detections_key: str = ""


class Moment(msgspec.Struct, frozen=True):
    """The frame that shows best what was found."""

    time_ms: int
    boxes: list[Box]


class SnapshotInput(msgspec.Struct, frozen=True):
    """Input of video_snapshot."""

    event_id: EventId
    clip: ClipRef
    best: Moment


class ClipOnlyInput(msgspec.Struct, frozen=True):
    """Input of video_keep and video_discard."""

    clip: ClipRef


Input = TypeVar("Input", bound=msgspec.Struct)


def video_clip(context: TaskContext) -> dict[str, Any]:
    """Wait until the post-roll has passed, then copy the clip out of the camera's ring.

    May run again: the clip's key is made of the event's id, and a clip that is there is whole (its
    description is stored before it), so it is taken as it is and the ring is not asked again.
    """
    wanted = _input(context, ClipInput)
    key, info_key = f"{wanted.event_id}/clip.mp4", f"{wanted.event_id}/clip.json"
    found = context.evidence.find(key)
    if found is None or context.evidence.find(info_key) is None:
        camera: Camera = _device(context, "camera", wanted.camera, offers="clip")
        start_ms, end_ms = _span(wanted, camera)
        _wait_for(context, camera, end_ms)

        def produce(path: Path) -> None:
            described = _as_ref(camera.clip(start_ms, end_ms, path), key, info_key)
            context.evidence.write(info_key, msgspec.json.encode(described))

        try:
            found = context.evidence.make(key, produce)
        except Refused as error:
            message = f"neither the camera's ring nor the evidence store has the clip: {error}"
            raise TaskRejected(message) from error
    clip = msgspec.json.decode(context.evidence.path_of(info_key).read_bytes(), type=ClipRef)
    context.log(f"clip of {clip.frames} frames, {clip.end_ms - clip.start_ms} ms {clip.reason}")
    return {"clip": msgspec.to_builtins(clip), "evidence": _as_evidence(found)}


def video_detect(context: TaskContext) -> dict[str, Any]:
    """Decode the clip and run the detector over it, a few frames a second.

    May run again: it reads a file that no longer changes, and writes its result under a key made of
    the event's id, in place of the same result.
    """
    # OpenCV is behind this import; the other handlers do without.
    from devices.drivers.clip_file import read_clip

    wanted = _input(context, DetectInput)
    path = _clip_path(context, wanted.clip)
    detector: Detector = _device(context, "detector", wanted.detector, offers="detect")
    frames: list[FrameBoxes] = []
    for frame in read_clip(path, fps=wanted.detect_fps):
        _go_on(context)
        rows = [as_row(box) for box in detector.detect(frame.image)]
        frames.append(FrameBoxes(frame.captured_ms, [_box(row) for row in rows]))
    if not frames:
        message = f"the clip {wanted.clip.key} holds no picture that can be decoded"
        raise TaskRejected(message)
    key = f"{wanted.event_id}/detections.json"
    written = msgspec.json.encode(frames)
    stored = context.evidence.write(key, written)
    fits = len(frames) <= MAX_INLINE_FRAMES and all(
        len(frame.boxes) <= MAX_INLINE_BOXES for frame in frames
    )
    return {
        "frames": len(frames),
        "boxes": sum(len(frame.boxes) for frame in frames),
        "detector": detector.describe(),
        "detections": msgspec.json.decode(written) if fits else None,
        "detections_key": key,
        "evidence": _as_evidence(stored),
    }


def video_track(context: TaskContext) -> dict[str, Any]:
    """Join the detections into tracks and say what they are.

    Only what moved is described and decides the verdict: a parked car did not open the motion gate.

    May run again: it computes its output from its input and writes nothing.
    """
    wanted = _input(context, TrackInput)
    frames = _detections(context, wanted)
    seen = track([(frame.t, [Detection(*box) for box in frame.boxes]) for frame in frames])
    tracks = [one for one in seen if one.has_moved]
    size = (wanted.clip.width, wanted.clip.height)
    summaries = [summarise(one, number, size) for number, one in enumerate(tracks, start=1)]
    return {
        "verdict": "objects" if tracks else "empty",
        "description": sentence(summaries),
        "count": len(summaries),
        "at_rest": len(seen) - len(tracks),
        "tracks": msgspec.to_builtins(summaries[:MAX_DESCRIBED]),
        "best": best_moment(tracks),
    }


def video_snapshot(context: TaskContext) -> dict[str, Any]:
    """Draw what was found into the best frame, and store it as a small JPEG.

    May run again: the same clip and boxes give the same picture, under the same key.
    """
    # OpenCV is behind these imports; the other handlers do without.
    from devices.drivers.clip_file import read_clip
    from devices.drivers.still_picture import annotated_jpeg

    wanted = _input(context, SnapshotInput)
    path = _clip_path(context, wanted.clip)
    nearest: Frame | None = None
    for frame in read_clip(path, fps=max(wanted.clip.fps, 1.0)):
        _go_on(context)
        nearest = frame
        if frame.captured_ms >= wanted.best.time_ms:
            break
    if nearest is None:
        message = f"the clip {wanted.clip.key} holds no picture that can be decoded"
        raise TaskRejected(message)
    jpeg = annotated_jpeg(
        nearest.image,
        [Detection(*box) for box in wanted.best.boxes],
        max_width=SNAPSHOT_WIDTH,
        quality=SNAPSHOT_QUALITY,
        max_bytes=SNAPSHOT_BYTES,
    )
    return {
        "evidence": _as_evidence(context.evidence.write(f"{wanted.event_id}/snapshot.jpg", jpeg))
    }


def video_keep(context: TaskContext) -> dict[str, Any]:
    """Pin the clip, so that it outlives its age.

    May run again: pinning twice is pinning once.
    """
    clip = _input(context, ClipOnlyInput).clip
    _clip_path(context, clip)
    for key in (clip.key, clip.info_key):
        context.evidence.pin(key)
    # Asked for after the pin, so that a sweep in between is noticed.
    found = context.evidence.find(clip.key)
    if found is None:
        message = f"the clip {clip.key} is no longer in the evidence store"
        raise TaskRejected(message)
    return {"evidence": _as_evidence(found)}


def video_discard(context: TaskContext) -> dict[str, Any]:
    """Drop the clip on which nothing was found, with what was written about it.

    May run again: what is gone stays gone.
    """
    clip = _input(context, ClipOnlyInput).clip
    folder = clip.key.rpartition("/")[0]
    # The clip goes first: its description without it does no harm, it without a description would.
    keys = (clip.key, clip.info_key, f"{folder}/detections.json")
    return {"dropped": [key for key in keys if context.evidence.drop(key)]}


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "video_clip": video_clip,
        "video_detect": video_detect,
        "video_track": video_track,
        "video_snapshot": video_snapshot,
        "video_keep": video_keep,
        "video_discard": video_discard,
    }
)
"""Handler of each task name."""


def _input(context: TaskContext, kind: type[Input]) -> Input:
    """Read the task's input, or reject it with the name of the wrong field."""
    try:
        return msgspec.convert(context.input, kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        message = f"wrong input {place.rstrip('`')}: {text}" if place else f"wrong input: {text}"
        raise TaskRejected(message) from error


def _device(context: TaskContext, what: str, name: str, *, offers: str) -> Any:
    """Take a device of the inventory, or reject the task if it is one of another kind."""
    device = context.device(name)
    if not hasattr(device, offers):
        message = f"wrong input {what}: the device {name!r} is no {what}; name one that is"
        raise TaskRejected(message)
    return device


def _span(wanted: ClipInput, camera: Camera) -> tuple[int, int]:
    """Work out from when to when the clip goes."""
    pre_s = camera.pre_roll_s if wanted.pre_roll_s is None else wanted.pre_roll_s
    post_s = camera.post_roll_s if wanted.post_roll_s is None else wanted.post_roll_s
    return wanted.started_ms - round(pre_s * 1000), wanted.started_ms + round(post_s * 1000)


def _wait_for(context: TaskContext, camera: Camera, end_ms: int) -> None:
    """Wait until the camera has delivered the end of the clip, or is lost and will not."""
    if end_ms - context.now_ms() > _MAX_WAIT_MS:
        message = f"wrong input: the clip would end at {end_ms} ms, far in the future"
        raise TaskRejected(message)
    waiting = threading.Event()
    while True:
        _go_on(context)
        status = camera.status()
        if status.last_frame_ms >= end_ms:
            return
        is_online = status.state is CameraState.ONLINE
        limit_ms = end_ms if not is_online else end_ms + _LOST_GRACE_MS
        if context.now_ms() >= limit_ms:
            context.log(f"the clip ends early: camera {status.state}, {status.message}")
            return
        waiting.wait(_LOOK_S)


def _go_on(context: TaskContext) -> None:
    """Renew the lease, or stop if nobody wants the result."""
    if context.cancelled:
        message = "cancelled"
        raise TaskFailed(message)
    context.heartbeat()


def _clip_path(context: TaskContext, clip: ClipRef) -> Path:
    """Find the clip's file."""
    try:
        path = context.evidence.path_of(clip.key)
    except ValueError as error:
        message = f"wrong input: {error}"
        raise TaskRejected(message) from error
    if not path.is_file():
        message = f"the clip {clip.key} is no longer in the evidence store"
        raise TaskRejected(message)
    return path


def _detections(context: TaskContext, wanted: TrackInput) -> list[FrameBoxes]:
    """Take the detections from the input, or from the file it names."""
    if wanted.detections is not None:
        return wanted.detections
    try:
        data = context.evidence.path_of(wanted.detections_key).read_bytes()
        return msgspec.json.decode(data, type=list[FrameBoxes])
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        message = f"the detections {wanted.detections_key!r} cannot be read: {error}"
        raise TaskRejected(message) from error


def _as_ref(info: ClipInfo, key: str, info_key: str) -> ClipRef:
    """Describe a clip by its key instead of its path."""
    return ClipRef(
        key=key,
        info_key=info_key,
        start_ms=info.start_ms,
        end_ms=info.end_ms,
        frames=info.frames,
        fps=info.fps,
        width=info.width,
        height=info.height,
        codec=info.codec,
        complete=info.complete,
        reason=info.reason,
    )


def _as_evidence(reference: EvidenceRef) -> dict[str, Any]:
    """Write a reference as the engine expects it in an output."""
    written: dict[str, Any] = msgspec.to_builtins(reference)
    return written


def _box(row: list[Any]) -> Box:
    """Read a row back as a box."""
    label, score, x, y, w, h = row
    return label, score, x, y, w, h
