"""Tests of the handlers, with the twins of camera and detector and a clock that is moved by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from devices.capabilities import MotionEvent, Surroundings
from devices.errors import Refused, Unreachable
from devices.simulated.camera import SimulatedCamera, SimulatedCameraSettings
from devices.simulated.detector import SimulatedDetector, SimulatedDetectorSettings
from workflows.evidence import EvidenceStore
from workflows.task import TaskFailed, TaskRejected
from workflows.video_analysis import handlers
from workflows.video_analysis.handlers import HANDLERS


class _World:
    """Twins, a store, and time that passes whenever a handler says that it is alive."""

    def __init__(self, folder: Path) -> None:
        self.ms = 1_000_000
        surroundings = Surroundings(lambda: self.ms, lambda: self.ms / 1000, folder)
        settings = SimulatedCameraSettings(by_hand=True, pre_roll_s=2, post_roll_s=4)
        self.camera = SimulatedCamera("front", settings, surroundings)
        self.detector = SimulatedDetector("eye", SimulatedDetectorSettings(), surroundings)
        self.folder = folder
        self.store = EvidenceStore(folder / "evidence", 10**9, 10**6)
        self.events: list[MotionEvent] = []
        self.camera.watch(self.events.append)
        self.camera.connect()
        self.detector.connect()

    def pass_frames(self, count: int) -> None:
        """Let the camera take so many frames, a tenth of a second apart."""
        for _ in range(count):
            self.camera.step()
            self.ms += 100

    def until_motion(self) -> dict[str, Any]:
        """Let time pass until something moves; give the workflow's input."""
        while not self.events:
            self.pass_frames(1)
        event = self.events[0]
        return {"camera": "front", "event_id": event.event_id, "started_ms": event.started_ms}

    def lose_power(self) -> None:
        """Lose what was in memory; what is on disk stays."""
        self.camera.cut_power()
        self.store = EvidenceStore(self.folder / "evidence", 10**9, 10**6)

    def run(self, name: str, **task_input: Any) -> dict[str, Any]:
        """Run a handler; its output must survive a round trip through JSON."""
        output = HANDLERS[name](_Context(self, task_input))
        assert output == json.loads(json.dumps(output))
        return output

    def run_to_tracks(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Run the first three tasks; give the input, the clip and the tracks."""
        wanted = self.until_motion()
        clip = self.run("video_clip", **wanted)["clip"]
        detected = self.run(
            "video_detect", event_id=wanted["event_id"], detector="eye", clip=clip, detect_fps=5
        )
        return wanted, clip, self.run("video_track", clip=clip, detections=detected["detections"])


class _Context:
    """A task's context in that world."""

    workflow_id = "workflow-1"
    task_id = "task-1"
    attempt = 0

    def __init__(
        self, world: _World, task_input: dict[str, Any], is_cancelled: bool = False
    ) -> None:
        self.world = world
        self.input = task_input
        self.cancelled = is_cancelled
        self.lines: list[str] = []

    @property
    def evidence(self) -> EvidenceStore:
        return self.world.store

    def device(self, name: str) -> Any:
        devices = {"front": self.world.camera, "eye": self.world.detector}
        if name not in devices:
            message = f"there is no device {name!r}"
            raise Refused(message)
        return devices[name]

    def log(self, line: str) -> None:
        self.lines.append(line)

    def heartbeat(self) -> None:
        self.world.pass_frames(10)

    def now_ms(self) -> int:
        return self.world.ms


@pytest.fixture
def world(tmp_path: Path) -> _World:
    """Give a world."""
    return _World(tmp_path)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("video_clip", {"camera": "eye"}, "wrong input camera: the device 'eye' is no camera; nam"),
        ("video_clip", {"event_id": None}, "wrong input event_id: Expected `str`, got `null`"),
        ("video_clip", {"event_id": "../e"}, "wrong input event_id: Expected `str` matching"),
        ("video_detect", {"detector": "front"}, "wrong input detector: the device 'front' is no d"),
    ],
)
def test_a_wrong_input_is_named(
    world: _World, name: str, wrong: dict[str, Any], words: str
) -> None:
    """It ends the task for good: no further attempt would have another input."""
    wanted = world.until_motion()
    clip = world.run("video_clip", **wanted)["clip"]
    if name == "video_clip":
        world.store.drop(clip["key"])
    given = {**wanted, "detector": "eye", "clip": clip, **wrong}

    with pytest.raises(TaskRejected, match=re.escape(words)):
        world.run(name, **given)


