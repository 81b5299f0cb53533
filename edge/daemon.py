"""The daemon: runs a role until it is told to stop, and ends it in order.

No role's rooms are named here; they stand in ``device_role`` and ``cloud_role``, and only the one
that is wanted is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import structlog
from starlette.types import ASGIApp

from edge.config import ConfigError, Settings, address_of
from edge.cores import HOME
from edge.data_dir import DataDir
from edge.model.errors import Overloaded, StorageUnavailable
from edge.sockets import HttpServer, Supervisor, listen, url_of
from sync.database import DatabaseDamaged

_log = structlog.get_logger(__name__)

_DISK_ANSWER_S = 5.0
"""A disk thread that has not answered by then gets no sign of life sent."""

_REBUILDS = 3
"""How often a damaged database is rebuilt before the daemon gives up."""

_CLOSE_S = 15.0
"""What is left after that is cut off; systemd's own limit is longer."""


_LEAVE_S = 2.0
"""What threads of handlers get to end after all else has: those that are idle end at once."""

_COLLECT_AFTER = (10_000, 20, 10)
"""How many more objects than before make Python look for circles, and every how many looks it goes
further back. What the engine makes has none: of 100,000 workflows not one object was found so, and
the looks took a tenth of the time."""


class Role(Protocol):
    """What a daemon runs."""

    name: str
    """Of the role, for the ready line."""

    @property
    def app(self) -> ASGIApp:
        """Answers HTTP."""
        ...

    async def keep(self) -> None:
        """Run until ``close``; the loops and ``prepare`` depend on it."""
        ...

    async def prepare(self) -> None:
        """Do what must be done before the first request is answered."""
        ...

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled."""
        ...

    async def alive(self) -> None:
        """Return when the disk has answered."""
        ...

    def answers_at(self, url: str) -> None:
        """Requests are answered there from now on."""
        ...

    async def wind_down(self) -> None:
        """Let those finish who need answers for it, while they still get some."""
        ...

    def end_streams(self) -> None:
        """Let answers end that would never end by themselves."""
        ...

    async def close(self) -> None:
        """Finish what was taken on and let go of everything; a second call does nothing."""
        ...


OpenRole = Callable[[Settings, DataDir], Awaitable[Role]]


def run_device(settings: Settings) -> None:
    """Run a device until SIGTERM or SIGINT.

    Raises:
        StartError: it cannot start; the message says what to do. See ``cli.run``.
    """
    _run(settings, "edge.device_role")


def run_cloud(settings: Settings) -> None:
    """Run a control plane until SIGTERM or SIGINT.

    Raises:
        StartError: it cannot start; the message says what to do. See ``cli.run``.
    """
    _run(settings, "edge.cloud_role")


def _run(settings: Settings, module: str) -> None:
    with DataDir(Path(settings.daemon.data_dir)) as data:
        host, port = address_of(settings.daemon.listen)
        for rebuilt in itertools.count():
            listener = listen(host, port)
            port = listener.getsockname()[1]
            try:
                with contextlib.closing(listener):
                    _run_once(settings, module, data, listener)
            except DatabaseDamaged as error:
                # It is rebuilt when it is opened again. A disk that ruins it time and again is no
                # place for one.
                if rebuilt >= _REBUILDS:
                    raise
                _log.error("database_damaged", reason=error.reason, rebuilt_before=rebuilt)
                data.damaged = error.reason
            else:
                return


def _run_once(settings: Settings, module: str, data: DataDir, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        # Files are read, hashed and packed there, most of the time without the interpreter.
        files = ThreadPoolExecutor(thread_name_prefix="files", initializer=HOME.leave)
        runner.get_loop().set_default_executor(files)
        open_role: OpenRole = import_module(module).open_role
        runner.run(_main(open_role, settings, data, listener))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Take uvloop where there is one: plain asyncio does a third less in the same time."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


async def _main(
    open_role: OpenRole, settings: Settings, data: DataDir, listener: socket.socket
) -> None:
    role = await open_role(settings, data)
    try:
        await serve(role, listener, _stop_signal(), where=str(data.root))
    except ExceptionGroup as group:
        # What `prepare` found wrong with the configuration is said plainly, not as a fault of ours.
        # A damaged database ends all that works on it, and is rebuilt.
        told = group.subgroup((ConfigError, DatabaseDamaged))
        while told is not None:
            first = told.exceptions[0]
            if not isinstance(first, ExceptionGroup):
                raise first from None
            told = first
        raise
    finally:
        # After a fault, too: threads of the database would keep the process from ending.
        async with asyncio.timeout(_CLOSE_S):
            await role.close()


async def serve(role: Role, listener: socket.socket, stop: asyncio.Event, *, where: str) -> None:
    """Run a role until ``stop``, then end it: requests first, loops next, the disk last.

    Before all of them go those who need answers to finish what they have in hand.

    Args:
        role: already opened.
        listener: where it answers HTTP.
        stop: set when the daemon shall end.
        where: the data directory, for the ready line.
    """
    server, supervisor = HttpServer(role.app, listener), Supervisor()
    async with asyncio.TaskGroup() as group:
        group.create_task(role.keep())
        await role.prepare()
        loops = [group.create_task(loop) for loop in role.loops()]
        answering = group.create_task(server.run_until_stopped())
        await server.ready.wait()
        loops.append(group.create_task(_give_signs_of_life(role, supervisor)))
        url = url_of(listener)
        sys.stdout.write(f"{role.name} ready on {url} (data: {where})\n")
        sys.stdout.flush()
        supervisor.tell("READY=1", f"STATUS=ready on {url}")
        role.answers_at(url)
        settle_memory()
        await stop.wait()
        supervisor.tell("STOPPING=1")
        _log.info("stop_requested")
        await role.wind_down()
        role.end_streams()
        server.stop()
        await answering
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)
        await role.close()
    _log.info("daemon_stopped")


def leave_behind() -> None:
    """End the process if a handler hangs; to be called when nothing is left to be done.

    The interpreter would wait for its thread for ever, and systemd, after half a minute, would call
    it a failure. What it holds has been given back to its queue.
    """
    here = threading.current_thread()
    others = [one for one in threading.enumerate() if one is not here and not one.daemon]
    # They end together, so the first that hangs uses up the time of all.
    left_s = _LEAVE_S
    for one in others:
        one.join(left_s)
        left_s = 0.0 if one.is_alive() else left_s
    stuck = sorted(one.name for one in others if one.is_alive())
    if stuck:
        _log.warning("handlers_left_behind", threads=stuck)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def settle_memory() -> None:
    """What is there at the start stays: circles are looked for among what comes later only."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle)
    return stop


async def _give_signs_of_life(role: Role, supervisor: Supervisor) -> None:
    """Tell systemd that the loop and the disk both still answer; silence makes it restart us."""
    if not supervisor.watchdog_s:
        return
    while True:
        try:
            async with asyncio.timeout(_DISK_ANSWER_S):
                await role.alive()
        except (TimeoutError, StorageUnavailable, Overloaded) as error:
            _log.warning("disk_silent", reason=str(error), waited_s=_DISK_ANSWER_S)
        else:
            supervisor.tell("WATCHDOG=1")
        await asyncio.sleep(supervisor.watchdog_s / 2)
