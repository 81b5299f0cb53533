"""Devices are opened each in its own time, and shown whatever became of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.capabilities import Surroundings
from devices.errors import Refused
from devices.inventory import Entry, Inventory
from edge.equipment import Equipment
from edge.model.errors import IllegalState, NotFound


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


def inventory(**classes: type) -> Inventory:
    """An inventory of these classes, which stand in this module."""
    entries = {
        name: Entry(name, kind.__name__, f"{__name__}:{kind.__name__}", {})
        for name, kind in classes.items()
    }
    return Inventory(entries, Surroundings(lambda: 0, lambda: 0.0, Path()))


def test_one_broken_device_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is shown with its own state and reason, and the daemon's loop goes on."""
    import sys

    # Tests are imported by path; a driver is imported by name.
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())

    async def main() -> None:
        opened: list[str] = []
        equipment = Equipment(
            inventory(front=Camera, bad=Hopeless, worse=Buggy),
            lambda name, device: opened.append(name),
        )
        before = equipment.statuses()
        await equipment.run()
        after = {one["name"]: one for one in equipment.statuses()}

        assert ["connecting"] * 3 == [one["status"]["state"] for one in before]
        assert ["front"] == opened
        assert {"state": "lost", "lastFrameMs": 7, "message": "cable out"} == after["front"][
            "status"
        ]
        assert ("camera", "Camera") == (after["front"]["capability"], after["front"]["driver"])
        assert "names no file" in after["bad"]["status"]["message"]
        assert ("broken", "oops") == (
            after["worse"]["status"]["state"],
            after["worse"]["status"]["message"],
        )
        with pytest.raises(NotFound):
            await equipment.snapshot("nobody")
        with pytest.raises(IllegalState, match="cable out"):
            await equipment.snapshot("front")
        with pytest.raises(IllegalState, match="names no file"):
            await equipment.snapshot("bad")
        await equipment.close()

    asyncio.run(main())


def _this_module() -> Any:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module
