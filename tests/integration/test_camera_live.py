"""Cameras as they run: one suite for driver and twin, then what only the driver does with files.

Real threads and real time; a film whose truth is known is the world.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from devices.capabilities import Camera, CameraState, MotionEvent, Surroundings
from devices.drivers.camera import VideoCamera
from devices.drivers.camera_settings import CameraSettings
from devices.drivers.clip_file import read_clip
from devices.errors import Refused, Unreachable
from devices.scenes import read_truth, write_video
from devices.simulated.camera import SimulatedCamera, SimulatedCameraSettings

# Films run in real time, and a machine that does much else at once is slow.
pytestmark = pytest.mark.timeout(60)

_BEGIN_MS = 1_700_000_000_000


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    """Give clocks that run, from a fixed date, and the test's own folder."""
    return Surroundings(
        clock_ms=lambda: _BEGIN_MS + round(time.monotonic() * 1000),
        monotonic_s=time.monotonic,
        folder=tmp_path,
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a film of 10 s, 640 x 360, 25 frames a second, in which one car crosses."""
    path = tmp_path_factory.mktemp("film") / "scene.mp4"
    write_video(path, seed=7, seconds=10)
    return path


@pytest.fixture(scope="module")
def h264_film(film: Path) -> Path:
    """Give the film if it is H.264, which needs ffmpeg to be made."""
    if read_truth(film).encoder == "mp4v":
        pytest.skip("no H.264 encoder here: install ffmpeg")
    return film


def _wait_until(condition: Callable[[], object]) -> None:
    """Wait until something holds; fail after half a minute."""
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("waited for half a minute in vain")


def _driver(film: Path, surroundings: Surroundings) -> Camera:
    settings = msgspec.convert({"source": str(film), "detect_fps": 10}, CameraSettings)
    return VideoCamera("front", settings, surroundings)


def _adaptive_driver(film: Path, surroundings: Surroundings) -> Camera:
    settings = {"source": str(film), "detect_fps": 10, "decode": "adaptive"}
    return VideoCamera("front", msgspec.convert(settings, CameraSettings), surroundings)


def _twin(film: Path, surroundings: Surroundings) -> Camera:
    return SimulatedCamera("front", SimulatedCameraSettings(fps=30), surroundings)


@pytest.fixture(params=[_driver, _adaptive_driver, _twin])
def camera(
    request: pytest.FixtureRequest, film: Path, surroundings: Surroundings
) -> Iterator[Camera]:
    """Give each kind of camera, not connected."""
    made: Camera = request.param(film, surroundings)
    yield made
    made.close()


def test_before_connecting_there_is_nothing(camera: Camera, tmp_path: Path) -> None:
    """A camera that was never connected has no picture and no clip, and says that it is not."""
    assert CameraState.CONNECTING is camera.status().state
    assert "not connected" == camera.status().message
    assert camera.snapshot() is None
    with pytest.raises(Unreachable, match=r"not delivered"):
        camera.clip(0, 1000, tmp_path / "clip.mp4")


def test_a_connected_camera_comes_online_and_shows_pictures(camera: Camera) -> None:
    """Status and snapshot agree with each other and with the declared shapes."""
    camera.connect()
    camera.connect()
    _wait_until(camera.snapshot)

    status, frame = camera.status(), camera.snapshot()

    assert frame is not None
    assert CameraState.ONLINE is status.state
    assert "" == status.message
    assert (status.height, status.width, 3) == frame.image.shape
    assert np.uint8 == frame.image.dtype
    assert 0 <= frame.index < status.frames
    assert 0 < frame.captured_ms <= status.last_frame_ms
    assert 0 < status.fps
    assert 0 == status.reconnects


def test_frames_go_on(camera: Camera) -> None:
    """Later snapshots are newer ones."""
    camera.connect()
    _wait_until(camera.snapshot)
    first = camera.snapshot()
    assert first is not None

    _wait_until(lambda: (now := camera.snapshot()) is not None and now.index > first.index)

    assert camera.status().frames > first.index


def test_a_clip_holds_what_was_asked_for(camera: Camera, tmp_path: Path) -> None:
    """A clip of held time is complete, and a reader finds as many pictures as it claims."""
    camera.connect()
    _wait_until(lambda: camera.status().frames > 60)
    end_ms = camera.status().last_frame_ms
    path = tmp_path / "clip.mp4"

    info = camera.clip(end_ms - 1000, end_ms, path)

    assert info.complete, info.reason
    assert str(path) == info.path
    assert info.start_ms <= end_ms - 900
    assert end_ms - 100 <= info.end_ms <= end_ms
    frames = list(read_clip(path, fps=1000))
    assert info.frames == len(frames)
    assert (info.height, info.width, 3) == frames[0].image.shape
    assert [one.captured_ms for one in frames] == sorted(one.captured_ms for one in frames)
    length_ms = info.end_ms - info.start_ms
    assert length_ms == pytest.approx(frames[-1].captured_ms, rel=0.2, abs=100)


def test_a_clip_that_reaches_too_far_says_so(camera: Camera, tmp_path: Path) -> None:
    """Where beginning or end are not held, the part that is comes with the reason."""
    camera.connect()
    _wait_until(lambda: camera.status().frames > 30)
    end_ms = camera.status().last_frame_ms

    early = camera.clip(end_ms - 60_000, end_ms, tmp_path / "early.mp4")
    late = camera.clip(end_ms - 500, end_ms + 60_000, tmp_path / "late.mp4")

    assert not early.complete
    assert "begins" in early.reason
    assert not late.complete
    assert "before the end" in late.reason


def test_a_clip_of_time_long_gone_is_refused(camera: Camera, tmp_path: Path) -> None:
    """What the ring no longer holds is refused with the span it holds, and leaves no file."""
    camera.connect()
    _wait_until(lambda: camera.status().frames > 5)
    path = tmp_path / "clip.mp4"

    with pytest.raises(Refused, match=r"front.*holds"):
        camera.clip(1_000, 2_000, path)

    assert not path.exists()


@pytest.mark.parametrize(("start_ms", "end_ms"), [(2_000, 1_000), (0, 10_000_000)])
def test_a_span_that_makes_no_sense_is_refused(
    camera: Camera, tmp_path: Path, start_ms: int, end_ms: int
) -> None:
    """A clip that ends before it begins, or is endless, is not attempted."""
    with pytest.raises(Refused, match=r"is not between"):
        camera.clip(start_ms, end_ms, tmp_path / "clip.mp4")


def test_motion_is_told_to_every_listener_with_a_stable_id(camera: Camera) -> None:
    """All listeners get the same event, whose id is made of camera and time."""
    told: list[MotionEvent] = []
    told_too: list[MotionEvent] = []
    camera.watch(told.append)
    camera.watch(told_too.append)

    camera.connect()
    _wait_until(lambda: told and told_too)

    event = told[0]
    assert event == told_too[0]
    assert "front" == event.camera
    assert f"front-{event.started_ms}" == event.event_id
    assert event.started_ms <= camera.status().last_frame_ms
    assert 0 < event.score <= 1
    assert 0 <= event.region.x < event.region.x + event.region.w <= 1.01


def test_close_ends_it_and_connect_begins_again(camera: Camera) -> None:
    """A closed camera shows nothing, closing twice is closing once, and it can be opened again."""
    camera.connect()
    _wait_until(camera.snapshot)

    camera.close()
    camera.close()

    assert camera.snapshot() is None
    assert "not connected" == camera.status().message
    camera.connect()
    _wait_until(camera.snapshot)


def _camera(surroundings: Surroundings, **settings: Any) -> VideoCamera:
    return VideoCamera("front", msgspec.convert(settings, CameraSettings), surroundings)


def test_a_broken_camera_works_once_the_file_is_there(
    surroundings: Surroundings, film: Path
) -> None:
    """After the cause is gone, connecting again is enough."""
    camera = _camera(surroundings, source="later.mp4")
    with pytest.raises(Refused):
        camera.connect()
    (surroundings.folder / "later.mp4").write_bytes(film.read_bytes())

    camera.connect()
    _wait_until(camera.snapshot)
    camera.close()

    assert camera.status().frames > 0


def test_a_v4l2_device_that_is_not_there_is_waited_for(surroundings: Surroundings) -> None:
    """A camera that is not plugged in is lost, not refused, and the message says so."""
    camera = _camera(surroundings, source="/dev/video63")

    camera.connect()
    _wait_until(lambda: camera.status().state is CameraState.LOST)
    message = camera.status().message
    camera.close()

    assert "plugged in" in message


def test_a_file_that_shall_not_loop_ends(surroundings: Surroundings, tmp_path: Path) -> None:
    """Played once, the camera is lost afterwards and does not begin again."""
    path = tmp_path / "short.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(8):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    camera = _camera(surroundings, source=str(path), loop=False)

    camera.connect()
    _wait_until(lambda: camera.status().state is CameraState.LOST)
    camera.close()

    assert 8 == camera.status().frames


def test_a_codec_without_packets_is_decoded_and_kept_as_jpeg(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    """MPEG-4 part 2 cannot be copied; clips of it hold JPEG pictures that show the same."""
    path = tmp_path / "old.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for index in range(50):
        writer.write(np.full((48, 64, 3), 60 + 2 * index, np.uint8))
    writer.release()
    camera = _camera(surroundings, source=str(path))
    camera.connect()
    _wait_until(lambda: camera.status().frames > 20)
    end_ms = camera.status().last_frame_ms

    info = camera.clip(end_ms - 400, end_ms, tmp_path / "clip.mp4")
    camera.close()

    assert "mjpeg" == info.codec
    frames = list(read_clip(tmp_path / "clip.mp4", fps=1000))
    assert info.frames == len(frames)
    assert frames[-1].image.mean() > frames[0].image.mean()


def test_the_ring_keeps_its_bytes(surroundings: Surroundings, h264_film: Path) -> None:
    """With a small ring only the newest groups are held, and a long clip says what is missing.

    The ring has room for three of the film's groups of a second: one that does not hold a whole
    group is empty whenever a group has outgrown it.
    """
    camera = _camera(surroundings, source=str(h264_film), ring_bytes=300_000)
    camera.connect()
    _wait_until(lambda: camera.status().frames > 200)
    end_ms = camera.status().last_frame_ms

    info = camera.clip(end_ms - 60_000, end_ms, surroundings.folder / "clip.mp4")
    camera.close()

    assert not info.complete
    assert (surroundings.folder / "clip.mp4").stat().st_size < 330_000


def test_a_clip_is_copied_not_encoded(surroundings: Surroundings, h264_film: Path) -> None:
    """The pictures of a clip are, byte for byte once decoded, those of the source."""
    camera = _camera(surroundings, source=str(h264_film))
    camera.connect()
    _wait_until(lambda: camera.status().frames > 60)
    end_ms = camera.status().last_frame_ms
    info = camera.clip(end_ms - 1_000, end_ms, surroundings.folder / "clip.mp4")
    camera.close()

    source = [one.image for one in read_clip(h264_film, fps=1000)]
    clip = [one.image for one in read_clip(surroundings.folder / "clip.mp4", fps=1000)]

    assert "h264" == info.codec
    first = next(n for n, one in enumerate(source) if np.array_equal(one, clip[0]))
    assert 0 == first % 25
    assert all(np.array_equal(one, source[first + n]) for n, one in enumerate(clip))


def test_a_listener_that_fails_breaks_the_camera_visibly(
    surroundings: Surroundings, film: Path
) -> None:
    """An error in a listener is a bug; it ends in the status instead of in a dead thread."""

    def fail(event: object) -> None:
        message = "listener is broken"
        raise RuntimeError(message)

    camera = _camera(surroundings, source=str(film), detect_fps=10)
    camera.watch(fail)
    camera.connect()
    _wait_until(lambda: camera.status().state is CameraState.BROKEN)
    camera.close()

    assert camera.snapshot() is None
