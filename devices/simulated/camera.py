"""The camera's twin: a seeded scene behind the Camera capability, without cv2.

Ring and motion gate are the driver's own; only where pictures come from is made up here.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from devices.capabilities import (
    CameraState,
    CameraStatus,
    ClipInfo,
    Frame,
    MotionEvent,
    MotionListener,
    Surroundings,
)
from devices.errors import Refused, Unreachable
from devices.motion import MotionGate, MotionSettings, luma_of
from devices.mp4 import write_film
from devices.packets import Packet, PacketRing, mux_plan
from devices.simulated.picture import SeededScene, encode_png

_STALL_S = 2.0
MAX_CLIP_MS = 600_000


class SimulatedCameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``devices.toml`` may say of a twin camera."""

    seed: int = 1
    width: Annotated[int, msgspec.Meta(ge=32, le=1920)] = 160
    height: Annotated[int, msgspec.Meta(ge=24, le=1080)] = 90
    fps: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    pre_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] = 5.0
    post_roll_s: Annotated[float, msgspec.Meta(ge=0, le=120)] = 5.0
    ring_bytes: Annotated[int, msgspec.Meta(ge=100_000, le=1_000_000_000)] = 16_000_000
    by_hand: bool = False
    """True: no thread runs and each call of `SimulatedCamera.step` is one frame."""

    motion: MotionSettings = MotionSettings()


