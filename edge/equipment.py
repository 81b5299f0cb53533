"""The devices of the inventory while the daemon runs: opened one by one, shown, closed together.

What a device does is its driver's affair; nothing here knows a particular one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from devices.errors import DeviceError, Unreachable
from devices.inventory import Inventory
from edge.model.errors import IllegalState, NotFound

_log = structlog.get_logger(__name__)

_TRY_AGAIN_S = 10.0
"""Wait before a device that could not be reached is opened again."""

_PICTURE_WIDTH = 640
_PICTURE_QUALITY = 70
_PICTURE_BYTES = 150_000


class Equipment:
    """All devices of one inventory.

    Args:
        inventory: opens them.
        opened: called on the event loop with name and device when one has been opened.
    """

    def __init__(self, inventory: Inventory, opened: Callable[[str, Any], None]) -> None:
        self._inventory = inventory
        self._opened = opened
        self._faults: dict[str, str] = {}
        self._open: dict[str, Any] = {}

    async def run(self) -> None:
        """Open every device, each in its own time; one that fails holds up no other."""
        async with asyncio.TaskGroup() as group:
            for name in self._inventory:
                group.create_task(self._open_one(name))

    async def close(self) -> None:
        """Close all that are open."""
        await asyncio.to_thread(self._inventory.close)

    def statuses(self) -> list[dict[str, Any]]:
        """One entry a device, as JSON: ``name, driver, capability, status``."""
        return [
            {
                "name": name,
                "driver": self._inventory.entry(name).driver,
                "capability": _capability(self._open.get(name)),
                "status": self._status(name),
            }
            for name in self._inventory
        ]

    async def snapshot(self, name: str) -> bytes:
        """A device's picture as it is now, as JPEG.

        Raises:
            NotFound: there is no such device, or it has no picture by its nature.
            IllegalState: it has none at present.
        """
        if name not in self._inventory:
            raise NotFound(f"There is no device {name[:80]!r}")
        device = self._open.get(name)
        if device is not None and _capability(device) != "camera":
            raise NotFound(f"The device {name!r} has no picture")
        frame = None if device is None else device.snapshot()
        if frame is None:
            reason = self._status(name).get("message") or "no frame has arrived"
            raise IllegalState(f"The camera {name!r} has no picture now: {reason}")
        return await asyncio.to_thread(_jpeg, frame.image)

    async def _open_one(self, name: str) -> None:
        while True:
            try:
                device = await asyncio.to_thread(self._inventory.open, name)
            except Unreachable as error:
                self._note_fault(name, error)
                await asyncio.sleep(_TRY_AGAIN_S)
            except DeviceError as error:
                self._note_fault(name, error)
                return
            except Exception as error:  # noqa: BLE001 - a rim: a driver may be anybody's
                self._note_fault(name, error)
                return
            else:
                break
        self._faults.pop(name, None)
        self._open[name] = device
        _log.info("device_opened", device=name)
        self._opened(name, device)

    def _note_fault(self, name: str, error: Exception) -> None:
        self._faults[name] = str(error)
        _log.warning("device_not_opened", device=name, reason=str(error))

    def _status(self, name: str) -> dict[str, Any]:
        fault, device = self._faults.get(name), self._open.get(name)
        if fault is not None:
            return {"state": "broken", "message": fault}
        if device is None:
            return {"state": "connecting", "message": ""}
        ask = getattr(device, "status", None)
        if ask is None:
            return {"state": "online", "message": ""}
        shown = msgspec.to_builtins(ask())
        return {_camel(key): value for key, value in shown.items()}


def _capability(device: Any) -> str:
    """By what the device offers, as the Protocols of the capabilities are told apart."""
    if device is None:
        return ""
    if hasattr(device, "snapshot"):
        return "camera"
    return "detector" if hasattr(device, "detect") else ""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _jpeg(image: Any) -> bytes:
    """Imported when the first picture is asked for: it brings OpenCV along."""
    from devices.drivers.still_picture import annotated_jpeg

    return annotated_jpeg(
        image,
        [],
        max_width=_PICTURE_WIDTH,
        quality=_PICTURE_QUALITY,
        max_bytes=_PICTURE_BYTES,
    )
