"""Tells people of alerts: by a web hook, by e-mail, over MQTT.

What is told, and whom, is decided elsewhere; each function sends one message and says what went
wrong, if anything. The libraries for it are imported when the first message is sent.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sync.control_plane.alerts import Channel
from sync.link import Broker, Dialect, Link, LinkError, Lost, Taken

TIMEOUT_S = 10.0


class Mail(msgspec.Struct, frozen=True):
    """The server that mail is handed to."""

    server: str = ""
    """``smtp://HOST:PORT`` (STARTTLS where it is offered) or ``smtps://HOST:PORT``; empty = none."""
    sender: str = "baton@localhost"
    username: str = ""
    password_file: str = ""


async def send(channel: Channel, message: bytes, *, mail: Mail, broker: Broker) -> str:
    """Send a message; what went wrong, "" = nothing."""
    try:
        async with asyncio.timeout(TIMEOUT_S + 5):
            match channel.kind:
                case "webhook":
                    await asyncio.to_thread(_post, channel.address, message)
                case "email":
                    await asyncio.to_thread(_mail, channel.address, message, mail)
                case "mqtt":
                    await _publish(broker, channel.address, message)
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s"
    except (OSError, ValueError, LinkError) as error:
        return _words(error)[:500]
    return ""


def _words(error: Exception) -> str:
    """What went wrong, as the system says it, without the wrapping of the libraries around it."""
    # An error of `urllib` holds the one of the connection; a text where there was none.
    reason = getattr(error, "reason", None)
    if isinstance(reason, OSError):
        error = reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _post(address: str, message: bytes) -> None:
    """Post JSON; anything but 200 to 299 is an error, also a redirect: it would lose the body."""
    from http.client import HTTPException
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Straight(HTTPRedirectHandler):
        """Goes nowhere else."""

        def redirect_request(self, *_: Any) -> None:
            """No request."""

    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError(f"{address} is no web address")
    request = Request(  # noqa: S310 - the scheme has just been looked at
        address, message, {"content-type": "application/json", "user-agent": "baton"}, method="POST"
    )
    try:
        with build_opener(Straight).open(request, timeout=TIMEOUT_S) as answer:
            if not 200 <= answer.status < 300:
                raise OSError(f"{address} has answered {answer.status}")
    except HTTPException as error:
        # What answers speaks no HTTP, or the address cannot be asked.
        raise OSError(f"{type(error).__name__}: {error}") from error


def _mail(address: str, message: bytes, mail: Mail) -> None:
    """Hand a mail to the server."""
    import smtplib
    from email.message import EmailMessage

    parts = urlsplit(mail.server)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError('no mail server is set: [cloud] mail_server = "smtp://HOST:25"')
    told = msgspec.json.decode(message)
    letter = EmailMessage()
    letter["Subject"] = f"[Baton] {told['rule']} {told['state']}: {told['count']}"
    try:
        letter["From"], letter["To"] = mail.sender, address
    except (AttributeError, IndexError) as error:
        # What the library says of some addresses that it cannot parse.
        raise ValueError(f"{address} is no e-mail address") from error
    letter.set_content(_in_words(told))
    kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    port = parts.port or (465 if parts.scheme == "smtps" else 25)
    with kind(parts.hostname, port, timeout=TIMEOUT_S) as server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls()
        if mail.username:
            password = Path(mail.password_file).read_text(encoding="utf-8").strip()
            server.login(mail.username, password)
        server.send_message(letter)


def _in_words(told: dict[str, Any]) -> str:
    lines = [f"{told['rule']} ({told['kind']}, tenant {told['tenant']}) is {told['state']}.", ""]
    lines += [f"{one['subject'] or '-'}: {one['value']}" for one in told["subjects"]]
    rest = told["count"] - len(told["subjects"])
    return "\n".join([*lines, *([f"... and {rest} more"] if rest else []), ""])


async def _publish(broker: Broker, topic: str, message: bytes) -> None:
    """Publish once, and wait until the broker has taken it."""
    news = asyncio.Event()
    link = Link(broker, client_id="", dialect=Dialect(broker), on_news=news.set)
    await link.open()
    try:
        ticket = link.publish(topic, message)
        while True:
            await news.wait()
            news.clear()
            for event in link.news():
                if isinstance(event, Taken) and event.ticket == ticket:
                    if event.refused:
                        raise LinkError(f"the broker does not let us publish to {topic}")
                    return
                if isinstance(event, Lost):
                    raise LinkError(f"connection to {broker.address} lost: {event.reason}")
    finally:
        await link.close()
