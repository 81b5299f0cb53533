"""The names of the MQTT topics: who speaks where.

No payload is read here.
"""

from __future__ import annotations

import re

import msgspec

PROTOCOL = "1"
_ROOT = f"baton/{PROTOCOL}"
# No `/`, `+` or `#` can enter, so that a name can never reach into another device's topics.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

ACK = "ack"
DOWN = "down"
PRESENCE = "presence"


_RESERVED = re.compile(r"baton(/\d|$)")


def reserved(topic: str) -> bool:
    """Whether a topic is the protocol's, of this version or another; the rest is anybody's."""
    return _RESERVED.match(topic) is not None


class BadName(ValueError):
    """A tenant or device name must be 1 to 64 letters, digits, `.`, `_` or `-`; choose another."""


class Address(msgspec.Struct, frozen=True, order=True):
    """Whose history it is."""

    tenant: str
    device: str

    def topic(self, suffix: str) -> str:
        """The full topic of one of this device's channels, for example `up/2`."""
        return f"{_ROOT}/{self.tenant}/{self.device}/{suffix}"


def address(tenant: str, device: str) -> Address:
    """An address made of checked names.

    Raises:
        BadName: one of them cannot stand in a topic.
    """
    for name in (tenant, device):
        if not _NAME.fullmatch(name):
            raise BadName(f"{name!r} is not 1 to 64 letters, digits, '.', '_' or '-'")
    return Address(tenant=tenant, device=device)


def parse(topic: str) -> tuple[Address, str] | None:
    """The address and the suffix of a device's topic; None when it is not one of ours."""
    parts = topic.split("/", 4)
    if len(parts) != 5 or "/".join(parts[:2]) != _ROOT:
        return None
    if not (_NAME.fullmatch(parts[2]) and _NAME.fullmatch(parts[3])):
        return None
    return Address(tenant=parts[2], device=parts[3]), parts[4]


def up(lane: int) -> str:
    """The suffix on which a device sends one lane."""
    return f"up/{lane}"


def parse_up(suffix: str) -> int | None:
    """The lane of an `up/<lane>` suffix; None when it is another channel."""
    head, _, lane = suffix.partition("/")
    if head != "up" or lane not in ("0", "1", "2", "3"):
        return None
    return int(lane)


def server(tenant: str) -> str:
    """Where a control plane announces (retained) that it has started to listen."""
    return f"{_ROOT}/{tenant}/server"


def every_up(group: str = "") -> str:
    """The filter that hears every device's lanes; of a group each message reaches one member."""
    shared = f"$share/{group}/" if group else ""
    return f"{shared}{_ROOT}/+/+/up/+"


def every_presence() -> str:
    """The filter that hears every device's presence."""
    return f"{_ROOT}/+/+/{PRESENCE}"
