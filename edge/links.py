"""The way to the broker, as the configuration describes it.

No message is sent here.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.config import EventSettings, SyncSettings, broker_of
from sync.link import Broker


class Dice:
    """Chance from the operating system, for the jitter between attempts."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between the two."""
        return a + (b - a) * int.from_bytes(os.urandom(6)) / 2**48


def run_id() -> bytes:
    """Names a run of the program: two of them at once under one name are two devices."""
    return os.urandom(8)


def broker(settings: SyncSettings | EventSettings) -> Broker:
    """The broker and how to speak to it."""
    host, port, tls = broker_of(settings.broker)
    return Broker(
        host=host,
        port=port,
        username=settings.username or None,
        password_file=_path(settings.password_file),
        ca_file=_path(settings.ca_file) or (_system_authorities() if tls else None),
        certificate_file=_path(settings.certificate_file),
        key_file=_path(settings.key_file),
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _system_authorities() -> Path | None:
    """The authorities that the system trusts, for a broker with a public certificate."""
    import ssl

    known = ssl.get_default_verify_paths().cafile
    return Path(known) if known else None
