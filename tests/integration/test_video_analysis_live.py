"""The analysis on a real film: file camera, motion, and all handlers with the bundled model."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from devices.capabilities import MotionEvent
from devices.inventory import Inventory
from devices.scenes import read_truth, write_video
from workflows.evidence import EvidenceStore
from workflows.video_analysis.handlers import HANDLERS

_BEGIN_MS = 1_700_000_000_000

_DEVICES = """
[front]
driver = "camera"
source = "scene.mp4"
loop = true
pre_roll_s = 3
post_roll_s = 5

[eye]
driver = "onnx-detector"
"""


def _now_ms() -> int:
    return _BEGIN_MS + round(time.monotonic() * 1000)


class _Context:
    """A task's context over a real inventory and a real store."""

    workflow_id = "workflow-1"
    task_id = "task-1"
    attempt = 0
    cancelled = False

    def __init__(self, inventory: Inventory, store: EvidenceStore, task_input: Any) -> None:
        self.inventory = inventory
        self.evidence = store
        self.input = task_input

    def device(self, name: str) -> Any:
        return self.inventory.open(name)

    def log(self, line: str) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def now_ms(self) -> int:
        return _now_ms()


@pytest.mark.timeout(90)
def test_a_car_on_film_is_seen_followed_and_drawn(tmp_path: Path) -> None:
    """From the motion to the snapshot, the analysis says what the film's truth says."""
    write_video(tmp_path / "scene.mp4", seed=7, seconds=10)
    truth = read_truth(tmp_path / "scene.mp4").episodes
    (tmp_path / "devices.toml").write_text(_DEVICES)
    inventory = Inventory.load(
        tmp_path / "devices.toml", clock_ms=_now_ms, monotonic_s=time.monotonic
    )
    store = EvidenceStore(tmp_path / "evidence", 10**9, 10**6)
    told: list[MotionEvent] = []
    moved = threading.Event()

    def note(event: MotionEvent) -> None:
        told.append(event)
        moved.set()

    def run(name: str, **task_input: Any) -> dict[str, Any]:
        return HANDLERS[name](_Context(inventory, store, task_input))

    inventory.open("front").watch(note)
    assert moved.wait(30)
    event_id = told[0].event_id
    clip = run("video_clip", camera="front", event_id=event_id, started_ms=told[0].started_ms)
    detected = run("video_detect", event_id=event_id, detector="eye", **_only(clip, "clip"))
    tracked = run("video_track", **_only(clip, "clip"), **_only(detected, "detections"))
    inventory.close()

    assert clip["clip"]["complete"], clip["clip"]["reason"]
    assert "objects" == tracked["verdict"]
    assert [one.label for one in truth] == [one["label"] for one in tracked["tracks"]]
    shown_s = (truth[0].end_frame - truth[0].start_frame) / 25
    assert tracked["tracks"][0]["duration_s"] == pytest.approx(shown_s, abs=0.8)
    shot = run(
        "video_snapshot", event_id=event_id, **_only(clip, "clip"), **_only(tracked, "best")
    )["evidence"]
    data = store.path_of(shot["key"]).read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert (360, 640, 3) == image.shape
    assert shot["size_bytes"] < 60_000


def _only(output: dict[str, Any], key: str) -> dict[str, Any]:
    """Take one entry of an output as the next task's input."""
    return {key: output[key]}
