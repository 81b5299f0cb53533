"""The daemon's sockets: the listening one, the HTTP server on it, and systemd's notifications.

No endpoint and no signal handling stands here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from edge import imports
from edge.clock import shown_s
from edge.direct import DirectApp, DirectProtocol, Heads
from edge.upgrades import PlainProtocol

# Its command line and its processes of several workers are left out.
with imports.bare("uvicorn") as _uvicorn:
    from uvicorn.config import Config
    from uvicorn.server import Server, ServerState

    _uvicorn.Config, _uvicorn.Server = Config, Server  # type: ignore[attr-defined]

_BACKLOG = 512
_KEEP_ALIVE_S = 75
"""Clients reuse connections after a minute of silence and do not repeat a POST that met a closed
one."""
_LAST_ANSWERS_S = 2
"""Seconds that requests in flight get when the daemon stops; a long poll may be among them."""


class CannotListen(Exception):
    """The address cannot be listened on. Choose another one with --listen, or end who has it."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        CannotListen: the address is in use, or is none of this machine.
    """
    # A name in plain letters needs none of the tables for those of other scripts.
    name = host.encode() if host.isascii() else host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.settimeout(0)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        reason = "another program listens there" if in_use else error.strerror or str(error)
        raise CannotListen(
            f"cannot listen on {host}:{port}: {reason}. Choose another address with --listen."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The address that a browser takes."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


class _State(ServerState):
    """What connections share.

    The date that answers carry is made when there is one: who has nothing to do need not wake up.
    """

    def __init__(self) -> None:
        self._dated_s = -1
        self._headers: list[tuple[bytes, bytes]] = []
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every answer."""
        now_s = shown_s()
        if now_s != self._dated_s:
            self._dated_s = now_s
            self._headers = [(b"date", formatdate(now_s, usegmt=True).encode())]
        return self._headers

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """There are no others."""


class HttpServer(Server):
    """uvicorn, told when to stop by an event instead of by signals and a tenth-second tick.

    Args:
        app: answers the requests.
        listener: accepts them.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self.heads = Heads(app) if isinstance(app, DirectApp) else None
        """Requests that need no ASGI, where the application has some."""
        # uvicorn's types know of classes only; it calls whatever makes a connection.
        protocol: Any = PlainProtocol
        if self.heads is not None:
            protocol = partial(DirectProtocol, heads=self.heads)
        super().__init__(
            Config(
                app,
                http=protocol,
                ws="none",
                loop="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        self.server_state = _State()
        self._listener = listener
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()

    async def run_until_stopped(self) -> None:
        """Answer requests until ``stop``, then finish those that are in flight."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Accept nothing more."""
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The daemon handles signals; the server must not."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets=sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Wait for ``stop``."""
        await self._stopping.wait()


class Supervisor:
    """systemd, where it is the one who started us; otherwise every call does nothing.

    Args:
        environment: NOTIFY_SOCKET and WATCHDOG_USEC are read from it.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        period_us = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(period_us) / 1_000_000 if period_us.isdigit() else 0.0
        """Seconds within which a sign of life is expected; 0 = none is."""

    def tell(self, *states: str) -> None:
        """Send states such as ``READY=1``; a supervisor that does not listen is no error."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            sender.connect(address)
            sender.sendall("\n".join(states).encode())