class SimulatedCamera:
    """A camera that is not there; see `devices.capabilities.Camera`.

    Cues: `slow`, `lose` and `restore`, `cut_power`.
    """

    settings_type: ClassVar[type[SimulatedCameraSettings]] = SimulatedCameraSettings

    def __init__(
        self, name: str, settings: SimulatedCameraSettings, surroundings: Surroundings
    ) -> None:
        """Draw the scene; `connect` begins."""
        self.name = name
        self.settings = settings
        self.pre_roll_s = settings.pre_roll_s
        self.post_roll_s = settings.post_roll_s
        self.scene = SeededScene(settings.seed, settings.width, settings.height)
        self._clock_ms = surroundings.clock_ms
        self._monotonic_s = surroundings.monotonic_s
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._listeners: list[MotionListener] = []
        self._is_connected = False
        self._lost_reason = ""
        self._delay_s = 0.0
        self._frames = 0
        self._reconnects = 0
        self._last_frame_ms = 0
        self._progress_s = 0.0
        self._segment = 0
        self._forget()

    def connect(self) -> None:
        """Begin to give frames."""
        with self._lock:
            if self._is_connected:
                return
            self._is_connected = True
            self._segment += 1
            if self.settings.by_hand:
                return
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=f"twin-{self.name}", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Cease to give frames."""
        with self._lock:
            self._is_connected = False
            self._stopping.set()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def status(self) -> CameraStatus:
        """Tell how the twin is doing."""
        with self._lock:
            state, message = self._state()
            return CameraStatus(
                state=state,
                width=self.settings.width if self._frames else 0,
                height=self.settings.height if self._frames else 0,
                fps=self.settings.fps if self._frames else 0.0,
                frames=self._frames,
                last_frame_ms=self._last_frame_ms,
                reconnects=self._reconnects,
                message=message,
            )

    def snapshot(self) -> Frame | None:
        """Give the newest frame, or None while the twin is not online."""
        with self._lock:
            return self._newest if self._state()[0] is CameraState.ONLINE else None

    def clip(self, start_ms: int, end_ms: int, path: Path) -> ClipInfo:
        """Write a film of PNG pictures in an MP4 file; see `devices.capabilities.Camera.clip`."""
        if not 0 <= end_ms - start_ms <= MAX_CLIP_MS:
            message = f"a clip from {start_ms} to {end_ms} ms is not between 0 and {MAX_CLIP_MS} ms"
            raise Refused(message)
        with self._lock:
            cut = self._ring.cut(start_ms, end_ms)
            frames = self._frames
        if not frames:
            message = f"camera {self.name!r} has not delivered a frame yet"
            raise Unreachable(message)
        if not cut.packets:
            message = f"camera {self.name!r} cannot give the clip: {cut.reason}"
            raise Refused(message)
        size = (self.settings.width, self.settings.height)
        first_ms = cut.packets[0].pts_ms
        write_film(
            path,
            codec="png",
            size=size,
            frames=[packet.data for packet in cut.packets],
            times_ms=[round(packet.pts_ms - first_ms) for packet in cut.packets],
        )
        return ClipInfo(
            path=str(path),
            start_ms=cut.packets[0].captured_ms,
            end_ms=cut.packets[-1].captured_ms,
            frames=len(cut.packets),
            fps=mux_plan(cut.packets, self.settings.fps).fps,
            width=size[0],
            height=size[1],
            codec="png",
            complete=cut.complete,
            reason=cut.reason,
        )

    def watch(self, listener: MotionListener) -> None:
        """Tell the listener of each motion that begins from now on."""
        with self._lock:
            self._listeners.append(listener)

    def step(self) -> None:
        """Take one frame now, unless the twin is lost or closed."""
        with self._lock:
            if not self._is_connected or self._lost_reason:
                return
            event = self._take()
            listeners = list(self._listeners)
        if event is not None:
            for listener in listeners:
                listener(event)

    def slow(self, delay_s: float) -> None:
        """Cue: let each further frame come so much later; 0 ends it."""
        self._delay_s = delay_s

    def lose(self, reason: str = "the network is gone") -> None:
        """Cue: give no more frames until `restore`."""
        with self._lock:
            self._lost_reason = reason

    def restore(self) -> None:
        """Cue: be reachable again, as after a reconnect."""
        with self._lock:
            if self._lost_reason:
                self._lost_reason = ""
                self._reconnects += 1
                self._segment += 1
                self._gate.rebase()

    def cut_power(self) -> None:
        """Cue: what was in memory is gone, and the twin is lost until `restore`."""
        with self._lock:
            self._forget()
            self._lost_reason = "the power is gone"

    def _forget(self) -> None:
        """Begin with empty memory."""
        settings = self.settings
        span_s = settings.pre_roll_s + settings.post_roll_s + 20
        self._ring = PacketRing(max_bytes=settings.ring_bytes, span_ms=round(span_s * 1000))
        self._gate = MotionGate(settings.motion)
        self._newest: Frame | None = None

    def _run(self, stopping: threading.Event) -> None:
        """Take frames at the twin's rate."""
        while not stopping.wait(1 / self.settings.fps + self._delay_s):
            self.step()

    def _take(self) -> MotionEvent | None:
        """Draw the next frame and pass it on; give the motion that begins with it."""
        now_ms = self._clock_ms()
        image = self.scene.frame(self._frames)
        self._newest = Frame(image, captured_ms=now_ms, index=self._frames)
        pts_ms = float(now_ms)
        self._ring.append(
            Packet(
                data=encode_png(image),
                is_key=True,
                pts_ms=pts_ms,
                captured_ms=now_ms,
                index=self._frames,
                segment=self._segment,
            )
        )
        self._frames += 1
        self._last_frame_ms = now_ms
        self._progress_s = self._monotonic_s()
        motion = self._gate.feed(luma_of(image), now_ms)
        if motion is None:
            return None
        event_id = f"{self.name}-{motion.started_ms}"
        return MotionEvent(self.name, event_id, motion.started_ms, motion.score, motion.region)

    def _state(self) -> tuple[CameraState, str]:
        """Work out the state and its sentence."""
        if not self._is_connected:
            return CameraState.CONNECTING, "not connected"
        if self._lost_reason:
            return CameraState.LOST, self._lost_reason
        if self._newest is None:
            return CameraState.CONNECTING, ""
        silent_s = self._monotonic_s() - self._progress_s
        if silent_s > max(_STALL_S, 3 / self.settings.fps):
            return CameraState.LOST, f"no new frame for {silent_s:.1f} s"
        return CameraState.ONLINE, ""
