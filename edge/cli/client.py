"""How commands speak to a daemon: one request at a time, and errors that say what to do.

No command and no output stands here.
"""

from __future__ import annotations

import contextlib
import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import click

from edge.cli.credentials import KEY_VARIABLE, SECRET_VARIABLE, key_of_environment

DEFAULT_URL = "http://127.0.0.1:8080"
UNREACHABLE = 3
"""Exit status when no daemon answers; 1 is a refusal, 2 a wrong command line."""

_UNAUTHENTICATED = 401

_TIMEOUT_S = 30.0
_SILENCE_S = 40.0
"""A stream that says nothing for so long is dead: a daemon gives a sign of life every 15 s."""


class Unreachable(click.ClickException):
    """No daemon answers there. Start one, or name another with --url."""

    exit_code = UNREACHABLE


class Refused(click.ClickException):
    """The daemon said no; its words are the message.

    Args:
        message: what is shown.
        status: of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A daemon's API.

    Args:
        url: of the daemon, with or without ``/api``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/api")
        self._session: Any = None

    def call(
        self, method: str, *segments: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """One request under ``/api``; returns the decoded JSON, a text, or None.

        Raises:
            Unreachable: nothing answers.
            Refused: the daemon said no; its message and the fields are in it.
        """
        with self._reaching() as session:
            answer = session.request(
                method, self._address(segments), json=body, params=_wanted(query)
            )
        if answer.status_code >= 400:
            raise _refusal(answer)
        if not answer.content:
            return None
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text

    def hints(self) -> Iterator[dict[str, Any]]:
        """What the daemon says of executions that change, as long as it says anything.

        The first thing that comes is an empty hint: from then on nothing is missed. A sign of life
        is an empty hint too. It ends when the daemon ends the stream.

        Raises:
            Unreachable: nothing answers.
            Refused: the daemon has no such stream, or too many are open.
        """
        import httpx

        limits = httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S)
        address = self._address(("v1", "stream"))
        with (
            self._reaching() as session,
            session.stream("GET", address, timeout=limits) as answer,
        ):
            if answer.status_code >= 400:
                answer.read()
                raise _refusal(answer)
            yield {}
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))
                elif line.startswith(":"):
                    yield {}

    def _address(self, segments: tuple[str, ...]) -> str:
        path = "/".join(quote(segment, safe="") for segment in segments)
        return f"{self.url}/api/{path}"

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[Any]:
        """The session, made when it is first needed; what is wrong with the way is said plainly."""
        # Imported here: `baton run` needs no HTTP client.
        import httpx

        if self._session is None:
            # A device is reached directly, whatever proxy the shell names.
            self._session = httpx.Client(
                timeout=_TIMEOUT_S, trust_env=False, auth=key_of_environment(self.url)
            )
            weakref.finalize(self, self._session.close)
        try:
            yield self._session
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise click.ClickException(f"{self.url} is no address: {error}") from error
        except ValueError as error:
            # NaN and half of a surrogate pair are no JSON.
            raise click.ClickException(f"this cannot be sent: {error}") from error
        except httpx.ConnectError as error:
            raise Unreachable(
                f"no daemon answers at {self.url}. Start one with `baton run`, "
                "or name another with --url or BATON_URL."
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.url} did not answer properly: {error}") from error


@contextlib.contextmanager
def advising(advice: Mapping[int, str]) -> Iterator[None]:
    """Add to a refusal what can be done about it.

    Args:
        advice: by the status of the answer.
    """
    try:
        yield
    except Refused as refused:
        if refused.status not in advice:
            raise
        message = f"{refused.message}\n{advice[refused.status]}"
        raise Refused(message, refused.status) from refused


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all commands share which speak to a daemon."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
        url_option,
    ):
        command = option(command)
    return command


url_option = click.option(
    "--url",
    envvar="BATON_URL",
    default=DEFAULT_URL,
    show_default=True,
    help="The daemon; BATON_URL sets it too.",
)


def _wanted(query: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (query or {}).items() if value is not None}


def _refusal(answer: Any) -> Refused:
    """The daemon's own words."""
    status = answer.status_code
    try:
        body = answer.json()
        lines = [str(body["message"])]
        lines += [f"  {one['path']}: {one['message']}" for one in body.get("validationErrors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(
            f"the answer was {status} {answer.reason_phrase}; is this a Baton daemon?", status
        )
    if status == _UNAUTHENTICATED:
        lines.append(
            f"Commands take the key from {KEY_VARIABLE} and {SECRET_VARIABLE}; "
            "`baton auth bootstrap` makes the first one."
        )
    if lines[0].startswith("No static resource"):
        # No advice about names and ids belongs to this 404.
        status = 501
        lines.append("This daemon cannot do that; it may be of an older release than this program.")
    return Refused("\n".join(lines), status)
