"""A microcontroller behind a serial line: one question, one answer, over pyserial.

What the lines mean is the site's affair; nothing here knows a particular device.
"""

from __future__ import annotations

import contextlib
import termios
import threading
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from devices.capabilities import (
    MAX_LINE_BYTES,
    ControllerState,
    ControllerStatus,
    Surroundings,
    line_of,
)
from devices.errors import Refused, Unreachable

_ENDINGS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}

_GONE = (OSError, termios.error)
"""What a line that is not there leads to; pyserial's own errors are the former, and not all are its."""

_SILENCES = 10
"""After a question without an answer the line has to be silent for once its time; a device that talks
for so many times as long never will be."""


class SerialControllerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``devices.toml`` may say of a controller on a serial line."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    """Path of the line; one below ``/dev/serial/by-id`` stays the same whatever is plugged in."""

    baud_rate: Annotated[int, msgspec.Meta(ge=50, le=4_000_000)] = 115_200
    """Bits a second, with 8 of data, no parity, one stop bit."""

    answer_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    """Seconds that an answer may take."""

    boot_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    """Seconds after opening until the first question: many boards start anew when they are opened."""

    ending: Literal["lf", "crlf", "cr"] = "lf"
    """What ends a question; an answer ends with the last byte of it."""


class SerialController:
    """A controller on a serial line; see `devices.capabilities.Controller`."""

    settings_type: ClassVar[type[SerialControllerSettings]] = SerialControllerSettings

    def __init__(
        self, name: str, settings: SerialControllerSettings, surroundings: Surroundings
    ) -> None:
        """Hold the settings; nothing is imported or opened before `connect`."""
        self.name = name
        self.settings = settings
        self._surroundings = surroundings
        self._asking = threading.Lock()
        """Held for a question with its answer, and while the line is opened or closed."""

        self._closed = threading.Event()
        self._closed.set()
        self._port: Any = None
        self._is_behind = False
        """Whether an answer that nobody waits for any more may still come."""

        self._state = ControllerState.CONNECTING
        self._message = ""
        self._asked = self._answered = self._last_answer_ms = 0

    def connect(self) -> None:
        """Open the line."""
        with self._asking:
            self._closed.clear()
            self._opened()

    def close(self) -> None:
        """Close the line; whoever waits for an answer is told that there will be none."""
        self._closed.set()
        port = self._port
        if port is not None:
            # It may just have been closed: then nobody waits any more.
            with contextlib.suppress(OSError, TypeError):
                port.cancel_read()
        with self._asking:
            self._let_go(ControllerState.CONNECTING, "")

    def status(self) -> ControllerStatus:
        """Tell how the controller is doing."""
        return ControllerStatus(
            self._state, self._asked, self._answered, self._last_answer_ms, self._message
        )

    def ask(self, question: str) -> str:
        """Send a line and give the line that comes back."""
        line = line_of(self.name, question) + _ENDINGS[self.settings.ending]
        with self._asking:
            if self._closed.is_set():
                raise Unreachable(f"controller {self.name!r} is not connected")
            self._asked += 1
            port = self._opened()
            try:
                answer = self._exchange(port, line)
            except _GONE as error:
                raise self._lost(f"the line {self.settings.port} is gone: {_why(error)}") from error
        return answer

    def _exchange(self, port: Any, line: bytes) -> str:
        if self._is_behind:
            self._drain(port)
        # What the device has said by itself is no answer.
        port.reset_input_buffer()
        port.write(line)
        self._is_behind = True
        end = _ENDINGS[self.settings.ending][-1:]
        answer = bytes(port.read_until(end, MAX_LINE_BYTES))
        if not answer.endswith(end):
            why = (
                f"an answer of more than {MAX_LINE_BYTES} bytes"
                if len(answer) >= MAX_LINE_BYTES
                else f"no answer within {self.settings.answer_s:g} s"
            )
            raise self._unanswered(why)
        self._is_behind = False
        try:
            text = answer.decode().strip()
        except UnicodeDecodeError:
            raise self._unanswered("an answer that is no text; is baud_rate right?") from None
        self._state, self._message = ControllerState.ONLINE, ""
        self._answered += 1
        self._last_answer_ms = self._surroundings.clock_ms()
        return text

    def _drain(self, port: Any) -> None:
        """Let an answer come that is late: it must not be taken for that of the next question."""
        until_s = self._surroundings.monotonic_s() + _SILENCES * self.settings.answer_s
        while port.read(MAX_LINE_BYTES):
            if self._closed.is_set() or self._surroundings.monotonic_s() > until_s:
                raise self._unanswered("it does not cease to talk, so no answer can be told")
        self._is_behind = False

    def _opened(self) -> Any:
        """The line, opened if it is not open."""
        if self._port is not None:
            return self._port
        serial = _pyserial()
        settings = self.settings
        try:
            self._port = serial.Serial(
                settings.port,
                settings.baud_rate,
                timeout=settings.answer_s,
                write_timeout=settings.answer_s,
                exclusive=True,
            )
        except _GONE as error:
            raise self._lost(f"the line {settings.port} cannot be opened: {_why(error)}") from error
        except ValueError as error:
            message = f"controller {self.name!r}: wrong setting: {error}"
            raise Refused(message) from error
        self._closed.wait(settings.boot_s)
        self._is_behind = False
        self._state, self._message = ControllerState.ONLINE, ""
        return self._port

    def _unanswered(self, why: str) -> Unreachable:
        self._state, self._message = ControllerState.LOST, why
        return Unreachable(f"controller {self.name!r}: {why}")

    def _lost(self, why: str) -> Unreachable:
        self._let_go(ControllerState.LOST, why)
        return Unreachable(f"controller {self.name!r}: {why}")

    def _let_go(self, state: ControllerState, message: str) -> None:
        port, self._port = self._port, None
        self._state, self._message = state, message
        if port is not None:
            port.close()


def _why(error: Exception) -> str:
    """The words of the system without its number, where there are any."""
    return str(error.args[-1]) if error.args else type(error).__name__


def _pyserial() -> Any:
    """The module of pyserial, which has no types. Raises Refused."""
    try:
        import serial
    except ImportError as error:
        message = f"pyserial cannot be imported ({error}): install the extra baton[serial]"
        raise Refused(message) from error
    return serial
