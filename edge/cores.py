"""One core for the threads that take turns: the event loop's, the writer's, and those of handlers.

No thread is made here, and nothing is worked on.

The interpreter lets one of them run at a time, so a second core does not make them faster. It makes
them slower: each word from one to the other wakes a core that has gone to sleep, and what both look
at travels from cache to cache. See ``docs/adr/0037-one-core.md``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

_log = structlog.get_logger(__name__)

_LOOK_S = 10.0
"""Between two looks at how busy others keep the core."""

_BETTER = 0.25
"""Another core is taken when others keep it busy for so much less of the time."""

_TICKS_A_S = 100
"""Of the figures in ``/proc/stat``, on every Linux."""

_CALLER = 0
"""Stands for the calling thread, as in the scheduler's own calls."""


class Machine(Protocol):
    """The cores of the machine, and who runs where.

    Whatever it is asked, it may raise OSError or ValueError where it cannot tell.
    """

    def allowed(self) -> frozenset[int]:
        """The cores that the calling thread may run on."""
        ...

    def fastest(self, cores: frozenset[int]) -> frozenset[int]:
        """Those of some cores that can do most; all of them where they are alike."""
        ...

    def here(self) -> int:
        """The core that the process's first thread has run on last."""
        ...

    def busy_s(self) -> Mapping[int, float]:
        """Seconds that each core has worked since the machine started."""
        ...

    def used_s(self, thread: int) -> float:
        """Seconds that a thread of ours has worked."""
        ...

    def threads_on(self, core: int) -> list[int]:
        """Our threads that may run on this core only."""
        ...

    def put(self, thread: int, cores: frozenset[int]) -> None:
        """Let a thread run on these cores only."""
        ...


class Linux:
    """The machine as Linux tells of it."""

    def __init__(
        self, proc: Path = Path("/proc"), cores: Path = Path("/sys/devices/system/cpu")
    ) -> None:
        self._proc = proc
        self._cores = cores

    def allowed(self) -> frozenset[int]:
        """What the scheduler was told, by whoever has started us."""
        return frozenset(os.sched_getaffinity(_CALLER))

    def fastest(self, cores: frozenset[int]) -> frozenset[int]:
        """Told only where they are not alike."""
        powers = {core: self._power(core) for core in cores}
        return frozenset(core for core in cores if powers[core] == max(powers.values()))

    def _power(self, core: int) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int((self._cores / f"cpu{core}" / "cpu_capacity").read_text())
        return 0

    def here(self) -> int:
        """Field 39 of ``stat``; the second is a name in brackets, which may hold anything."""
        fields = (self._proc / "self" / "stat").read_text().rpartition(")")[2].split()
        return int(fields[36])

    def busy_s(self) -> dict[int, float]:
        """User, nice, system, interrupts, and what the host has taken; not idle, not waiting."""
        found = {}
        for line in (self._proc / "stat").read_text().splitlines():
            name, *figures = line.split() or [""]
            if name.startswith("cpu") and name != "cpu":
                ticks = [int(figure) for figure in figures[:8]]
                found[int(name[3:])] = (sum(ticks) - sum(ticks[3:5])) / _TICKS_A_S
        return found

    def used_s(self, thread: int) -> float:
        """From ``schedstat``, in nanoseconds."""
        told = (self._proc / "self" / "task" / str(thread) / "schedstat").read_text()
        return int(told.split()[0]) / 1e9

    def threads_on(self, core: int) -> list[int]:
        """Those that Python knows: whoever makes others, for work of theirs, is abroad."""
        found = []
        for thread in threading.enumerate():
            # One that is being made has no number yet, one that ends has none any more.
            with contextlib.suppress(OSError):
                number = thread.native_id
                if number is not None and os.sched_getaffinity(number) == {core}:
                    found.append(number)
        return found

    def put(self, thread: int, cores: frozenset[int]) -> None:
        """Told to the scheduler."""
        os.sched_setaffinity(thread, cores)


class _Look(NamedTuple):
    """How busy the cores were, and we among it, up to a moment."""

    at_s: float
    busy_s: Mapping[int, float]
    used_s: Mapping[int, float]
    """By thread."""


OnWriter = Callable[[Callable[[], None]], Awaitable[None]]
"""Has something done on the writer's thread."""


class Home:
    """The core that the threads share. There is one to a process, ``HOME``.

    Threads that are made by one that lives there live there, too. Who works for long without the
    interpreter, or makes threads or processes that do, is ``abroad`` meanwhile.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._everywhere: frozenset[int] = frozenset()
        self._core: int | None = None
        """None = threads run where they like."""
        self._last: _Look | None = None

    async def keep(self, on_writer: OnWriter) -> None:
        """Bring the loop and the writer together, and look after it; until cancelled.

        It does nothing where there is one core, or where nobody can say which there are.
        """
        try:
            self._everywhere = self._machine.allowed()
            if len(self._everywhere) > 1:
                await self._keep(on_writer)
        except (AttributeError, OSError, ValueError) as error:
            # Not Linux, or one that does not let us.
            _log.info("cores_not_shared", reason=str(error))
        finally:
            self._let_go()

    async def _keep(self, on_writer: OnWriter) -> None:
        loop = asyncio.get_running_loop()
        choice = self._machine.fastest(self._everywhere)
        here = self._machine.here()
        self._core = here if here in choice else min(choice)
        self._come_home()
        await on_writer(self._come_home)
        while True:
            self.look(loop.time(), choice)
            await asyncio.sleep(_LOOK_S)

    @contextlib.contextmanager
    def abroad(self) -> Iterator[None]:
        """The calling thread may run wherever the process may, and so may what it makes."""
        self.leave()
        try:
            yield
        finally:
            self._come_home()

    def leave(self) -> None:
        """The calling thread, which may have been made here, lives elsewhere for good."""
        if self._core is not None:
            self._put(_CALLER, self._everywhere)

    def look(self, now_s: float, choice: frozenset[int]) -> None:
        """Move to another core when others keep this one busy and that one less.

        Args:
            now_s: seconds since an arbitrary moment.
            choice: the cores that come into question.
        """
        core, last = self._core, self._last
        if core is None:
            # Another daemon of the same process, as tests have them, has ended and let all go.
            return
        ours = self._machine.threads_on(core)
        used_s = {thread: self._machine.used_s(thread) for thread in ours}
        look = self._last = _Look(now_s, self._machine.busy_s(), used_s)
        if last is None or now_s <= last.at_s:
            return
        others = {one: look.busy_s[one] - last.busy_s[one] for one in choice & look.busy_s.keys()}
        others[core] -= sum(used_s[one] - last.used_s.get(one, used_s[one]) for one in used_s)
        best = min(others, key=lambda one: others[one])
        if others[core] - others[best] > _BETTER * (now_s - last.at_s):
            self._core = best
            for thread in ours:
                self._put(thread, frozenset({best}))
            _log.info("core_changed", core=best, before=core)

    def _let_go(self) -> None:
        core, self._core, self._last = self._core, None, None
        if core is not None:
            for thread in self._machine.threads_on(core):
                self._put(thread, self._everywhere)

    def _come_home(self) -> None:
        """The calling thread lives at home from now on, if there is one."""
        core = self._core
        if core is not None:
            self._put(_CALLER, frozenset({core}))

    def _put(self, thread: int, cores: frozenset[int]) -> None:
        # A thread may have ended, and the cores that we may run on may be others meanwhile.
        with contextlib.suppress(OSError):
            self._machine.put(thread, cores)


HOME = Home(Linux())
"""Of this process. Its threads run where they like until ``keep`` is awaited."""