def test_the_clip_is_taken_with_pre_roll_and_post_roll(world: _World) -> None:
    """The handler waits for the post-roll and stores a whole clip under the event's key."""
    wanted = world.until_motion()

    output = world.run("video_clip", **wanted)

    clip, evidence = output["clip"], output["evidence"]
    assert clip["complete"], clip["reason"]
    assert clip["start_ms"] == pytest.approx(wanted["started_ms"] - 2_000, abs=100)
    assert clip["end_ms"] == pytest.approx(wanted["started_ms"] + 4_000, abs=100)
    assert f"{wanted['event_id']}/clip.mp4" == evidence["key"] == clip["key"]
    assert "video/mp4" == evidence["media_type"]
    assert evidence["size_bytes"] == world.store.path_of(clip["key"]).stat().st_size


def test_running_the_clip_again_after_a_power_cut_finds_the_file(world: _World) -> None:
    """What was stored before the power went is the answer, though the ring is empty now."""
    wanted = world.until_motion()
    first = world.run("video_clip", **wanted)

    world.lose_power()

    assert first == world.run("video_clip", **wanted)


def test_a_clip_that_neither_ring_nor_store_has_is_rejected(world: _World) -> None:
    """After a power cut before the clip was stored, no retry can help, and the reason says so."""
    wanted = world.until_motion()
    world.lose_power()
    world.ms += 60_000
    world.camera.restore()
    world.pass_frames(5)

    with pytest.raises(TaskRejected, match="neither the camera's ring nor the evidence store"):
        world.run("video_clip", **wanted)


def test_a_camera_lost_during_the_post_roll_gives_what_there_is(world: _World) -> None:
    """The clip ends early and says so, instead of waiting for ever."""
    wanted = world.until_motion()
    world.pass_frames(5)
    world.camera.lose()

    clip = world.run("video_clip", **wanted)["clip"]

    assert not clip["complete"]
    assert "before the end" in clip["reason"]


def test_waiting_can_be_cancelled(world: _World) -> None:
    """A workflow that was terminated does not hold a worker."""
    wanted = world.until_motion()

    with pytest.raises(TaskFailed, match="cancelled"):
        HANDLERS["video_clip"](_Context(world, wanted, is_cancelled=True))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"event_id": "../../etc"}, "event_id"),
        ({"started_ms": "soon"}, "started_ms"),
        ({"camera": None}, "camera"),
        ({"pre_roll_s": -1}, "pre_roll_s"),
        ({"started_ms": 10**13}, "far in the future"),
    ],
)
def test_wrong_input_is_rejected_by_its_name(
    world: _World, change: dict[str, Any], word: str
) -> None:
    """A field of the wrong kind ends the task with the field's name."""
    wanted = {**world.until_motion(), **change}

    with pytest.raises(TaskRejected, match=word):
        world.run("video_clip", **wanted)


def test_an_unknown_camera_is_what_the_inventory_says(world: _World) -> None:
    """Device errors pass through to the engine, which knows what they mean."""
    wanted = {**world.until_motion(), "camera": "back"}

    with pytest.raises(Refused, match="back"):
        world.run("video_clip", **wanted)


def test_the_visitor_is_detected_tracked_and_described(world: _World) -> None:
    """What the twin scene shows is what the analysis says, from side to side."""
    _, _, tracked = world.run_to_tracks()

    assert "objects" == tracked["verdict"]
    assert 1 == tracked["count"] == len(tracked["tracks"])
    truth = next(one for n in range(200) for one in world.camera.scene.truth(n))
    one = tracked["tracks"][0]
    assert (truth.label, "left", "right") == (one["label"], one["entered"], one["left"])
    # The visitor crosses 160 pixels and its own width in 40 frames of a tenth of a second.
    assert one["speed_px_s"] == pytest.approx((160 + 45) / 4, rel=0.25)
    assert truth.label in tracked["description"]
    assert 1 == len(tracked["best"]["boxes"])


def test_a_clip_without_anything_is_empty(world: _World) -> None:
    """Noise alone gives the verdict empty, without tracks and without a best moment."""
    world.pass_frames(60)
    clip = world.run("video_clip", camera="front", event_id="e1", started_ms=world.ms - 4_000)

    detected = world.run("video_detect", event_id="e1", detector="eye", clip=clip["clip"])
    tracked = world.run("video_track", clip=clip["clip"], detections=detected["detections"])

    assert "empty" == tracked["verdict"]
    assert "Nothing was found." == tracked["description"]
    assert tracked["best"] is None


