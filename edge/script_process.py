"""One process in which scripts run, as the daemon holds it: started, asked, waited for, ended.

Which script goes to which process is not decided here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from edge.clock import Clock
from edge.cores import HOME
from edge.script_child.frames import BrokenFrame, Job, Reply, decode_reply, encode_job

_CHUNK_BYTES = 1 << 16
_NICE = 10
"""A tenth of what others get, when there is not enough for all."""

_END_S = 5.0
"""A process that has been killed is gone at once, unless the machine is about to stop."""


class ProcessEnded(Exception):
    """The process ended, or had to be ended, before it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process of the script ended with the status {status}")
        self.status = status
        """Of the process; negative: the number of the signal that ended it."""


class ScriptProcess:
    """A process that evaluates scripts of one language, one after the other.

    It belongs to one thread at a time.

    Args:
        language: ``javascript``, ``jq`` or ``python``.
        memory_bytes: what scripts may use on top of what the process needs itself.
        clock: measures how long to wait.
    """

    def __init__(self, language: str, memory_bytes: int, clock: Clock) -> None:
        self.language = language
        self._clock = clock
        self._unsent = memoryview(b"")
        self._received = bytearray()
        self.idle_since_ms = 0
        self.slow = False
        """Whether it has given way to others, which it does for the rest of its life."""
        with HOME.abroad():
            self._process = _start(language, memory_bytes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._events = select.poll()
        self._events.register(self._out, select.POLLIN)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, job: Job) -> None:
        """Hand over a job; ``wait`` returns the reply. One at a time."""
        self._unsent = memoryview(encode_job(job))
        self._received.clear()
        self._events.register(self._in, select.POLLOUT)

    def wait(self, timeout_ms: int) -> Reply | None:
        """The reply; None = it has not come within so many milliseconds.

        The first reply of a process is its sign of life, without any job.

        Raises:
            ProcessEnded: there will be none.
        """
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        try:
            while True:
                left_ms = max(0, deadline_ms - self._clock.monotonic_ms())
                ready = self._events.poll(left_ms)
                if not ready:
                    return None
                for descriptor, _ in ready:
                    if descriptor == self._in:
                        self._send()
                reply = self._receive()
                if reply is not None:
                    return reply
        except (OSError, EOFError, BrokenFrame) as error:
            if not isinstance(error, BrokenFrame):
                # It is about to end by itself, and its status says why.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_S)
            raise ProcessEnded(self.end()) from error

    def _send(self) -> None:
        self._unsent = self._unsent[os.write(self._in, self._unsent[:_CHUNK_BYTES]) :]
        if not self._unsent:
            self._events.unregister(self._in)

    def _receive(self) -> Reply | None:
        try:
            while chunk := os.read(self._out, _CHUNK_BYTES):
                self._received += chunk
                reply = decode_reply(self._received)
                if reply is not None:
                    return reply
        except BlockingIOError:
            return None
        raise EOFError

    def give_way(self) -> None:
        """Take only what others leave of the processor, from now on."""
        if not self.slow:
            self.slow = True
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PGRP, self.pid, _NICE)

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Tell it to end at once, with all that it has started; any thread may say so."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> int:
        """End it, whatever it does; returns its status."""
        self.kill()
        status = self._process.wait(_END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return status


def _start(language: str, memory_bytes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable, "-S", "-P", "-m", "edge.script_child",
            language, str(memory_bytes),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=_environment(),
        # Ctrl-C at a terminal is for the daemon, which ends this process in its own time.
        start_new_session=True,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """What the process finds set: no secret of the daemon's, and the time zone.

    The packages are found where this process finds them, without running what ``site`` runs.
    """
    places = [str(Path(place).absolute()) for place in sys.path if place]
    zone = os.environ.get("TZ") or ":/etc/localtime"
    return {"PYTHONPATH": os.pathsep.join(places), "TZ": zone, "LANG": "C.UTF-8"}
