"""The devices of the inventory while the daemon runs: opened one by one, shown, closed together.

What a device does is its driver's affair; nothing here knows a particular one. A driver may hang:
each is asked on a thread of its own, for which neither the others nor the end of the daemon wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from devices.errors import DeviceError, Unreachable
from devices.inventory import Inventory
from edge.cores import HOME
from edge.model.errors import NoPicture, NotFound

_log = structlog.get_logger(__name__)

_TRY_AGAIN_S = 10.0
"""Wait before a device that could not be reached is opened again."""

_SILENT_S = 15.0
"""A driver that takes longer to connect is shown as silent; OpenCV gives a network camera 5 s."""

_CLOSE_S = 10.0
"""What drivers get to close, all at once; a camera waits 9 s for a read that is under way."""

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
        self._silent: dict[str, str] = {}
        self._open: dict[str, Any] = {}

    async def run(self) -> None:
        """Open every device, each in its own time; one that fails holds up no other."""
        async with asyncio.TaskGroup() as group:
            for name in self._inventory:
                group.create_task(self._open_one(name))

    async def close(self) -> None:
        """Close all that are open, at the same time; who hangs is left behind, and named."""
        closing = {
            _ask(f"close-{name}", partial(self._inventory.close_one, name)): name
            for name in self._inventory.opened()
        }
        if not closing:
            return
        done, silent = await asyncio.wait(closing, timeout=_CLOSE_S)
        for future in silent:
            _log.warning("device_not_closed", device=closing[future], waited_s=_CLOSE_S)
        for future in done:
            if (error := future.exception()) is not None:
                _log.warning("device_not_closed", device=closing[future], reason=_said(error))

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
            NoPicture: it has none at present.
        """
        if name not in self._inventory:
            raise NotFound(f"There is no device {name[:80]!r}")
        device = self._open.get(name)
        if device is not None and _capability(device) != "camera":
            raise NotFound(f"The device {name!r} has no picture")
        frame = None if device is None else device.snapshot()
        if frame is None:
            reason = self._status(name).get("message") or "no frame has arrived"
            raise NoPicture(f"The camera {name!r} has no picture now: {reason}")
        return await asyncio.to_thread(_jpeg, frame.image)

    async def _open_one(self, name: str) -> None:
        while True:
            try:
                device = await self._opening(name)
            except Unreachable as error:
                self._note_fault(name, str(error))
                await asyncio.sleep(_TRY_AGAIN_S)
            except DeviceError as error:
                self._note_fault(name, str(error))
                return
            except Exception as error:  # noqa: BLE001 - a rim: a driver may be anybody's
                self._note_fault(name, self._fault_of_driver(name, error))
                _log.error("driver_failed", device=name, exc_info=error)
                return
            else:
                break
        self._faults.pop(name, None)
        self._open[name] = device
        _log.info("device_opened", device=name)
        self._opened(name, device)

    async def _opening(self, name: str) -> Any:
        """Open a device; one that takes long is told of meanwhile."""
        opening = _ask(f"open-{name}", partial(self._inventory.open, name))
        await asyncio.wait([opening], timeout=_SILENT_S)
        if not opening.done():
            self._silent[name] = (
                f"the driver has not connected for more than {_SILENT_S:g} s; "
                "look at the device and its cable"
            )
            _log.warning("device_silent", device=name, reason=self._silent[name])
        try:
            return await opening
        finally:
            self._silent.pop(name, None)

    def _note_fault(self, name: str, reason: str) -> None:
        self._faults[name] = reason
        _log.warning("device_not_opened", device=name, reason=reason)

    def _fault_of_driver(self, name: str, error: BaseException) -> str:
        driver = self._inventory.entry(name).driver
        return f"device {name!r}: a fault in the driver {driver!r}: {_said(error)}"

    def _status(self, name: str) -> dict[str, Any]:
        fault, device = self._faults.get(name), self._open.get(name)
        if fault is not None:
            return {"state": "broken", "message": fault}
        if device is None:
            return {"state": "connecting", "message": self._silent.get(name, "")}
        ask = getattr(device, "status", None)
        if ask is None:
            return {"state": "online", "message": ""}
        try:
            shown = msgspec.to_builtins(ask())
            return {_camel(key): value for key, value in shown.items()}
        except Exception as error:  # noqa: BLE001 - a rim: a driver may be anybody's
            return {"state": "broken", "message": self._fault_of_driver(name, error)}


def _ask(what: str, call: Callable[[], Any]) -> asyncio.Future[Any]:
    """Have a driver do something on a thread of its own.

    A thread of asyncio's pool would be missing from all others who use it, and the end of the
    process would wait for it.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if answered.cancelled():
            return
        if error is None:
            answered.set_result(result)
        else:
            answered.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            # A camera films on threads that come from here.
            HOME.leave()
            result = call()
        except Exception as raised:  # noqa: BLE001 - a rim: it is raised where it is awaited
            error = raised
        # Who answers after the loop has ended is not heard any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=what, daemon=True).start()
    return answered


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _capability(device: Any) -> str:
    """By what the device offers, as the Protocols of the capabilities are told apart."""
    if device is None:
        return ""
    if hasattr(device, "snapshot"):
        return "camera"
    if hasattr(device, "detect"):
        return "detector"
    return "controller" if hasattr(device, "ask") else ""


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