def test_detecting_twice_writes_the_same_file(world: _World) -> None:
    """Done again after a power cut, the boxes and their hash are the same."""
    wanted = world.until_motion()
    clip = world.run("video_clip", **wanted)["clip"]
    asked = {"event_id": wanted["event_id"], "detector": "eye", "clip": clip}

    first = world.run("video_detect", **asked)

    assert first["evidence"] == world.run("video_detect", **asked)["evidence"]
    assert first["frames"] > 25
    assert first["boxes"] > 5
    assert "twin" == first["detector"]["model"]


def test_many_detections_travel_as_a_file(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the output names the file, and the tracks come out the same."""
    wanted, clip, tracked = world.run_to_tracks()
    monkeypatch.setattr(handlers, "MAX_INLINE_FRAMES", 10)

    detected = world.run(
        "video_detect", event_id=wanted["event_id"], detector="eye", clip=clip, detect_fps=5
    )

    assert detected["detections"] is None
    again = world.run("video_track", clip=clip, detections_key=detected["detections_key"])
    assert tracked == again


def test_a_detector_that_is_away_can_be_tried_again(world: _World) -> None:
    """An accelerator that does not answer is unreachable, so the task is retried."""
    wanted = world.until_motion()
    clip = world.run("video_clip", **wanted)["clip"]
    world.detector.lose()

    with pytest.raises(Unreachable):
        world.run("video_detect", event_id=wanted["event_id"], detector="eye", clip=clip)


def test_the_snapshot_is_a_small_jpeg_with_the_visitor(world: _World) -> None:
    """The picture is within its limits, and drawing it twice gives the same bytes."""
    wanted, clip, tracked = world.run_to_tracks()
    asked = {"event_id": wanted["event_id"], "clip": clip, "best": tracked["best"]}

    evidence = world.run("video_snapshot", **asked)["evidence"]

    assert "image/jpeg" == evidence["media_type"]
    assert evidence["size_bytes"] <= handlers.SNAPSHOT_BYTES
    data = world.store.path_of(evidence["key"]).read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert (90, 160, 3) == image.shape
    assert evidence == world.run("video_snapshot", **asked)["evidence"]


def test_keeping_pins_the_clip(world: _World) -> None:
    """Kept clips survive their age; keeping twice is keeping once."""
    _, clip, _ = world.run_to_tracks()

    first = world.run("video_keep", clip=clip)

    assert first == world.run("video_keep", clip=clip)
    assert world.store.is_pinned(clip["key"])


def test_discarding_drops_everything_of_the_event(world: _World) -> None:
    """Clip, its description and the boxes go; discarding twice is discarding once."""
    _, clip, _ = world.run_to_tracks()

    first = world.run("video_discard", clip=clip)

    assert 3 == len(first["dropped"])
    assert {"dropped": []} == world.run("video_discard", clip=clip)
    assert world.store.find(clip["key"]) is None


@pytest.mark.parametrize("name", ["video_detect", "video_snapshot", "video_keep"])
def test_a_clip_that_was_swept_away_is_rejected(world: _World, name: str) -> None:
    """Tasks that need the clip's file say that it is gone; no retry brings it back."""
    wanted, clip, tracked = world.run_to_tracks()
    world.run("video_discard", clip=clip)

    with pytest.raises(TaskRejected, match="no longer in the evidence store"):
        world.run(
            name,
            event_id=wanted["event_id"],
            clip=clip,
            detector="eye",
            best=tracked["best"],
        )


def test_detections_that_cannot_be_read_are_rejected(world: _World) -> None:
    """A missing or broken file of boxes is named."""
    _, clip, _ = world.run_to_tracks()
    world.store.write("e/broken.json", b"[1, 2")

    for key in ("e/none.json", "e/broken.json", "../x"):
        with pytest.raises(TaskRejected, match="cannot be read"):
            world.run("video_track", clip=clip, detections_key=key)


def test_a_clip_that_cannot_be_decoded_is_refused(world: _World) -> None:
    """A damaged file ends the task, saying which file it is."""
    wanted, clip, _ = world.run_to_tracks()
    world.store.write(clip["key"], b"not a film")

    with pytest.raises(Refused, match="not a video"):
        world.run("video_detect", event_id=wanted["event_id"], detector="eye", clip=clip)
