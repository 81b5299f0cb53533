"""Names and addresses of this machine.

Nothing is opened here.
"""

from __future__ import annotations

import ipaddress
import re
import socket


def host_name() -> str:
    """The host's name with only what may stand in a topic."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64].lstrip("._-")
    return name or "device"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
