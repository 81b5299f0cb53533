"""The processes that stand ready for scripts: started when they are needed, ended when they are not.

What is evaluated in them does not matter here.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from edge.clock import Clock
from edge.script_process import ProcessEnded, ScriptProcess

MEMORY_BYTES = 128 * 1024 * 1024
"""What the scripts of a process may use on top of what it needs itself, some 15 MB."""

_READY_WITHIN_MS = 30_000
"""A slow card under load takes seconds to load a process; after that it is not coming."""

_KEPT = 1
"""Idle processes of each kind that are kept: one for short scripts, and one for those that are not.
"""

_IDLE_MS = 60_000
"""A process that has had nothing to do for so long gives its memory back."""


class CannotStart(Exception):
    """No process can be started; the machine is out of memory or of processes."""


class Processes:
    """Processes by language. Any thread may call it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: defaultdict[tuple[str, bool], list[ScriptProcess]] = defaultdict(list)
        self._in_use: set[ScriptProcess] = set()
        self._starting: dict[str, Future[None]] = {}
        self._starter = ThreadPoolExecutor(1, "script-starter")
        self._closed = False

    def take(self, language: str, *, slow: bool = False) -> ScriptProcess | None:
        """A process that is ready, for short scripts or for slow ones; None = there is none.

        It goes back by ``give_back``.
        """
        with self._lock:
            idle = self._idle[language, slow]
            while idle:
                process = idle.pop()
                if process.alive():
                    self._in_use.add(process)
                    return process
                process.end()
            return None

    def start(self, language: str) -> ScriptProcess:
        """A new process, as soon as it is ready.

        Raises:
            CannotStart: there will be none.
        """
        try:
            process = ScriptProcess(language, MEMORY_BYTES, self._clock)
        except OSError as error:
            raise CannotStart(str(error)) from error
        with self._lock:
            self._in_use.add(process)
            if self._closed:
                process.kill()
        try:
            ready = process.wait(_READY_WITHIN_MS)
        except ProcessEnded as error:
            self.drop(process)
            raise CannotStart(str(error)) from error
        if ready is None:
            self.drop(process)
            raise CannotStart(f"it is not ready after {_READY_WITHIN_MS / 1000:g} seconds")
        return process

    def start_one(self, language: str, done: Callable[[CannotStart | None], None]) -> None:
        """Have one made ready in the background; ``done`` is called, with what went wrong."""
        with self._lock:
            starting = self._starting.get(language)
            if starting is None:
                starting = self._starter.submit(self._start_idle, language)
                self._starting[language] = starting
        starting.add_done_callback(lambda future: done(_outcome(future)))

    def _start_idle(self, language: str) -> None:
        try:
            self.give_back(self.start(language))
        finally:
            with self._lock:
                del self._starting[language]

    def give_back(self, process: ScriptProcess) -> None:
        """A process has answered and is free again."""
        with self._lock:
            idle = self._idle[process.language, process.slow]
            keep = len(idle) < _KEPT and not self._closed
            if keep:
                self._in_use.discard(process)
                process.idle_since_ms = self._clock.monotonic_ms()
                idle.append(process)
        if not keep:
            self.drop(process)

    def drop(self, process: ScriptProcess) -> None:
        """End a process that is in use."""
        process.end()
        with self._lock:
            self._in_use.discard(process)

    def end_idle(self) -> None:
        """End the processes that have had nothing to do for a while."""
        before_ms = self._clock.monotonic_ms() - _IDLE_MS
        with self._lock:
            for idle in self._idle.values():
                old = [process for process in idle if process.idle_since_ms <= before_ms]
                for process in old:
                    idle.remove(process)
                    process.end()

    def close(self) -> None:
        """End all of them; those in use are left to whoever waits for them, and find out."""
        with self._lock:
            self._closed = True
            for idle in self._idle.values():
                while idle:
                    idle.pop().end()
            for process in self._in_use:
                process.kill()
        self._starter.shutdown(cancel_futures=True)


def _outcome(future: Future[None]) -> CannotStart | None:
    if future.cancelled():
        return CannotStart("the daemon is closing")
    error = future.exception()
    if error is None or isinstance(error, CannotStart):
        return error
    return CannotStart(f"{type(error).__name__}: {error}")
