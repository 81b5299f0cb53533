"""The errors that a driver may raise, and no others.

Nothing here knows a particular device; the words of one device belong into the message.

    DeviceError
    |-- Unreachable   try again later
    |-- Refused       do not try again, change the request or the setting
    |-- Broken        do not try again, a person is needed
    `-- Unsafe        an interlock stands open, make it safe first
"""

from __future__ import annotations

from typing import ClassVar


class DeviceError(Exception):
    """A device did not do what it was asked; the subclass says what to do next."""

    code: ClassVar[str] = "device_error"
    """Stable name of the kind of error, for logs and for the documentation."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without anybody changing anything."""


class Unreachable(DeviceError):
    """The device does not answer at present; try again later."""

    code = "device_unreachable"
    retryable = True


class Refused(DeviceError):
    """The device or its driver will never do this; change the request or the named setting."""

    code = "device_refused"


class Broken(DeviceError):
    """The driver lost track of its device; a person has to look at it and open it again."""

    code = "device_broken"


class Unsafe(DeviceError):
    """An interlock stands open; make the place safe, then ask again."""

    code = "device_unsafe"
