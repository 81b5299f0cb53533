"""Devices are opened each in its own time, and shown whatever became of them."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from devices.capabilities import Surroundings
from devices.errors import Refused
from devices.inventory import Entry, Inventory
from devices.simulated.camera import SimulatedCamera
from devices.simulated.controller import SimulatedController
from devices.simulated.detector import SimulatedDetector
from edge import equipment
from edge.equipment import Equipment, _capability
from edge.model.errors import NoPicture, NotFound


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A driver without settings."""


class Status(msgspec.Struct):
    """What the double's camera says."""

    state: str
    last_frame_ms: int
    message: str


class Camera:
    """A camera without a picture."""

    settings_type = NoSettings

    def __init__(self, name: str, settings: NoSettings, surroundings: Surroundings) -> None:
        self.closed = False

    def connect(self) -> None:
        """Always there."""

    def close(self) -> None:
        self.closed = True

    def status(self) -> Status:
        return Status("lost", 7, "cable out")

    def snapshot(self) -> None:
        """No frame at present."""


class Detector(Camera):
    """Has no picture by its nature."""

    snapshot = None  # type: ignore[assignment]
    status = None  # type: ignore[assignment]

    def __init__(self, name: str, settings: NoSettings, surroundings: Surroundings) -> None:
        super().__init__(name, settings, surroundings)

    def detect(self) -> None:
        """What detectors do."""


class Hopeless(Camera):
    """Cannot be opened."""

    def connect(self) -> None:
        raise Refused("the setting 'source' names no file")


class Buggy(Camera):
    """A driver with a fault of its own."""

    def connect(self) -> None:
        raise ZeroDivisionError("oops")


class Hanging(Camera):
    """Answers nothing until the test lets it."""

    answers = threading.Event()

    def connect(self) -> None:
        self.answers.wait()


class Clinging(Camera):
    """Does not let go, and has a status that fails."""

    answers = threading.Event()

    def close(self) -> None:
        self.answers.wait()

    def status(self) -> Status:
        raise KeyError("no such register")


def inventory(**classes: type) -> Inventory:
    """An inventory of these classes, which stand in this module."""
    entries = {
        name: Entry(name, kind.__name__, f"{__name__}:{kind.__name__}", {})
        for name, kind in classes.items()
    }
    return Inventory(entries, Surroundings(lambda: 0, lambda: 0.0, Path()))


def test_one_broken_device_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is shown with its own state and reason, and the daemon's loop goes on."""
    # Tests are imported by path; a driver is imported by name.
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())

    async def main() -> None:
        opened: list[str] = []
        rooms = Equipment(
            inventory(front=Camera, bad=Hopeless, worse=Buggy),
            lambda name, device: opened.append(name),
        )
        before = rooms.statuses()
        await rooms.run()
        after = {one["name"]: one for one in rooms.statuses()}

        assert ["connecting"] * 3 == [one["status"]["state"] for one in before]
        assert ["front"] == opened
        assert {"state": "lost", "lastFrameMs": 7, "message": "cable out"} == after["front"][
            "status"
        ]
        assert ("camera", "Camera") == (after["front"]["capability"], after["front"]["driver"])
        assert "names no file" in after["bad"]["status"]["message"]
        assert "broken" == after["worse"]["status"]["state"]
        assert (
            "device 'worse': a fault in the driver 'Buggy': ZeroDivisionError: oops"
            == after["worse"]["status"]["message"]
        )
        with pytest.raises(NotFound):
            await rooms.snapshot("nobody")
        with pytest.raises(NoPicture, match="cable out"):
            await rooms.snapshot("front")
        with pytest.raises(NoPicture, match="names no file"):
            await rooms.snapshot("bad")
        await rooms.close()

    asyncio.run(main())


def test_drivers_that_hang_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are: others are opened, it is said who hangs, and closing comes to an end.

    Twenty would fill asyncio's pool of threads, of which a small machine has six.
    """
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())
    monkeypatch.setattr(equipment, "_SILENT_S", 0.05)
    monkeypatch.setattr(equipment, "_CLOSE_S", 0.05)
    hanging: dict[str, type] = {f"silent{number}": Hanging for number in range(20)}

    async def main() -> None:
        opened = asyncio.Event()
        rooms = Equipment(
            inventory(**hanging, clinging=Clinging, front=Camera),
            lambda name, device: opened.set() if name == "front" else None,
        )
        with structlog.testing.capture_logs() as lines:
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                running = group.create_task(rooms.run())
                await opened.wait()
                while len([one for one in lines if one["event"] == "device_silent"]) < 20:
                    await asyncio.sleep(0.01)
                shown = {one["name"]: one["status"] for one in rooms.statuses()}
                running.cancel()
                await rooms.close()

        assert "connecting" == shown["silent0"]["state"]
        assert "look at the device and its cable" in shown["silent0"]["message"]
        assert "KeyError: 'no such register'" in shown["clinging"]["message"]
        assert "lost" == shown["front"]["state"]
        assert ["clinging"] == [
            one["device"] for one in lines if one["event"] == "device_not_closed"
        ]

    try:
        asyncio.run(main())
    finally:
        Hanging.answers.set()
        Clinging.answers.set()


def _this_module() -> Any:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.parametrize(
    ("device", "capability"),
    [
        (None, ""),
        (object(), ""),
        (SimulatedController, "controller"),
        (SimulatedDetector, "detector"),
        (SimulatedCamera, "camera"),
    ],
)
def test_a_capability_is_told_by_what_a_device_offers(device: object, capability: str) -> None:
    """By no name: a driver may be anybody's."""
    assert capability == _capability(device)
