"""What surrounds the endpoints: the engine and the things of the device that they report on.

Nothing is opened, started or decided here; the daemon fills it in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from starlette.types import ASGIApp

from edge.api.guard import Guard
from edge.api.handed import Handed
from edge.api.hints import Streams
from edge.api.metrics import Requests
from edge.api.tickets import Tickets
from edge.engine import Engine
from edge.rehearsal import Rehearsals
from edge.schedules import Schedules
from edge.searches import Searches
from edge.steering import Steering
from edge.uploads import Uploads
from edge.wire import Encoder


class Snapshots(Protocol):
    """Gives a picture of a device as it is now."""

    async def __call__(self, name: str) -> bytes:
        """A JPEG; raises NotFound for an unknown device, IllegalState without a picture."""
        ...


def _no_devices() -> list[dict[str, Any]]:
    return []


def _no_uplink() -> dict[str, Any]:
    return {"enabled": False}


def _no_events() -> dict[str, Any]:
    return {"mqtt": {"enabled": False}}


def _nothing() -> None:
    """Nobody listens."""


def _nothing_wrong(_: str) -> str | None:
    return None


class House:
    """The rooms around the API.

    Args:
        engine: executes workflows.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.steering = Steering(engine)
        self.rehearsals: Rehearsals | None = None
        """Runs workflows with made-up results; None = nobody does."""
        self.schedules = Schedules(engine)
        """Starts workflows by the clock; whoever owns the house runs it."""
        self.encoder = Encoder()
        self.searches = Searches(engine.database, engine.clock, engine.hand_over.as_held)
        self.requests = Requests()
        self.instance = "baton"
        """Named in error bodies."""
        self.version = "0"
        self.settings: dict[str, str] = {}
        """What is in force, as texts, without anything secret."""
        self.body_limit_bytes = 10 * 1024 * 1024
        self.upload_limit_bytes = 32 * 1024 * 1024
        """The largest payload that travels by itself."""
        self.uploads = Uploads(engine.payloads.files.root / "uploads", 256 * 1024 * 1024)
        """Payloads that have arrived and that no execution refers to yet."""
        self.files: Uploads | None = None
        """Files that workers hand each other; None = switched off."""
        self.file_limit_bytes = 100 * 1024 * 1024
        self.tickets = Tickets()
        self.owner_required = False
        self.check_script: Callable[[str], str | None] = _nothing_wrong
        self.devices: Callable[[], list[dict[str, Any]]] = _no_devices
        """The status of each device of the inventory, as JSON."""
        self.workers: Callable[[], list[dict[str, Any]]] = _no_devices
        """The status of each worker's process that is hosted here, as JSON."""
        self.handlers_changed: Callable[[], None] = _nothing
        """Called when event handlers have been registered, replaced or removed."""
        self.snapshot: Snapshots | None = None
        self.uplink: Callable[[], dict[str, Any]] = _no_uplink
        """How far the control plane has followed, as JSON."""
        self.events: Callable[[], dict[str, Any]] = _no_events
        """How messages of events travel, as JSON."""
        self.healthy: Callable[[], Awaitable[bool]] | None = None
        """Whether the disk still answers; None = not asked."""
        self.storage: Callable[[], dict[str, Any]] = _no_events
        """The state of the disk, and what was lost on it, as JSON."""
        self.evidence_root: Path | None = None
        self.pages: ASGIApp | None = None
        """The console; None = this device has none."""
        self.guard: Guard | None = None
        """Asks callers for a token; None = everybody may do everything."""
        self.document: Callable[[], Awaitable[bytes]] | None = None
        """The API described as OpenAPI; ``build_app`` fills it in."""
        self.streams = Streams()
        self.handed = Handed()
