"""The devices that a site has: read from ``devices.toml``, opened by name, closed together.

No driver is imported here before a device that needs it is opened; a table of names stands for
them.

    [front]                     # the device's name
    driver = "camera"           # a name from DRIVERS, an entry point, or "module:Class"
    source = "demo/scene.mp4"   # the driver's own settings follow

A driver class offers ``settings_type`` (a msgspec Struct that forbids unknown fields) and is made
with ``Class(name, settings, surroundings)``.
"""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import msgspec

from devices.capabilities import Surroundings
from devices.errors import Refused, Unreachable

_CONNECT_S = 10.0
"""How long one caller waits for another that is connecting the same device. Loading a large model
takes a second or two; a driver that takes longer hangs, and would take one thread after another."""

DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        "camera": "devices.drivers.camera:VideoCamera",
        "onnx-detector": "devices.drivers.onnx_detector:OnnxDetector",
        "serial-controller": "devices.drivers.serial_controller:SerialController",
        "simulated-camera": "devices.simulated.camera:SimulatedCamera",
        "simulated-controller": "devices.simulated.controller:SimulatedController",
        "simulated-detector": "devices.simulated.detector:SimulatedDetector",
    }
)
"""Drivers that come with Baton."""

_NO_CHOICE = "Invalid enum value"

ENTRY_POINT_GROUP = "baton.drivers"
"""Where an installed package announces drivers of its own."""

# A device's name becomes part of topics, file names and event ids; these are safe in all.
DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

MAX_INVENTORY_BYTES = 1_000_000
"""A larger file is refused; it cannot be an inventory written for one site."""

MAX_DEVICES = 256
"""More devices than this are refused: each camera holds a thread and a ring in memory."""


class Entry(msgspec.Struct, frozen=True):
    """One device as the inventory describes it."""

    name: str
    driver: str
    """As written in the file."""

    target: str
    """``module:Class`` that the driver's name stands for."""

    settings: dict[str, Any]
    """The driver's own settings, not yet checked; the driver's struct knows them."""


class Inventory:
    """All devices of a site, each made and connected when it is first opened."""

    def __init__(self, entries: Mapping[str, Entry], surroundings: Surroundings) -> None:
        """Hold the entries; nothing is imported or opened yet."""
        self._entries = dict(entries)
        self._surroundings = surroundings
        self._devices: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._connecting = {name: threading.Lock() for name in self._entries}

    @classmethod
    def load(
        cls, path: Path, *, clock_ms: Callable[[], int], monotonic_s: Callable[[], float]
    ) -> Inventory:
        """Read an inventory file.

        Args:
            path: The TOML file; relative paths in it start from its folder.
            clock_ms: Wall clock in milliseconds that drivers stamp frames with.
            monotonic_s: Monotonic clock in seconds that drivers judge liveness by.

        Raises:
            Refused: The file is missing or wrong; the message names the device and the key.
        """
        tables = _read(path)
        try:
            entries = {name: _entry(name, table) for name, table in tables.items()}
        except Refused as error:
            raise Refused(f"inventory {path}: {error}") from error
        folder = path.resolve().parent
        return cls(entries, Surroundings(clock_ms, monotonic_s, folder))

    def __iter__(self) -> Iterator[str]:
        """Go over the names of all devices, in the order of the file."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count the devices."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a device of that name."""
        return name in self._entries

    def entry(self, name: str) -> Entry:
        """Give what the file says of a device.

        Raises:
            Refused: There is no such device.
        """
        if name not in self._entries:
            known = ", ".join(sorted(self._entries)) or "none"
            message = f"there is no device {name!r} in the inventory; it has: {known}"
            raise Refused(message)
        return self._entries[name]

    def open(self, name: str) -> Any:
        """Make the device if that has not been done, connect it, and give it.

        A device whose ``connect`` fails is kept, so that ``get(name).status()`` can tell why, and
        the next ``open`` tries again.

        Raises:
            DeviceError: What the driver's ``connect`` raises, Refused for a wrong setting, or
                Unreachable while another caller has been connecting it for ten seconds.
        """
        entry = self.entry(name)
        connecting = self._connecting[name]
        if not connecting.acquire(timeout=_CONNECT_S):
            message = (
                f"device {name!r} does not come to an end of connecting; "
                "look at the device and its cable, then start the daemon again"
            )
            raise Unreachable(message)
        try:
            with self._lock:
                if name not in self._devices:
                    self._devices[name] = _make(entry, self._surroundings)
                device = self._devices[name]
            # It may take a second (a model is loaded), so the other devices are not held up.
            device.connect()
        finally:
            connecting.release()
        return device

    def get(self, name: str) -> Any:
        """Give a device that has been opened before, whatever its state.

        Raises:
            Refused: There is no such device.
            Unreachable: It has not been opened, or has been closed.
        """
        self.entry(name)
        with self._lock:
            device = self._devices.get(name)
        if device is None:
            message = f"device {name!r} is not open"
            raise Unreachable(message)
        return device

    def check(self, name: str) -> Any:
        """Import a device's driver and hold the settings against it; nothing is opened.

        Returns:
            The driver's class.

        Raises:
            Refused: There is no such device or driver, or a setting is wrong.
        """
        return _checked(self.entry(name))[0]

    def opened(self) -> list[str]:
        """Give the names of the devices that have been made, whatever their state."""
        with self._lock:
            return list(self._devices)

    def close_one(self, name: str) -> None:
        """Close a device if it is open; it may be opened again."""
        with self._lock:
            device = self._devices.pop(name, None)
        if device is not None:
            device.close()

    def close(self) -> None:
        """Close every open device, the last opened first; all may be opened again."""
        for name in reversed(self.opened()):
            self.close_one(name)


