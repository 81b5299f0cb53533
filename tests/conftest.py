"""What holds for every test: nothing leaves this machine, slow days are no failures, logs are heard.

No fixture of any room stands here.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The machine that tests run on is shared: an example that takes long says nothing about the code.
settings.register_profile(
    "baton", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("baton")


class OutsideTraffic(Exception):
    """A test spoke to another machine. Start the far end on 127.0.0.1, on a free port."""


def _is_outside(address: object) -> bool:
    """Whether an address of a socket call leaves this machine; names were resolved before."""
    if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
        return False
    try:
        return not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
    except ValueError:
        return address[0] not in ("", "localhost")


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto") and _is_outside(arguments[1]):
        raise OutsideTraffic(f"{event} to {arguments[1]}")


# Hooks cannot be taken out again, so this one is put in once for the process.
sys.addaudithook(_refuse_outside)


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Logging is the process's, and a command that runs in the process of the tests sets it."""
    root = logging.getLogger()
    handlers, level, settings = list(root.handlers), root.level, structlog.get_config()
    yield
    structlog.configure(**settings)
    root.handlers[:] = handlers
    root.setLevel(level)
