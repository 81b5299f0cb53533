"""Tickets: addresses that let whoever has them send or fetch one file, for a while.

Clients send files without the token that they have for the API, as they do to a store in a cloud.
Who may have a ticket is asked where it is given, and nothing is sent here.
"""

from __future__ import annotations

import hmac
import os
from urllib.parse import quote

from edge.model.errors import AccessDenied

VALID_MS = 3_600_000
"""An hour: a slow link and a few retries fit. After a restart, too, another has to be asked for."""

_MAX_DIGITS = 15
"""Of a time in milliseconds; that of today has 13."""


class Tickets:
    """Signs addresses and checks them, with a key that lives as long as the process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def query(self, operation: str, path: str, now_ms: int) -> str:
        """What makes an address good for one operation on one file."""
        expires_ms = now_ms + VALID_MS
        return f"exp={expires_ms}&sig={quote(self._signature(operation, path, expires_ms))}"

    def check(self, operation: str, path: str, expires: str, signature: str, now_ms: int) -> None:
        """Let nobody through whose address was not made for this.

        Raises:
            AccessDenied: it was not, or its time is over.
        """
        # Anybody may write anything there: "²" is a digit, and 5,000 of them are no int.
        is_time = expires.isascii() and expires.isdigit() and len(expires) <= _MAX_DIGITS
        expires_ms = int(expires) if is_time else 0
        wanted = self._signature(operation, path, expires_ms)
        if not hmac.compare_digest(wanted.encode(), signature.encode()) or expires_ms < now_ms:
            raise AccessDenied("This address is not good, or not any more; ask for another one.")

    def _signature(self, operation: str, path: str, expires_ms: int) -> str:
        message = f"{operation}\n{expires_ms}\n{path}".encode()
        return hmac.digest(self._key, message, "sha256").hex()
