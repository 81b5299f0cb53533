"""Scenes: the same seed gives the same pictures, and the truth is what was drawn."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from devices.scenes import LABELS, Scene, TruthBox, read_truth, still, truth_path, write_video

SIZE = (320, 192)


def changed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tell which pixels differ by more than noise and drifting light explain."""
    pair = [cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.int16) for image in (first, second)]
    return np.asarray(np.abs(pair[0] - pair[1]).max(axis=2) > 25)


# -- stills ---------------------------------------------------------------------------------------


def test_stills_repeat() -> None:
    """One seed is one picture, one set of boxes; another seed is another picture."""
    first, again, other = still(5, SIZE), still(5, SIZE), still(6, SIZE)

    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("size", [(256, 256), (640, 360), (97, 61)])
def test_still_boxes_lie_inside(size: tuple[int, int]) -> None:
    """Boxes are inside the picture, not tiny, and one label belongs to each."""
    for seed in range(20):
        image, boxes, labels = still(seed, size)

        assert (size[1], size[0], 3) == image.shape
        assert (len(labels), 4) == boxes.shape
        assert set(labels) <= set(LABELS)
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 0] + boxes[:, 2] <= size[0] + 0.01).all()
        assert (boxes[:, 1] + boxes[:, 3] <= size[1] + 0.01).all()
        assert (boxes[:, 2:] >= 6).all()


def test_stills_show_all_classes_and_sometimes_none() -> None:
    """Over many seeds every class appears, and some pictures are empty."""
    shown = [still(seed, (256, 256))[2] for seed in range(100)]

    assert set(LABELS) == {label for labels in shown for label in labels}
    assert any(not labels for labels in shown)


# -- moving scenes --------------------------------------------------------------------------------


def test_frames_repeat_in_any_order() -> None:
    """A frame is a function of seed and number; another scene object draws the same."""
    first, second = Scene(7, seconds=20, size=SIZE), Scene(7, seconds=20, size=SIZE)
    forward = [first.render(index) for index in (60, 200, 431)]
    backward = [second.render(index) for index in (431, 200, 60)]

    for (image, boxes), (again, boxes_again) in zip(forward, reversed(backward), strict=True):
        assert np.array_equal(image, again)
        assert boxes == boxes_again


@pytest.mark.parametrize("seed", range(1, 9))
def test_loop_has_episodes_of_all_classes_with_quiet_between(seed: int) -> None:
    """Fifty seconds hold at least four episodes, all classes, and two quiet seconds around each."""
    scene = Scene(seed)
    boxes = [scene.boxes(index) for index in range(scene.frames)]
    stays = scene.episodes(boxes)
    numbers = sorted({stay.episode for stay in stays})

    assert 1250 == scene.frames
    assert len(numbers) >= 4
    assert set(LABELS) == {stay.label for stay in stays}
    spans = [
        (
            min(stay.start_frame for stay in stays if stay.episode == number),
            max(stay.end_frame for stay in stays if stay.episode == number),
        )
        for number in numbers
    ]
    gaps = [later[0] - sooner[1] for sooner, later in itertools.pairwise(spans)]
    around = scene.frames - spans[-1][1] + spans[0][0]
    assert min([*gaps, around]) >= 50


@pytest.mark.parametrize("seed", range(1, 5))
def test_objects_come_from_outside_and_leave(seed: int) -> None:
    """Each object first shows at an edge of the picture, crosses it, and leaves at an edge."""
    scene = Scene(seed)
    boxes = [scene.boxes(index) for index in range(scene.frames)]
    for stay in scene.episodes(boxes):
        first = next(b for b in boxes[stay.start_frame] if b.object == stay.object)
        last = next(b for b in boxes[stay.end_frame] if b.object == stay.object)

        for box in (first, last):
            # Between two frames the fastest moves some pixels past the edge it entered at.
            assert box.x < 15 or box.x + box.w > scene.size[0] - 15


def test_boxes_are_the_same_with_and_without_drawing() -> None:
    """The cheap way to the truth gives what drawing gives."""
    scene = Scene(3, seconds=30, size=SIZE)
    for index in range(0, scene.frames, 37):
        assert scene.render(index)[1] == scene.boxes(index)


def test_every_object_in_view_is_truth_or_glimpse() -> None:
    """An object that comes in is a glimpse first and truth then, and never both in one frame."""
    scene = Scene(5)
    glimpsed = 0
    for index in range(scene.frames):
        demanded = {box.object for box in scene.boxes(index)}
        small = {box.object for box in scene.glimpses(index)}
        glimpsed += bool(small)

        assert not demanded & small
    assert glimpsed > 20


