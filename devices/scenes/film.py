"""Writes a moving scene as a real H.264 file, with its truth as JSON beside it.

Neither the scene nor its truth is decided here.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec

from devices.scenes.actors import LABELS, Image
from devices.scenes.moving import Scene
from devices.scenes.truth import Truth, TruthBox


def truth_path(video: Path) -> Path:
    """Tell where the truth of a video is kept."""
    return video.with_suffix(".truth.json")


def read_truth(video: Path) -> Truth:
    """Read what a video made here shows."""
    return msgspec.json.decode(truth_path(video).read_bytes(), type=Truth)


def write_video(
    path: Path,
    seed: int,
    seconds: float = 50.0,
    fps: float = 25.0,
    size: tuple[int, int] = (640, 360),
) -> str:
    """Film the scene of this seed into an MP4 file and write its truth beside it.

    The ffmpeg program with libx264 is used where it is installed, with a keyframe every second
    and no B-frames, as cameras do.  Without it OpenCV's own writer is tried for H.264
    ("avc1"), then for MPEG-4 part 2 ("mp4v"), which every opencv-python wheel can write.

    Returns:
        The encoder that made the file: "libx264", "avc1" or "mp4v"; the truth names it too.

    Raises:
        OSError: no encoder could write the file.
    """
    scene = Scene(seed, seconds=seconds, fps=fps, size=size)
    boxes: list[list[TruthBox]] = []

    def frames() -> Iterator[Image]:
        boxes.clear()
        for index in range(scene.frames):
            image, present = scene.render(index)
            boxes.append(present)
            yield image

    path.parent.mkdir(parents=True, exist_ok=True)
    program = shutil.which("ffmpeg")
    encoder = ""
    if program and _write_with_ffmpeg(program, path, frames(), fps, size):
        encoder = "libx264"
    for fourcc in () if encoder else ("avc1", "mp4v"):
        if _write_with_opencv(fourcc, path, frames(), fps, size):
            encoder = fourcc
            break
    if not encoder:
        raise OSError(f"no video encoder could write {path}: install ffmpeg with libx264")
    shown = Truth(
        seed=seed,
        width=size[0],
        height=size[1],
        fps=fps,
        frames=scene.frames,
        encoder=encoder,
        labels=list(LABELS),
        episodes=scene.episodes(boxes),
        boxes=boxes,
        glimpses=[scene.glimpses(index) for index in range(scene.frames)],
    )
    truth_path(path).write_bytes(msgspec.json.encode(shown))
    return encoder


def _write_with_ffmpeg(
    program: str, path: Path, frames: Iterator[Image], fps: float, size: tuple[int, int]
) -> bool:
    """Pipe raw frames to ffmpeg; False if it cannot encode H.264."""
    command = [program, "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}"]
    command += ["-r", f"{fps:g}", "-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast"]
    # At 19 a good part of the sensor's noise survives, at about 1 Mbit/s; at the default of 23 a
    # motion gate would see a still picture that jumps once a second, at each keyframe.
    command += ["-crf", "19", "-pix_fmt", "yuv420p", "-g", str(max(round(fps), 1)), "-bf", "0"]
    # One encoder thread gives the same bytes each time, however many cores there are.
    command += ["-threads", "1", "-movflags", "+faststart", "-f", "mp4", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as encoder:
        if encoder.stdin is None:
            raise OSError("ffmpeg was started without a pipe")
        try:
            for image in frames:
                encoder.stdin.write(image.tobytes())
        except BrokenPipeError:
            # ffmpeg ended early; its exit status below says so.
            pass
        encoder.stdin.close()
        return encoder.wait() == 0


def _write_with_opencv(
    fourcc: str, path: Path, frames: Iterator[Image], fps: float, size: tuple[int, int]
) -> bool:
    """Write through OpenCV; False if this build has no such encoder."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, size)
    if not writer.isOpened():
        return False
    for image in frames:
        writer.write(image)
    writer.release()
    return path.stat().st_size > 0
