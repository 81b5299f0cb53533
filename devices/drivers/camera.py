"""The camera driver: a video file played live, an RTSP stream or a V4L2 device as a Camera.

No decoding and no file format here: this file holds the one thread, the ring and the state.

The thread pulls: OpenCV's decoder asks for bytes, which asks the source for its next packet, which
goes into the ring on its way. So there is one thread per camera, no queue that could overflow, and
a picture is decoded the moment its packet arrives.
"""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import ClassVar

import structlog

from devices.capabilities import (
    CameraState,
    CameraStatus,
    ClipInfo,
    Frame,
    Image,
    MotionEvent,
    MotionListener,
    Surroundings,
)
from devices.drivers.camera_settings import CameraSettings, backoff_s
from devices.drivers.camera_source import (
    Arrival,
    Pacer,
    Source,
    SourceLimits,
    open_source,
    without_password,
)
from devices.drivers.clip_file import write_clip
from devices.drivers.packet_decoder import PacketDecoder
from devices.drivers.packet_feeding import Feeding
from devices.drivers.video_library import load_cv2
from devices.errors import DeviceError, Refused, Unreachable
from devices.motion import MotionGate, MotionState, luma_of
from devices.packets import Packet, PacketRing, StreamFormat

_log = structlog.get_logger(__name__)

# A workflow begins a moment after its motion, later if the engine is busy or was just restarted;
# the ring keeps this much more than pre-roll and post-roll so that it still finds the beginning.
_RING_GRACE_S = 20.0

# In adaptive decoding every picture is decoded for so long after the gate last saw something.
_ALERT_S = 3.0

# A read that took nearly the whole stall time has run into the time limit, whatever it says.
_LIE_SHARE = 0.95

MAX_CLIP_MS = 600_000
"""No longer clip is cut; the ring's bytes end long before."""