def test_truth_is_where_the_picture_changed() -> None:
    """What differs from the empty place lies in the boxes or in the shadows under them."""
    scene = Scene(11, size=SIZE)
    empty, present = scene.render(0)
    shares = []

    assert [] == present
    for index in range(0, scene.frames, 25):
        image, boxes = scene.render(index)
        mask = changed(empty, image)
        for box in boxes:
            inside = mask[int(box.y) : int(box.y + box.h) + 1, int(box.x) : int(box.x + box.w) + 1]
            shares.append(inside.mean())
        for box in boxes:
            blank_out(mask, box)
        # The swaying tree is the only other thing that moves.
        assert mask.mean() < 0.004
    # Some objects are hardly darker or lighter than the ground; a box is never without one.
    assert len(shares) > 15
    assert min(shares) > 0.02
    assert np.median(shares) > 0.3


def blank_out(mask: np.ndarray, box: TruthBox) -> None:
    """Remove a box and the shadow around its foot from a mask."""
    margin = 0.12 * max(box.w, box.h) + 4
    top, bottom = int(max(box.y - 4, 0)), int(box.y + box.h + margin + 1)
    mask[top:bottom, int(max(box.x - margin, 0)) : int(box.x + box.w + margin + 1)] = False


def test_quiet_frames_still_have_noise() -> None:
    """No two frames are alike, as with a real sensor; a gate has to see past that."""
    scene = Scene(4, seconds=20, size=SIZE)
    difference = scene.render(0)[0].astype(np.int16) - scene.render(1)[0]

    assert 1.5 < difference.std() < 6


def test_loop_closes() -> None:
    """The frame after the last is the first, and the light has not jumped."""
    scene = Scene(4, seconds=20, size=SIZE)
    last, first = scene.render(scene.frames - 1)[0], scene.render(0)[0]

    assert np.array_equal(first, scene.render(scene.frames)[0])
    assert abs(float(last.mean()) - float(first.mean())) < 0.5


# -- video files ----------------------------------------------------------------------------------


def frames_of(video: Path) -> list[np.ndarray]:
    """Decode a whole video."""
    capture = cv2.VideoCapture(str(video))
    images: list[np.ndarray] = []
    while True:
        present, image = capture.read()
        if not present:
            return images
        images.append(image)


def test_video_is_what_the_scene_drew(tmp_path: Path) -> None:
    """Every frame is in the file, close to the drawing, with its truth beside it."""
    video = tmp_path / "scene.mp4"
    encoder = write_video(video, 9, seconds=8, size=SIZE)
    scene, truth, images = Scene(9, seconds=8, size=SIZE), read_truth(video), frames_of(video)

    assert truth.encoder == encoder
    assert (200, 25.0, *SIZE) == (truth.frames, truth.fps, truth.width, truth.height)
    assert 200 == len(images) == len(truth.boxes)
    assert truth.episodes
    for index in range(0, 200, 20):
        drawn, boxes = scene.render(index)
        assert truth.boxes[index] == boxes
        assert np.abs(images[index].astype(np.int16) - drawn).mean() < 6


def test_video_is_written_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ffmpeg is missing OpenCV writes the file, and the truth says with what."""
    monkeypatch.setenv("PATH", str(tmp_path))
    video = tmp_path / "scene.mp4"
    encoder = write_video(video, 9, seconds=2, size=SIZE)

    assert encoder in ("avc1", "mp4v")
    assert encoder == read_truth(video).encoder
    assert 50 == len(frames_of(video))


def test_a_broken_ffmpeg_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that cannot encode H.264 does not stop the video from being made."""
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    video = tmp_path / "scene.mp4"

    assert "libx264" != write_video(video, 9, seconds=2, size=SIZE)
    assert 50 == len(frames_of(video))


def test_a_video_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no encoder can write, the error names the file and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "scene.mp4").mkdir()

    with pytest.raises(OSError, match=r"scene\.mp4: install ffmpeg"):
        write_video(tmp_path / "scene.mp4", 9, seconds=1, size=SIZE)


def test_command_line_names_what_it_wrote(tmp_path: Path) -> None:
    """The command writes video and truth and lists the stays."""
    video = tmp_path / "deep" / "scene.mp4"
    command = [sys.executable, "-m", "devices.scenes", str(video), "--seed", "3"]
    done = subprocess.run(
        [*command, "--seconds", "6", "--size", "320x192"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "150 frames" in done.stdout
    assert video.exists()
    assert truth_path(video).exists()
