"""The key that commands speak with, where a daemon asks for one.

No request of a command is made here, and no secret is ever shown or kept on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

KEY_VARIABLE = "CONDUCTOR_AUTH_KEY"
SECRET_VARIABLE = "CONDUCTOR_AUTH_SECRET"  # noqa: S105 - the name of a variable
"""What the SDKs of Conductor read too. A command line would show a secret to every ``ps``."""


def key_of_environment(url: str) -> Any:
    """How a session of httpx gets its tokens; None when the environment names no key.

    Args:
        url: of the daemon, without ``/api``.
    """
    key, secret = os.environ.get(KEY_VARIABLE), os.environ.get(SECRET_VARIABLE)
    if not key or not secret:
        return None
    import httpx

    class KeyAuth(httpx.Auth):
        """Asks for a token when one is wanted, and again when it is refused."""

        def __init__(self) -> None:
            self._token = ""

        def auth_flow(
            self, request: httpx.Request
        ) -> Generator[httpx.Request, httpx.Response, None]:
            """One request; a daemon that asks for nothing is sent nothing."""
            if self._token:
                request.headers["X-Authorization"] = self._token
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
            given = yield httpx.Request(
                "POST", f"{url}/api/token", json={"keyId": key, "keySecret": secret}
            )
            if given.is_success:
                # Only this answer is read here: others may be streams without an end.
                given.read()
                self._token = given.json()["token"]
                request.headers["X-Authorization"] = self._token
                yield request

    return KeyAuth()
