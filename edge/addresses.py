"""Names and addresses of this machine.

Nothing is opened here.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit


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


def broker(url: str) -> tuple[str, int, bool] | None:
    """Host, port and whether TLS is spoken, of a broker's address; None = it is no such address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
        return None
    tls = parts.scheme == "mqtts"
    return parts.hostname, port or (8883 if tls else 1883), tls
