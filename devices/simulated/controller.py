"""The controller's twin: it answers what the inventory says, without any line.

No pyserial is imported here.
"""

from __future__ import annotations

import threading
from typing import ClassVar

import msgspec

from devices.capabilities import ControllerState, ControllerStatus, Surroundings, line_of
from devices.errors import Unreachable


class SimulatedControllerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``devices.toml`` may say of a twin controller."""

    answers: dict[str, str] = {}
    """Answers by question; one that is not among them is not answered."""


class SimulatedController:
    """A controller without a line; see `devices.capabilities.Controller`.

    Cues: `lose` and `restore`.
    """

    settings_type: ClassVar[type[SimulatedControllerSettings]] = SimulatedControllerSettings

    def __init__(
        self, name: str, settings: SimulatedControllerSettings, surroundings: Surroundings
    ) -> None:
        """Hold the settings; of its surroundings a twin needs the clock."""
        self.name = name
        self.settings = settings
        self._clock_ms = surroundings.clock_ms
        self._asking = threading.Lock()
        self._is_connected = False
        self._lost_reason = ""
        self._state = ControllerState.CONNECTING
        self._message = ""
        self._asked = self._answered = self._last_answer_ms = 0

    def connect(self) -> None:
        """Become ready."""
        self._is_connected = True
        if self._lost_reason:
            raise self._unanswered(self._lost_reason)
        self._state, self._message = ControllerState.ONLINE, ""

    def close(self) -> None:
        """Cease to be ready."""
        self._is_connected = False
        self._state, self._message = ControllerState.CONNECTING, ""

    def status(self) -> ControllerStatus:
        """Tell how the controller is doing."""
        return ControllerStatus(
            self._state, self._asked, self._answered, self._last_answer_ms, self._message
        )

    def ask(self, question: str) -> str:
        """Give the answer that the settings hold."""
        line_of(self.name, question)
        with self._asking:
            if not self._is_connected:
                raise Unreachable(f"controller {self.name!r} is not connected")
            self._asked += 1
            answer = self.settings.answers.get(question)
            if self._lost_reason or answer is None:
                raise self._unanswered(self._lost_reason or "no answer")
            self._state, self._message = ControllerState.ONLINE, ""
            self._answered += 1
            self._last_answer_ms = self._clock_ms()
            return answer.strip()

    def lose(self, reason: str = "the cable is cut") -> None:
        """Cue: be unreachable until `restore`."""
        self._lost_reason = reason

    def restore(self) -> None:
        """Cue: be reachable again."""
        self._lost_reason = ""

    def _unanswered(self, why: str) -> Unreachable:
        self._state, self._message = ControllerState.LOST, why
        return Unreachable(f"controller {self.name!r}: {why}")
