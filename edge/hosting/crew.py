"""The crew: workers' processes that are started, watched, started again and ended together.

What runs in them is ``child``'s affair; no wire and no rule of a task stands here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from edge.clock import Clock
from edge.hosting.process import Process, resident_bytes

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
"""Between a death and the next start: doubled each time, so that a worker that cannot run costs
nothing, and one that has died once is back at once."""

_STEADY_MS = 30_000
"""A process that has run for so long has not died of its start; the pauses begin anew."""

_LIST_WITHIN_S = 120.0
"""To import modules; a slow card with a large library on it takes its time."""

_POLL_MS = 1_000
"""One long poll: an idle worker asks once a second instead of ten times."""

_OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")
"""Signs of life are the daemon's own to give, and credentials are its own to read."""

_DIRECT = "127.0.0.1,localhost,::1"

State = Literal["starting", "running", "waiting", "stopped"]


class NotLoaded(Exception):
    """The modules of a worker cannot be loaded. Correct what the message says of them."""


class Spec(msgspec.Struct, frozen=True):
    """Modules whose workers are to run."""

    modules: list[str]
    """By name or by the path of their file; each process imports all of them, in this order. The
    last one gives its name."""
    processes: int = 1
    """Of each function."""
    memory_mb: int = 0
    """What a process may write to; 0 = no limit."""
    env: Mapping[str, str] = {}
    domain: str = ""
    """Queue domain that they poll; empty = as their decorators say."""
    together: bool = False
    """Whether all functions run in one process."""
    python: str = ""
    """The interpreter that has the SDK; empty = our own."""
    stop_within_s: float = 10.0
    """What a task in hand gets when the crew ends; after that its process is killed."""
    task_limit_s: float = 0.0
    """A process that works on one task for longer is killed; 0 = never."""


class Lost(msgspec.Struct, frozen=True):
    """A task that was in the hands of a process that is no more."""

    workflow_id: str
    task_id: str
    worker: str
    reason: str
    again: bool
    """Whether it was no fault of the task's: the crew has been ended."""


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """One process of the crew as it is now."""

    name: str
    state: State
    """``waiting``: it has died and is started again after a pause."""
    pid: int
    """0 = there is no process."""
    restarts: int
    resident_bytes: int
    in_hand: int
    """Tasks that it works on."""
    last_end: str
    """Why the last process ended; empty = none has."""


class Teller(Protocol):
    """Is told what happens, as facts in the past tense."""

    def __call__(self, event: str, **facts: Any) -> None:
        """For example ``worker_died``, with ``worker`` and ``reason``."""
        ...


class _Member:
    """One place in the crew: a process, and the next one when that has died."""

    def __init__(self, name: str, spec: Spec, tasks: list[str]) -> None:
        self.name = name
        self.spec = spec
        self.tasks = tasks
        self.state: State = "starting"
        self.running: Process | None = None
        self.restarts = 0
        self.last_end = ""

    def note_ready(self) -> None:
        """Its process has begun to poll."""
        self.state = "running"

    def status(self) -> Status:
        """How it stands."""
        running = self.running
        return Status(
            name=self.name,
            state=self.state,
            pid=0 if running is None else running.pid,
            restarts=self.restarts,
            resident_bytes=0 if running is None else resident_bytes(running.pid),
            in_hand=0 if running is None else len(running.notes.in_hand),
            last_end=self.last_end,
        )


