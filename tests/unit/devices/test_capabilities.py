"""Tests of the capability nouns."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from devices.capabilities import CameraState, CameraStatus, MotionEvent, Region


def test_importing_capabilities_needs_no_numpy() -> None:
    """The base install, which has neither numpy nor cv2, can name what devices do."""
    code = (
        "import sys; import devices.capabilities, devices.inventory, devices.detection;"
        "print(sorted({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_status_and_event_are_json_ready() -> None:
    """What the console shows of a camera can be written as JSON and read back."""
    status = CameraStatus(CameraState.LOST, 640, 360, 25.0, 7, 1_000, 2, "the cable is cut")
    event = MotionEvent("front", "front-1000", 1_000, 0.25, Region(0.0, 0.1, 0.5, 0.5))

    assert status == msgspec.json.decode(msgspec.json.encode(status), type=CameraStatus)
    assert event == msgspec.json.decode(msgspec.json.encode(event), type=MotionEvent)
