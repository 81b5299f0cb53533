"""Triggers: something happens on a device, and a workflow starts, once for each happening.

What a device watches for is the driver's affair, what the workflow does its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from edge.engine import Engine
from edge.model.errors import BatonError, Overloaded, StorageUnavailable
from edge.model.requests import StartRequest

log = structlog.get_logger()

_WAITING = 100
"""Happenings that wait for the engine; the oldest is dropped, and said, when there are more."""

_STORAGE_PAUSE_S = 1.0


class Trigger(msgspec.Struct, frozen=True):
    """Which workflow starts when a device reports something."""

    device: str
    workflow: str
    version: int | None = None
    """None = the latest."""
    input: dict[str, Any] = {}
    """Laid under the fields of what happened."""
    cooldown_s: float = 0
    """Seconds after a start in which further happenings of the device start nothing."""


class Happening(Protocol):
    """What a device reports, for example motion."""

    @property
    def event_id(self) -> str:
        """The same for one happening always: it starts one workflow, however often it is told."""


class Watchable(Protocol):
    """A device that reports what happens, from a thread of its own."""

    def watch(self, listener: Callable[[Any], None]) -> object:
        """Call ``listener`` with each Happening."""


class Triggers:
    """Starts workflows for what devices report.

    Args:
        engine: starts the workflows.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._arrived: asyncio.Queue[tuple[Trigger, Happening]] = asyncio.Queue(_WAITING)
        self._last_start_ms: dict[str, int] = {}
        self.started = 0
        self.dropped = 0

    def attach(self, trigger: Trigger, device: Any) -> None:
        """Listen to a device; to be called on the event loop.

        Args:
            trigger: says what starts.
            device: Watchable, or the trigger never fires and the log says so: what a driver offers
                is known only when it has been imported, and no device keeps the daemon from
                running.
        """
        loop = asyncio.get_running_loop()
        if not hasattr(device, "watch"):
            log.error(
                "trigger_never_fires",
                device=trigger.device,
                workflow=trigger.workflow,
                reason="this device reports nothing that happens; name a camera",
            )
            return
        watchable: Watchable = device

        def tell(happening: Happening) -> None:
            # The loop may be gone while the driver's thread still runs.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, trigger, happening)

        watchable.watch(tell)

    def _take(self, trigger: Trigger, happening: Happening) -> None:
        if self._arrived.full():
            _, oldest = self._arrived.get_nowait()
            self.dropped += 1
            log.warning("happening_dropped", event_id=oldest.event_id, waiting=_WAITING)
        self._arrived.put_nowait((trigger, happening))

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            trigger, happening = await self._arrived.get()
            await self._start(trigger, happening)

    async def _start(self, trigger: Trigger, happening: Happening) -> None:
        now_ms = self._engine.clock.monotonic_ms()
        key = f"{trigger.device}/{trigger.workflow}"
        last_ms = self._last_start_ms.get(key)
        if last_ms is not None and now_ms - last_ms < trigger.cooldown_s * 1000:
            return
        values = {**trigger.input, **msgspec.to_builtins(happening)}
        request = StartRequest(
            name=trigger.workflow,
            version=trigger.version,
            input=msgspec.json.encode(values),
            correlation_id=happening.event_id,
            created_by=f"trigger:{trigger.device}",
            # The same happening told twice, by a driver that reconnects, is one start.
            idempotency_key=happening.event_id,
            idempotency_strategy="RETURN_EXISTING",
        )
        while True:
            try:
                workflow_id = await self._engine.start(request)
            except (StorageUnavailable, Overloaded) as error:
                log.warning("start_postponed", event_id=happening.event_id, reason=error.message)
                await asyncio.sleep(_STORAGE_PAUSE_S)
                continue
            except BatonError as error:
                log.error("start_refused", event_id=happening.event_id, reason=error.message)
                return
            self._last_start_ms[key] = now_ms
            self.started += 1
            log.info("workflow_triggered", workflow_id=workflow_id, device=trigger.device)
            return