class Crew:
    """All workers of one daemon, or of one command. Event loop only.

    Args:
        specs: what is to run.
        clock: measures how long a process has lived.
        tell: is told what happens.
        lost: takes over a task whose process has died with it.
        found: is told of each module which tasks its functions do; None = nobody is.
        patient: whether modules that cannot be loaded are tried again; else ``run`` ends.
        answers_early: whether the server answers a poll as soon as one task is there.
    """

    def __init__(
        self,
        specs: list[Spec],
        *,
        clock: Clock,
        tell: Teller,
        lost: Callable[[Lost], Awaitable[None]],
        found: Callable[[str, list[str]], Awaitable[None]] | None = None,
        patient: bool = True,
        answers_early: bool = False,
    ) -> None:
        self._specs = specs
        self._clock = clock
        self._tell = tell
        self._lost = lost
        self._found = found
        self._patient = patient
        self._answers_early = answers_early
        self._members: list[_Member] = []
        self._url = ""
        self._refused: NotLoaded | None = None
        self._begun = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    def answers_at(self, url: str) -> None:
        """The API answers there from now on; workers begin."""
        self._url = url
        self._begun.set()

    def statuses(self) -> list[Status]:
        """Each process, in the order in which they were first started."""
        return [member.status() for member in self._members]

    async def run(self) -> None:
        """Keep the crew up until ``stop``, or until it is cancelled.

        Raises:
            NotLoaded: unless patient, when modules cannot be loaded.
        """
        try:
            await self._begun.wait()
            async with asyncio.TaskGroup() as group:
                for spec in self._specs:
                    group.create_task(self._lead(spec, group))
        finally:
            self._ended.set()
        if self._refused is not None:
            raise self._refused

    def end(self) -> None:
        """Let every process finish what it has in hand; what takes too long is killed."""
        self._stopping.set()
        self._begun.set()

    async def stop(self) -> None:
        """The same, and wait for it; ``run`` must be running."""
        self.end()
        await self._ended.wait()

    async def _lead(self, spec: Spec, group: asyncio.TaskGroup) -> None:
        """Find out what the modules hold, then keep a process up for each function."""
        tasks = await self._tasks_of(spec)
        if tasks and self._found is not None:
            await self._found(spec.modules[-1], tasks)
        places = [[task] for task in tasks]
        if spec.together and tasks:
            places = [tasks]
        for place in places:
            name = place[0] if len(place) == 1 else _stem(spec.modules[-1])
            for number in range(1, spec.processes + 1):
                label = name if spec.processes == 1 else f"{name}-{number}"
                member = _Member(label, spec, place)
                self._members.append(member)
                group.create_task(self._keep(member))

    async def _tasks_of(self, spec: Spec) -> list[str]:
        """The names that the modules' functions have; empty when the crew ends before that.

        They are imported in a process of their own: what they do there is not done to us.
        """
        place = _Member(_stem(spec.modules[-1]), spec, [])
        self._members.append(place)
        failures = 0
        while not self._stopping.is_set():
            ended, why = None, f"importing them took longer than {_LIST_WITHIN_S:.0f} s"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LIST_WITHIN_S):
                    ended, why = await self._one_life(place, ["--list"])
            tasks = None if ended is None else ended.notes.tasks
            if tasks:
                self._members.remove(place)
                return tasks
            if tasks is not None:
                why = "they hold no function with @worker_task"
            if self._stopping.is_set():
                break
            failures += 1
            if not self._patient:
                self._refused = NotLoaded(f"{', '.join(spec.modules)} cannot be loaded: {why}")
                self.end()
                break
            await self._pause(place, "workers_not_loaded", why, failures)
        return []

    async def _keep(self, member: _Member) -> None:
        """Start a process, wait for its end, and start it again after a pause."""
        words = [
            f"--url={self._url}",
            f"--label={member.name}",
            f"--domain={member.spec.domain}",
            f"--poll-ms={_POLL_MS}",
            *(["--answers-early"] if self._answers_early else []),
            f"--stop-within-s={member.spec.stop_within_s}",
            *(f"--task={task}" for task in member.tasks),
        ]
        failures = 0
        while not self._stopping.is_set():
            began_ms = self._clock.monotonic_ms()
            ended, why = await self._one_life(member, words)
            if ended is not None:
                await self._give_up(member, ended, why)
            if self._stopping.is_set():
                break
            steady = self._clock.monotonic_ms() - began_ms >= _STEADY_MS
            failures = 1 if steady else failures + 1
            await self._pause(member, "worker_died", why, failures)
        member.state = "stopped"
        self._tell("worker_stopped", worker=member.name)

    async def _one_life(self, member: _Member, words: list[str]) -> tuple[Process | None, str]:
        """Run a process to its end; returns it, None if it could not begin, and why it ended."""
        spec = member.spec
        member.state = "starting"
        try:
            process = await Process.start(
                spec.python or sys.executable,
                [f"--memory-mb={spec.memory_mb}", *words, "--", *spec.modules],
                self._environment(spec),
                self._clock,
            )
        except (OSError, ValueError) as error:
            return None, f"{spec.python or sys.executable} cannot be started: {error}"
        member.running = process
        process.notes.on_ready(member.note_ready)
        if member.tasks:
            self._tell("worker_started", worker=member.name, pid=process.pid)
        try:
            await process.accompany(
                until=self._stopping,
                stop_within_s=spec.stop_within_s,
                task_limit_s=spec.task_limit_s,
                say=lambda line: self._tell("worker_said", worker=member.name, line=line),
            )
        finally:
            member.running = None
        return process, process.why

    async def _pause(self, member: _Member, event: str, why: str, failures: int) -> None:
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_S)
        member.state, member.last_end = "waiting", why
        member.restarts += 1
        self._tell(event, worker=member.name, reason=why, again_in_s=pause_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()

    async def _give_up(self, member: _Member, ended: Process, why: str) -> None:
        """Say of each task that a dead process had in hand what has become of it."""
        again = self._stopping.is_set()
        reason = f"worker {member.name}: {why}"
        for task_id, held in ended.notes.in_hand.items():
            await self._lost(Lost(held.workflow_id, task_id, member.name, reason, again))

    def _environment(self, spec: Spec) -> dict[str, str]:
        environment = {**os.environ, **spec.env}
        for name in _OURS_ALONE:
            environment.pop(name, None)
        # What is printed is seen at once; memory that threads set aside is none that they use.
        environment.setdefault("PYTHONUNBUFFERED", "1")
        environment.setdefault("MALLOC_ARENA_MAX", "2")
        # For functions that speak to the daemon themselves, directly, whatever proxy there is.
        environment.setdefault("CONDUCTOR_SERVER_URL", f"{self._url}/api")
        for name in ("NO_PROXY", "no_proxy"):
            known = environment.get(name)
            environment[name] = f"{known},{_DIRECT}" if known else _DIRECT
        return environment


def _stem(module: str) -> str:
    return Path(module).stem if module.endswith(".py") else module
