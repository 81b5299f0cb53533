"""How commands speak to a daemon: one request at a time, and errors that say what to do.

No command and no output stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

DEFAULT_URL = "http://127.0.0.1:8080"
UNREACHABLE = 3
"""Exit status when no daemon answers; 1 is a refusal, 2 a wrong command line."""

_TIMEOUT_S = 30.0


class Unreachable(click.ClickException):
    """No daemon answers there. Start one, or name another with --url."""

    exit_code = UNREACHABLE


class Client:
    """A daemon's API.

    Args:
        url: of the daemon, with or without ``/api``.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/").removesuffix("/api")

    def call(
        self, method: str, *segments: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """One request under ``/api``; returns the decoded JSON, a text, or None.

        Raises:
            Unreachable: nothing answers.
            click.ClickException: the daemon refused; its message and the fields are in it.
        """
        # Imported here: `baton run` needs no HTTP client.
        import httpx

        path = "/".join(quote(segment, safe="") for segment in segments)
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        try:
            answer = httpx.request(
                method,
                f"{self._url}/api/{path}",
                json=body,
                params=wanted,
                timeout=_TIMEOUT_S,
                # A device is reached directly, whatever proxy the shell names.
                trust_env=False,
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise click.ClickException(f"{self._url} is no address: {error}") from error
        except httpx.ConnectError as error:
            raise Unreachable(
                f"no daemon answers at {self._url}. Start one with `baton run`, "
                "or name another with --url or BATON_URL."
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url} did not answer properly: {error}") from error
        if answer.status_code >= 400:
            raise click.ClickException(_refusal(answer))
        if not answer.content:
            return None
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all commands share which speak to a daemon."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
        click.option(
            "--url",
            envvar="BATON_URL",
            default=DEFAULT_URL,
            show_default=True,
            help="The daemon; BATON_URL sets it too.",
        ),
    ):
        command = option(command)
    return command


def _refusal(answer: Any) -> str:
    """The daemon's own words."""
    try:
        body = answer.json()
        lines = [str(body["message"])]
        lines += [f"  {one['path']}: {one['message']}" for one in body.get("validationErrors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (
            f"the answer was {answer.status_code} {answer.reason_phrase}; is this a Baton daemon?"
        )
    return "\n".join(lines)