def _read(path: Path) -> dict[str, Any]:
    """Parse the file, or say what is wrong with it."""
    try:
        if path.stat().st_size > MAX_INVENTORY_BYTES:
            message = f"inventory {path} is larger than {MAX_INVENTORY_BYTES} bytes"
            raise Refused(message)
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"inventory {path} cannot be read: {error.strerror}"
        raise Refused(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"inventory {path} is not valid TOML: {error}"
        raise Refused(message) from error
    if len(tables) > MAX_DEVICES:
        message = f"inventory {path} has {len(tables)} devices, {MAX_DEVICES} are possible"
        raise Refused(message)
    return tables


def _entry(name: str, table: Any) -> Entry:
    """Check one table of the file as far as that is possible without its driver."""
    if not isinstance(table, dict):
        message = f"{name!r} stands outside of any device; begin a device with a line [name]"
        raise Refused(message)
    if DEVICE_NAME.fullmatch(name) is None:
        message = f"device name {name!r} may hold letters, digits, '_', '.' and '-', at most 64"
        raise Refused(message)
    settings = dict(table)
    driver = settings.pop("driver", None)
    if not isinstance(driver, str):
        message = f'device {name!r} needs a line: driver = "..."'
        raise Refused(message)
    return Entry(name, driver, _target(name, driver), settings)


def _target(name: str, driver: str) -> str:
    """Find what a driver's name stands for, without importing it."""
    if driver in DRIVERS:
        return DRIVERS[driver]
    if ":" in driver:
        return driver
    # Imported when it is needed: it brings a parser of mail with it.
    from importlib.metadata import entry_points

    announced = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    if driver in announced:
        return announced[driver]
    known = ", ".join(sorted({*DRIVERS, *announced}))
    message = f"device {name!r} names the driver {driver!r}, which is not known; known: {known}"
    raise Refused(message)


def _make(entry: Entry, surroundings: Surroundings) -> Any:
    """Make the device with checked settings."""
    driver_class, settings = _checked(entry)
    return driver_class(entry.name, settings, surroundings)


def _checked(entry: Entry) -> tuple[Any, msgspec.Struct]:
    """Import the driver's class, and convert the settings to what it takes."""
    module_name, _, class_name = entry.target.partition(":")
    where = f"device {entry.name!r}, driver {entry.driver!r}"
    try:
        driver_class = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        message = (
            f"device {entry.name!r}: driver {entry.driver!r} cannot be loaded ({error}); "
            "if a package is missing, install the extra that brings it, such as baton[vision]"
        )
        raise Refused(message) from error
    except Exception as error:  # A driver may be anybody's.
        what = f"{type(error).__name__}: {error}"
        message = f"device {entry.name!r}: driver {entry.driver!r} cannot be loaded ({what})"
        raise Refused(message) from error
    settings_type = getattr(driver_class, "settings_type", None)
    if not (isinstance(settings_type, type) and issubclass(settings_type, msgspec.Struct)):
        message = f"{where}: {entry.target} is no driver, it has no settings_type"
        raise Refused(message)
    unknown = _unknown_key(entry.settings, settings_type)
    if unknown is not None:
        message = f"{where}: wrong setting: {unknown}"
        raise Refused(message)
    try:
        settings: msgspec.Struct = msgspec.convert(entry.settings, settings_type)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`")
        text = text.replace("Object missing required field", "this key is required:")
        choices = _choices(settings_type, place) if text.startswith(_NO_CHOICE) else ""
        if choices:
            text = f"{text.removeprefix(_NO_CHOICE).strip()} is not one of {choices}"
        spoken = f"{place}: {text}" if place else text
        message = f"{where}: wrong setting: {spoken}"
        raise Refused(message) from error
    return driver_class, settings


def _choices(kind: type[msgspec.Struct], name: str) -> str:
    """What a setting may be, where it is one of a few texts; empty otherwise."""
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    known = types.get(name)
    texts = get_args(known) if get_origin(known) is Literal else ()
    return ", ".join(f"{text!r}" for text in texts if text)


def _unknown_key(settings: Mapping[str, Any], kind: type[msgspec.Struct]) -> str | None:
    """Name the first setting that the driver does not have, and the one that was meant."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in settings.items():
        if key not in fields:
            # Imported when it is needed: a device whose settings are right has no use for it.
            from difflib import get_close_matches

            close = get_close_matches(key, fields, n=1)
            meant = f", did you mean {close[0]}?" if close else "."
            return f"unknown key {key}{meant} Known here: {', '.join(sorted(fields))}."
        inner = fields[key]
        if (
            isinstance(value, dict)
            and isinstance(inner, type)
            and issubclass(inner, msgspec.Struct)
        ):
            unknown = _unknown_key(value, inner)
            if unknown is not None:
                return f"in {key}, {unknown}"
    return None