class VideoCamera:
    """A camera, by way of OpenCV's FFmpeg and V4L2 back ends; see `devices.capabilities.Camera`."""

    settings_type: ClassVar[type[CameraSettings]] = CameraSettings

    def __init__(self, name: str, settings: CameraSettings, surroundings: Surroundings) -> None:
        """Hold the settings; `connect` begins."""
        self.name = name
        self.settings = settings
        self.pre_roll_s = settings.pre_roll_s
        self.post_roll_s = settings.post_roll_s
        self._clock_ms = surroundings.clock_ms
        self._monotonic_s = surroundings.monotonic_s
        self._folder = surroundings.folder
        self._opening = threading.Lock()  # Held while the thread is made; there is one at most.
        self._lock = threading.Lock()  # Guards everything below that two threads touch.
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._listeners: list[MotionListener] = []
        self._state = CameraState.CONNECTING
        self._message = "not connected"
        self._format: StreamFormat | None = None
        self._frames = 0
        self._reconnects = 0
        self._segment = 0
        self._last_frame_ms = 0
        self._progress_s = 0.0
        self._pts_ms = -1.0
        self._newest: Frame | None = None
        span_s = settings.pre_roll_s + settings.post_roll_s + _RING_GRACE_S
        self._ring = PacketRing(max_bytes=settings.ring_bytes, span_ms=round(span_s * 1000))
        self._gate = MotionGate(settings.motion)
        self._next_look_ms = 0
        self._alert_until_ms = 0

    def connect(self) -> None:
        """Start receiving; see `devices.capabilities.Camera.connect`."""
        with self._opening:
            if self._thread is not None and self._thread.is_alive():
                if self._stopping.is_set():
                    message = f"camera {self.name!r} is still closing"
                    raise Unreachable(message)
                return
            try:
                load_cv2()
                self._probe_file()
            except Refused as error:
                self._set_state(CameraState.BROKEN, str(error))
                raise
            self._stopping.clear()
            self._set_state(CameraState.CONNECTING, "")
            name = f"camera-{self.name}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
            # A thread inside OpenCV must not meet the end of the interpreter: it would abort the
            # process instead of letting it exit.
            atexit.register(self.close)

    def close(self) -> None:
        """Stop receiving; waits for a read that is under way."""
        self._stopping.set()
        atexit.unregister(self.close)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            reconnect = self.settings.reconnect
            thread.join(timeout=reconnect.open_s + 2 * reconnect.stall_s)
        self._set_state(CameraState.CONNECTING, "not connected")

    def status(self) -> CameraStatus:
        """Tell how the camera is doing, judged by when its frames last moved on."""
        with self._lock:
            state, message = self._state, self._message
            silent_s = self._monotonic_s() - self._progress_s
            if state is CameraState.ONLINE and silent_s > self._stall_s():
                state, message = CameraState.LOST, f"no new frame for {silent_s:.1f} s"
            form = self._format
            return CameraStatus(
                state=state,
                width=form.width if form else 0,
                height=form.height if form else 0,
                fps=round(form.fps, 3) if form else 0.0,
                frames=self._frames,
                last_frame_ms=self._last_frame_ms,
                reconnects=self._reconnects,
                message=message,
            )

    def snapshot(self) -> Frame | None:
        """Give the newest decoded frame, or None while the camera is not online."""
        if self.status().state is not CameraState.ONLINE:
            return None
        return self._newest

    def clip(self, start_ms: int, end_ms: int, path: Path) -> ClipInfo:
        """Write a clip by copying packets; see `devices.capabilities.Camera.clip`."""
        if not 0 <= end_ms - start_ms <= MAX_CLIP_MS:
            message = f"a clip from {start_ms} to {end_ms} ms is not between 0 and {MAX_CLIP_MS} ms"
            raise Refused(message)
        with self._lock:
            form = self._format
            cut = self._ring.cut(start_ms, end_ms)
        if form is None:
            message = f"camera {self.name!r} has not delivered a frame yet"
            raise Unreachable(message)
        if not cut.packets:
            message = f"camera {self.name!r} cannot give the clip: {cut.reason}"
            raise Refused(message)
        return write_clip(path, form, cut)

    def watch(self, listener: MotionListener) -> None:
        """Tell the listener of each motion that begins from now on."""
        with self._lock:
            self._listeners.append(listener)

    def _probe_file(self) -> None:
        """Open a file once, so that a wrong path is told at once instead of in the thread."""
        if self._is_file():
            self._open().close()

    def _open(self) -> Source:
        """Open the source that the settings name."""
        reconnect = self.settings.reconnect
        return open_source(
            self.settings.source,
            folder=self._folder,
            loop=self.settings.loop,
            limits=SourceLimits(open_s=reconnect.open_s, read_s=reconnect.stall_s),
            pacer=Pacer(self._monotonic_s, self._stopping),
        )

    def _run(self) -> None:
        """Stream, and again after each loss, until told to stop.

        The thread's foot is a rim: nobody above could catch what is raised here.
        """
        log = _log.bind(device=self.name)
        failures = 0
        try:
            while not self._stopping.is_set():
                frames = self._frames
                try:
                    self._stream(log)
                    reason = "the stream ended"
                except Unreachable as error:
                    reason = str(error)
                if self._stopping.is_set():
                    return
                failures = failures + 1 if self._frames == frames else 0
                self._set_state(CameraState.LOST, reason)
                if self._is_played_out():
                    log.info("camera_file_ended")
                    return
                if failures <= 1:
                    log.warning("camera_lost", reason=reason)
                self._stopping.wait(backoff_s(self.settings.reconnect, failures))
        except DeviceError as error:
            self._set_state(CameraState.BROKEN, str(error))
            log.error("camera_broken", reason=str(error))
        except Exception as error:
            self._set_state(CameraState.BROKEN, f"unexpected: {error}; open the camera again")
            log.exception("camera_failed")

    def _is_played_out(self) -> bool:
        """Tell whether the source is a file that was to be shown once."""
        return self._is_file() and not self.settings.loop

    def _is_file(self) -> bool:
        """Tell whether the source is a video file."""
        source = self.settings.source
        return isinstance(source, str) and "://" not in source and not source.startswith("/dev/")

    def _stream(self, log: structlog.stdlib.BoundLogger) -> None:
        """Receive from one opening of the source until it ends."""
        source = self._open()
        try:
            with self._lock:
                self._format = source.format
                self._segment += 1
            self._gate.rebase()
            self._pts_ms = -1.0
            self._progress_s = self._monotonic_s()
            log.info(
                "camera_opened",
                source=without_password(str(self.settings.source)),
                codec=source.format.codec,
                fps=source.format.fps,
            )
            if source.format.codec == "mjpeg":
                self._follow_pictures(source)
            else:
                self._follow_packets(source)
        finally:
            source.close()

    def _follow_pictures(self, source: Source) -> None:
        """Receive from a source that gives decoded pictures."""
        while (arrival := self._next(source)) is not None:
            packet = self._keep(arrival)
            if self._is_due(packet):
                self._look(packet, arrival.image)

    def _follow_packets(self, source: Source) -> None:
        """Receive from a source that gives packets: decode what is wanted, as it arrives."""
        first: Packet | None = None
        while first is None or not first.is_key:
            arrival = self._next(source)
            if arrival is None:
                return
            first = self._keep(arrival)
        feeding = Feeding(lambda: self._next(source), self._keep, self._wants_all, self._backlog)
        decoder = PacketDecoder(first, source.format.codec, feeding.pull)
        try:
            while (packet := decoder.grab()) is not None:
                if self._is_due(packet):
                    self._look(packet, decoder.retrieve())
        finally:
            decoder.close()

    def _next(self, source: Source) -> Arrival | None:
        """Read from the source; None when it ended, stands still or is to be closed."""
        asked_s = self._monotonic_s()
        arrival = None if self._stopping.is_set() else source.read()
        if arrival is None or self._stopping.is_set():
            return None
        now_s = self._monotonic_s()
        if now_s - asked_s > _LIE_SHARE * self._stall_s() and not self._is_file():
            # OpenCV answers a timed-out read with "ok" and a picture it had left over.
            message = f"no new frame for {now_s - asked_s:.1f} s"
            raise Unreachable(message)
        if arrival.pts_ms != self._pts_ms:
            self._pts_ms = arrival.pts_ms
            self._progress_s = now_s
        elif now_s - self._progress_s > self._stall_s():
            message = "the stream's time stands still"
            raise Unreachable(message)
        return arrival

    def _keep(self, arrival: Arrival) -> Packet:
        """Put what arrived into the ring, numbered and stamped."""
        now_ms = self._clock_ms()
        with self._lock:
            packet = Packet(
                data=arrival.data,
                is_key=arrival.is_key,
                pts_ms=arrival.pts_ms,
                captured_ms=now_ms,
                index=self._frames,
                segment=self._segment,
            )
            self._frames += 1
            self._last_frame_ms = now_ms
            self._ring.append(packet)
            is_back = self._state is not CameraState.ONLINE
            if is_back:
                self._reconnects += self._state is CameraState.LOST
                self._state, self._message = CameraState.ONLINE, ""
        if is_back:
            _log.info("camera_online", device=self.name, reconnects=self._reconnects)
        return packet

    def _backlog(self) -> list[Packet]:
        """Give what has arrived since the newest keyframe, that one not included."""
        with self._lock:
            return self._ring.since_keyframe()[1:]

    def _wants_all(self) -> bool:
        """Tell whether every packet has to be decoded, or keyframes will do."""
        if self.settings.decode == "always" or self._gate.state is not MotionState.IDLE:
            return True
        return self._last_frame_ms < self._alert_until_ms

    def _is_due(self, packet: Packet) -> bool:
        """Tell whether the motion gate is to see this picture."""
        if packet.captured_ms < self._next_look_ms:
            return False
        step_ms = round(1000 / self.settings.detect_fps)
        # A steady rhythm, begun anew after a pause.
        self._next_look_ms = max(self._next_look_ms + step_ms, packet.captured_ms + step_ms // 2)
        return True

    def _look(self, packet: Packet, image: Image | None) -> None:
        """Show a picture to the motion gate, and tell if something has begun to move."""
        if image is None:
            return
        self._newest = Frame(image, captured_ms=packet.captured_ms, index=packet.index)
        motion = self._gate.feed(luma_of(image), packet.captured_ms)
        if self._gate.saw_motion:
            self._alert_until_ms = packet.captured_ms + round(_ALERT_S * 1000)
        if motion is None:
            return
        event = MotionEvent(
            camera=self.name,
            event_id=f"{self.name}-{motion.started_ms}",
            started_ms=motion.started_ms,
            score=motion.score,
            region=motion.region,
        )
        _log.info("motion_began", device=self.name, event_id=event.event_id, score=motion.score)
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)

    def _stall_s(self) -> float:
        """How long a frame may stay away; three frames' time for a very slow source."""
        fps = self._format.fps if self._format else 25.0
        return max(self.settings.reconnect.stall_s, 3 / fps)

    def _set_state(self, state: CameraState, message: str) -> None:
        """Change the state, with the sentence that goes with it."""
        with self._lock:
            self._state, self._message = state, message
