"""What the log says of an uplink: one line for each change of state that a person would want to know.

What state it is in is found out by the uplink.
"""

from __future__ import annotations

import math
from enum import Enum

import structlog

HALTED_AGAIN_S = 3_600.0
"""Two devices of one name are refused in turns, every few seconds, for as long as nobody mends that:
it is said once an hour."""
_REASONS = 8
"""Kept of refusals; a control plane gives two, and a device finds two more."""

_log = structlog.get_logger("sync.uplink")


class LinkState(Enum):
    """What a person sees of the uplink."""

    WAITING = "waiting"
    """No broker; history waits."""
    GREETING = "greeting"
    """Connected to the broker; the control plane has not answered yet."""
    SYNCING = "syncing"
    SYNCED = "synced"
    HALTED = "halted"
    """The control plane refuses this history; see `reason`."""


class LinkLog:
    """Tells the changes of one uplink.

    Args:
        broker: for people.
        device: its name.
    """

    def __init__(self, broker: str, device: str) -> None:
        self._facts = {"broker": broker, "device": device}
        self._told: LinkState | None = None
        self._halted_s: dict[str, float] = {}
        """When each reason was told last."""

    def tell(self, state: LinkState, reason: str, now_s: float) -> None:
        """Take the present state; only what is new is told."""
        told = LinkState.SYNCED if state is LinkState.SYNCING else state
        if told is self._told:
            return
        self._told = told
        match told:
            case LinkState.WAITING:
                _log.info("broker_awaited", reason=reason, **self._facts)
            case LinkState.GREETING:
                _log.info("control_plane_awaited", **self._facts)
            case LinkState.HALTED:
                self._tell_halted(reason, now_s)
            case _:
                _log.info("sync_connected", **self._facts)

    def _tell_halted(self, reason: str, now_s: float) -> None:
        if now_s - self._halted_s.get(reason, -math.inf) < HALTED_AGAIN_S:
            return
        if len(self._halted_s) >= _REASONS:
            self._halted_s.clear()
        self._halted_s[reason] = now_s
        _log.error("sync_halted", reason=reason, **self._facts)
